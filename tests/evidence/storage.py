"""Measures what evidence takes on disk, in blocks of a real Prometheus, for docs/evidence.md.

python -m tests.evidence.storage
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from exporter.evidence.series import DEVICE_SERIES, HOST_SERIES
from tests.evidence.simulated_day import SimulatedDay, simulate

CAMERAS: Final = 60
"""Half of them have only a `Date`."""

_POLLS: Final = "axis_ntp_polls_total"


def measure(day: SimulatedDay, names: Sequence[str]) -> tuple[int, int]:
    """Return the samples of these series in a day, and the bytes of their blocks."""
    kept = SimulatedDay(day.cameras, day.epoch, day.host, day.host_rate_ppm, day.restart)
    kept.lines = [line for line in day.lines if line.partition("{")[0] in names]
    with TemporaryDirectory() as folder:
        blocks = kept.write_blocks(Path(folder))
        metas = [json.loads(file.read_text()) for file in blocks.glob("*/meta.json")]
        size = sum(file.stat().st_size for file in blocks.rglob("*") if file.is_file())
    return sum(meta["stats"]["numSamples"] for meta in metas), size


def _synced(lines: Sequence[str]) -> Iterator[str]:
    """Yield the series that the simulated cameras lack, as they report nothing."""
    for line in lines:
        if line.startswith(_POLLS):
            labels, _, stamp = line.removeprefix(_POLLS).rsplit(" ", 2)
            yield f"axis_ntp_synced{labels} 1 {stamp}"


def main() -> None:
    """Print the bytes of a sample: of each series, and of all eight together."""
    day = simulate(seed=18, cameras=CAMERAS)
    eight = (*DEVICE_SERIES, *HOST_SERIES)
    day.lines += [*_synced(day.lines)]
    for names in (eight, *((name,) for name in DEVICE_SERIES)):
        samples, size = measure(day, names)
        text = f"{size / samples:5.2f} bytes a sample, {samples:9,} samples: {', '.join(names)}\n"
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
