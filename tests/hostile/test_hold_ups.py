"""A change of the whole fleet does not hold up the event loop, however large the fleet is."""

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.system.process import collect_rarely
from tests.hostile.hold_ups import DEVICES, LIMIT_MS, measure_hold_ups


@pytest.fixture
def _collector() -> Iterator[None]:
    """Run the garbage collector as the daemon does."""
    before = gc.get_threshold()
    collect_rarely()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.timeout(600)  # 30 s, but much longer on a machine that does other things
@pytest.mark.usefixtures("_collector")
def test_no_step_of_a_change_of_100_000_devices_takes_100_ms(tmp_path: Path) -> None:
    rows = asyncio.run(measure_hold_ups(tmp_path, DEVICES, every=False))
    # Half of the devices must take less than half of the time.
    assert [row for row in rows if row.ms >= LIMIT_MS * row.devices / DEVICES] == []
