"""Tell Prometheus whether the clock of each Axis device can be trusted."""

__version__ = "0.1.0"
