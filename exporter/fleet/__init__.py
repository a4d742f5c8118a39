"""Make the running devices match the config."""
