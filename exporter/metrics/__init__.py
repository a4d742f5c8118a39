"""Turn device states into Prometheus series."""
