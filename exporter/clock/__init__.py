"""Measure a device's clock from outside: interval arithmetic, no I/O."""
