"""Lateness, skipped polls and memory with ten thousand devices, a tenth of them hung.

Four daemons run side by side on one core for five minutes: one alone, one that Prometheus scrapes
every 5 s, and two without hung devices that keep ten thousand connections, plain and TLS. None has
the whole machine to itself. The five minutes begin with the daemons, so the lateness includes the
polls of the first interval; skipped polls are counted after every device was polled once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from bench.programs import (
    Measured,
    daemon,
    load_core,
    polled_every,
    simulated_fleet,
    wait_for_first_polls,
)
from bench.table import Row, at_most
from tests.support.prometheus import prometheus_on

DEVICES: Final = 10_000
HANGING: Final = 1_000
INTERVAL_SECONDS: Final = 60
SECONDS: Final = 300
LATEST_SECONDS: Final = 0.5
_NEXT: Final = "axis_ntp_next_poll_timestamp_seconds"
_POLLS: Final = "axis_ntp_polls_total"
_LATENESS: Final = "axis_ntp_exporter_poll_lateness_seconds_bucket"


def rows() -> Iterator[Row]:
    """Measure lateness, skipped polls and memory."""
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        alone = stack.enter_context(_with_hanging(folder, network=10))
        scraped = stack.enter_context(_with_hanging(folder, network=20))
        http = stack.enter_context(_all_well(folder, network=30, scheme="http"))
        tls = stack.enter_context(_all_well(folder, network=40, scheme="https"))
        stack.enter_context(_scraped_every_5s(scraped, folder))
        started = time.monotonic()
        for each in (alone, scraped, http, tls):
            wait_for_first_polls(each, within_seconds=2 * INTERVAL_SECONDS)
        before = {each.pid: _account(each) for each in (alone, scraped)}
        time.sleep(max(0, started + SECONDS - time.monotonic()))
        for each, how in ((alone, ""), (scraped, ", scraped every 5 s")):
            yield from _schedule_rows(each, how, before[each.pid])
        for each in (http, tls):
            _visit(each)
        yield _memory_row(http, "HTTP", 200)
        yield _memory_row(tls, "HTTPS, kept alive", 800)


@contextmanager
def _with_hanging(folder: Path, network: int) -> Iterator[Measured]:
    well, hanging = DEVICES - HANGING, HANGING
    with (
        simulated_fleet(well, folder, network) as fleet,
        simulated_fleet(hanging, folder, network + 1, scenario="fault:hang") as hung,
    ):
        config = {**fleet, "devices": [*fleet["devices"], *map(_renamed, hung["devices"])]}
        with daemon(_every_minute(config), folder / f"daemon-{network}") as measured:
            yield measured


@contextmanager
def _all_well(folder: Path, network: int, scheme: str) -> Iterator[Measured]:
    with (
        simulated_fleet(DEVICES, folder, network, scheme=scheme) as fleet,
        daemon(_every_minute(fleet), folder / f"daemon-{network}") as measured,
    ):
        yield measured


def _every_minute(config: Mapping[str, Any]) -> dict[str, Any]:
    return polled_every(config, f"{INTERVAL_SECONDS}s")


def _renamed(device: Mapping[str, Any]) -> dict[str, Any]:
    return {**device, "name": f"hung-{device['name']}"}


@contextmanager
def _scraped_every_5s(measured: Measured, folder: Path) -> Iterator[None]:
    job = {"job_name": "axis", "static_configs": [{"targets": [measured.daemon.address]}]}
    config = {"global": {"scrape_interval": "5s", "scrape_timeout": "5s"}, "scrape_configs": [job]}
    with load_core(), prometheus_on(config, folder):
        yield


def _account(measured: Measured) -> dict[str, tuple[float, float]]:
    """Return each device's number of polls and the due time of the next one (Unix seconds)."""
    found = measured.samples(_NEXT, _POLLS)
    polls = {labels["device"]: value for labels, value in found[_POLLS]}
    return {labels["device"]: (polls[labels["device"]], due) for labels, due in found[_NEXT]}


def _schedule_rows(
    measured: Measured, how: str, before: dict[str, tuple[float, float]]
) -> Iterator[Row]:
    fleet = f"{DEVICES:,} devices, {HANGING / DEVICES:.0%} hanging, {SECONDS // 60} minutes{how}"
    late = _quantile(0.99, measured.samples(_LATENESS)[_LATENESS])
    yield at_most(f"{fleet}: lateness p99", late, LATEST_SECONDS, " s")
    after = _account(measured)
    skipped = sum(_skipped(before[name], after[name]) for name in after)
    polls = sum(account[0] for account in after.values())
    yield at_most(f"{fleet}: polls skipped", skipped, 0, "", f"of {polls:.0f}")


def _skipped(before: tuple[float, float], after: tuple[float, float]) -> int:
    turns = round((after[1] - before[1]) / INTERVAL_SECONDS)
    return turns - round(after[0] - before[0])


def _quantile(share: float, buckets: list[tuple[dict[str, str], float]]) -> float:
    """Compute a quantile like Prometheus's histogram_quantile: linear within a bucket."""
    bounds = sorted((float(labels["le"]), count) for labels, count in buckets)
    wanted = share * bounds[-1][1]
    lower, below = 0.0, 0.0
    for bound, count in bounds:
        if count >= wanted:
            return lower + (bound - lower) * (wanted - below) / (count - below)
        lower, below = bound, count
    return lower


def _visit(measured: Measured) -> None:
    """Make the requests that take memory besides polling: scrapes and the status page."""
    for path in ("/metrics", "/metrics", "/metrics", "/"):
        measured.daemon.get(path)


def _memory_row(measured: Measured, how: str, bar: float) -> Row:
    what = f"resident memory at {DEVICES:,} devices, {how}"
    peak = f"{measured.most_resident_megabytes():.0f} MB peak"
    return at_most(what, measured.resident_megabytes(), bar, " MB", peak)
