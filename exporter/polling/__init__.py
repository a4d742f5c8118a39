"""Decide when each device is polled."""
