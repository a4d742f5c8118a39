"""Texts of others, devices and config files, fit for one line of a terminal."""

from __future__ import annotations


def escaped(text: str) -> str:
    """`text` without control characters, line breaks and what turns the reading direction."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
