"""Performance measurements, printed as the tables of docs/performance.md: `make bench`."""
