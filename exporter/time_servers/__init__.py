"""Ask time servers for the time, and find what a majority of them agree on."""
