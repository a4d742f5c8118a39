"""Export to Prometheus whether the clock of each Axis device is right."""

__version__ = "0.1.0"
PROGRAM = "axis-ntp-exporter"
"""The command. `axis_ntp_exporter.py` recognizes this package by it."""
