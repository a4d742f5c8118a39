"""Generates the dashboards' JSON: `python -m grafana.generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from grafana.generate.device import device
from grafana.generate.exporter import exporter
from grafana.generate.fleet import fleet
from grafana.generate.frame import as_json

FOLDER: Final = Path(__file__).parents[1] / "dashboards"


def files() -> dict[Path, str]:
    """Return the text of every dashboard's file, which is named after its uid."""
    boards = (fleet(), device(), exporter())
    return {FOLDER / f"{board.build().uid}.json": as_json(board) for board in boards}
