"""What a user's own labels may be called."""

from __future__ import annotations

import re
from typing import Final

LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

RESERVED_LABELS: Final = frozenset(
    {
        "device",
        "source",
        "server",
        "active",
        "servers_source",
        "api_version",
        "parameter",
        "reason",
        "code",
    }
)
"""Labels that the device series carry themselves; a test holds them against the catalogue."""


def label_name_problem(name: str) -> str | None:
    """Why `name` cannot be a label of a device; `None` if it can."""
    if not LABEL_NAME.fullmatch(name):
        return "is not a label name: letters, digits and underscores, no digit first"
    if name.startswith("__"):
        return "starts with two underscores, which Prometheus keeps for itself"
    if name in RESERVED_LABELS:
        return "is a label that the exporter sets itself"
    return None
