"""What the exporter shows over HTTP."""
