"""Devices that are told by files and servers, in Prometheus's own formats."""

from exporter.discovery.manager import Discovery

__all__ = ["Discovery"]
