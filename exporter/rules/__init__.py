"""The alert and recording rules for Prometheus, with the thresholds of a config."""
