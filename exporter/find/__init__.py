"""Find Axis devices on a network, without a password."""
