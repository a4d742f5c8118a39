"""Prometheus's web-config: TLS and basic auth for the web side."""
