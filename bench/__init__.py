"""Measurements, printed as the tables that the docs show. Run by `make bench`."""
