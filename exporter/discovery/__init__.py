"""Discover devices from files and HTTP servers, in Prometheus's own formats."""
