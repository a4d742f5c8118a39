"""The web-config file of Prometheus exporters: TLS, response headers and basic authentication."""
