"""Export to Prometheus whether the clock of each Axis device is right."""

__version__ = "0.1.0"
