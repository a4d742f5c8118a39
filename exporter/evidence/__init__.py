"""How far off a device's clock was at a moment in the past, from what Prometheus has kept."""
