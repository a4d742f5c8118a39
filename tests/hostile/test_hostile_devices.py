"""Every kind of hostile device beside good ones: the good ones notice nothing."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest

from tests.daemon.series import polls
from tests.hostile.kinds import FINE
from tests.hostile.site import (
    Site,
    Usage,
    results_of,
    serve_site,
    usage_of,
    watched_health,
)
from tests.support.daemon_process import DaemonProcess, Scrape, daemon_on
from tests.support.passwords import PASSWORD, assert_hidden

GOOD_DEVICES: Final = 50
COPIES: Final = 2
INTERVAL_SECONDS: Final = 1.0
WARM_UP_SECONDS: Final = 5.0
OBSERVED_SECONDS: Final = 20.0
STOP_SECONDS: Final = 10.0

MORE_MEMORY_MB: Final = 40.0
MORE_OPEN_FILES: Final = 60
TURNS_KEPT: Final = 0.8
"""How many of its turns each good device must get: the machine has other work too."""


@dataclass
class Observation:
    """The daemon at a moment."""

    seconds: float
    found: Scrape
    usage: Usage

    @classmethod
    async def of(cls, running: DaemonProcess) -> "Observation":
        seconds = asyncio.get_running_loop().time()
        return cls(seconds, await running.scrape(), usage_of(running.process.pid))


@pytest.mark.timeout(240)
async def test_good_devices_notice_nothing_of_any_kind_of_hostile_device(tmp_path: Path) -> None:
    async with (
        serve_site(
            tmp_path, good=GOOD_DEVICES, copies=COPIES, interval_seconds=INTERVAL_SECONDS
        ) as site,
        daemon_on(site.config, tmp_path) as running,
    ):
        await running.ready()
        async with watched_health(running) as waits:
            await asyncio.sleep(WARM_UP_SECONDS)
            first = await Observation.of(running)
            await asyncio.sleep(OBSERVED_SECONDS)
            last = await Observation.of(running)
        assert len(waits) > OBSERVED_SECONDS / 4
        pages = [(await running.get(path))[1] for path in paths(site)]
        asked_to_stop = asyncio.get_running_loop().time()
        assert await running.stop() == 0
        assert asyncio.get_running_loop().time() - asked_to_stop < STOP_SECONDS
    assert_good_devices_had_their_turns(site, first, last)
    assert_results_are_as_expected(site, last.found)
    assert last.usage.memory_mb - first.usage.memory_mb < MORE_MEMORY_MB
    assert last.usage.open_files - first.usage.open_files < MORE_OPEN_FILES
    assert not [line for line in running.log if "Traceback" in line or "internal" in line]
    assert_hidden(PASSWORD, [site.fleet], "\n".join([running.text, *pages]))


def paths(site: Site) -> list[str]:
    """The pages that show what devices say."""
    telling = [name for name in site.results if name.startswith("repeats")]
    return ["/", "/metrics", "/config", *(f"/device/{quote(name)}" for name in telling)]


def assert_good_devices_had_their_turns(site: Site, first: Observation, last: Observation) -> None:
    turns = (last.seconds - first.seconds) / INTERVAL_SECONDS
    before, after = polls(first.found), polls(last.found)
    lost = {name: turns - after[name] + before[name] for name in site.good}
    assert max(lost.values()) < turns * (1 - TURNS_KEPT), lost


def assert_results_are_as_expected(site: Site, found: Scrape) -> None:
    """Each device's polls ended as they should, and each kind showed what it is."""
    results = results_of(found)
    expected = dict.fromkeys(site.good, frozenset({FINE})) | site.results
    wrong = {name: results[name] for name in expected if not results[name] <= expected[name]}
    assert wrong == {}
    assert all(results.values())
