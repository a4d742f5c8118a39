"""Texts of others, devices and config files, fit for one line of a terminal."""

from __future__ import annotations


def escaped(text: str) -> str:
    """`text` without control characters, line breaks and what turns the reading direction."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def display_name(name: str, address: str) -> str:
    """What a device is called: `lobby (192.168.0.90)`, or its address alone if that is its name."""
    return escaped(name) if name == address else f"{escaped(name)} ({escaped(address)})"
