"""CPU per poll of the daemon, compared with a bare aiohttp loop and with a small fleet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from bench.programs import (
    bare_loop_cpu_per_poll,
    cpu_per_poll,
    daemon,
    polled_every,
    polls_per_second,
    simulated_fleet,
    wait_for_first_polls,
)
from bench.table import Row, at_most

ROUNDS: Final = 6
SECONDS: Final = 4.0
MOST_OF_BARE: Final = 1.25
MOST_OF_SMALL: Final = 1.15


def rows() -> Iterator[Row]:
    """Measure CPU per poll, as ratios within this run."""
    yield _against_bare(
        "CPU per poll, digest over HTTP, kept connection", 250, network=1, scheme="http"
    )
    yield _against_bare(
        "CPU per poll, HTTPS with Basic, new connection each poll",
        100,
        network=2,
        scheme="https",
        keepalive="0",
    )
    yield _against_small()


def _against_bare(what: str, devices: int, network: int, **flags: str) -> Row:
    with (
        TemporaryDirectory() as name,
        simulated_fleet(devices, Path(name), network, **flags) as fleet,
    ):
        config = polled_every(fleet, "250ms")
        pairs = [_pair(config, Path(name), number) for number in range(ROUNDS)]
    ours, bare = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
    # Ratio per pair, because the speed of the machine varies from minute to minute. The median
    # ignores rounds in which the machine was busy.
    ratio = median(pair[0] / pair[1] for pair in pairs)
    note = f"median of {ROUNDS}; {ours:.0f} µs, bare {bare:.0f} µs"
    return at_most(what, ratio, MOST_OF_BARE, " x bare", note)


def _pair(config: dict[str, Any], folder: Path, number: int) -> tuple[float, float]:
    """Measure our cost and the bare loop's in microseconds, in alternating order."""
    if number % 2:
        ours = _ours(config, folder / f"daemon-{number}")
        return ours, bare_loop_cpu_per_poll(config, folder, SECONDS)
    bare = bare_loop_cpu_per_poll(config, folder, SECONDS)
    return _ours(config, folder / f"daemon-{number}"), bare


def _ours(config: dict[str, Any], folder: Path) -> float:
    with daemon(config, folder) as measured:
        wait_for_first_polls(measured, within_seconds=30)
        return cpu_per_poll(measured, SECONDS, polls_per_second(config))


def _against_small() -> Row:
    """Compare 10,000 devices every 10 s with 100 every 100 ms: both are 1,000 polls a second."""
    costs = {}
    with TemporaryDirectory() as name:
        for network, (count, interval) in enumerate(((10_000, "10s"), (100, "100ms")), start=3):
            with simulated_fleet(count, Path(name), network) as fleet:
                config = polled_every(fleet, interval)
                costs[count] = _ours(config, Path(name) / f"daemon-{count}")
    return at_most(
        "CPU per poll at 10,000 devices against 100",
        costs[10_000] / costs[100],
        MOST_OF_SMALL,
        " x",
        f"{costs[10_000]:.0f} µs, {costs[100]:.0f} µs",
    )
