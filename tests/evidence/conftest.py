"""A real Prometheus with a simulated day, for all tests of the group `evidence`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final, Literal

import pytest

from exporter.config.http_client import HttpClientConfig
from exporter.evidence.prometheus_api import PrometheusApi
from exporter.evidence.reading import Wanted, answer
from exporter.evidence.records import Asked
from exporter.evidence.series import DEVICE_SERIES, HOST_SERIES
from exporter.evidence.statement import Statement
from tests.evidence.simulated_day import DAY, HOUR, SimulatedCamera, SimulatedDay, simulate
from tests.support.programs import LOOPBACK, enter_on_free_ports
from tests.support.prometheus import Prometheus, prometheus_on

WINDOW: Final = 900.0
STRANGE: Final = 'a"b\\c{}=~.*|é'
"""A name that PromQL must have escaped."""

_ORIGINAL: Final = 'job="axis",instance="exporter:10123"'
_OTHER: Final = _ORIGINAL.replace("exporter", "b")
_OTHER_JOB: Final = _ORIGINAL.replace("axis", "other")
_COPIES: Final = {
    "ha": (_ORIGINAL, _OTHER),
    "twin": (_ORIGINAL, _OTHER_JOB),
    r"a\"b\\c{}=~.*|é": (_ORIGINAL,),
    "eight": (_ORIGINAL,),
}
"""Devices that are copies of cam-0, in two hours, and the targets that have them.

Of `eight`, only those of the eight series that docs/evidence.md lists are kept.
"""

COPIED: Final = (2 * HOUR, 4 * HOUR)

_SERVERS: Final = (
    ("right", 0.0, 1),
    ("right too", 0.001, 1),
    ("wrong", 0.2, 1),
    ("unusable", 0.0, 0),
)
"""Time servers: name, how far off, and whether an NTP client would use them."""

FAR_SECONDS: Final = 2 * HOUR
"""How far `far`, a copy of cam-0 for the whole day, is ahead of it."""


@dataclass
class EvidenceSite:
    """Prometheus with the day in it."""

    day: SimulatedDay
    prometheus: Prometheus

    def __post_init__(self) -> None:
        self.url = f"http://{LOOPBACK}:{self.prometheus.port}"
        self.api = PrometheusApi(self.url, HttpClientConfig())

    async def ask(
        self, camera: SimulatedCamera, kind: Literal["at", "shown"], m: float
    ) -> Statement:
        time_ns = self.day.true_ns(m) if kind == "at" else self.day.shown_ns(camera, m)
        wanted = Wanted(camera.name, {}, Asked(kind, time_ns), WINDOW)
        now_ns = self.day.true_ns(DAY + HOUR)
        return (await answer(self.api, wanted, now_ns))[0]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EvidenceSite]:
    folder = tmp_path_factory.mktemp("evidence")
    day = simulate(seed=18, cameras=12)
    day.lines += [*_copies(day), *_time_servers(day)]
    day.write_blocks(folder)
    with ExitStack() as stack:
        prometheus = enter_on_free_ports(stack, lambda: prometheus_on({}, folder))
        yield EvidenceSite(day, prometheus)


def _copies(day: SimulatedDay) -> Iterator[str]:
    start, end = (day.epoch + edge for edge in COPIED)
    for line in day.lines:
        if 'device="cam-0"' in line:
            yield _ahead(line)
        if not start < float(line.rpartition(" ")[2]) < end:
            continue
        if 'device="cam-0"' in line:
            for name, targets in _COPIES.items():
                if name == "eight" and not line.startswith(DEVICE_SERIES):
                    continue
                copy = line.replace('device="cam-0"', f'device="{name}"')
                yield from (copy.replace(_ORIGINAL, target) for target in targets)
        elif line.startswith("axis_ntp_exporter_"):
            yield from (line.replace(_ORIGINAL, target) for target in (_OTHER, _OTHER_JOB))


def _time_servers(day: SimulatedDay) -> Iterator[str]:
    for line in day.lines:
        name, labels, value, stamp = _parts(line)
        if not name.startswith(HOST_SERIES[0].removesuffix("_seconds")):
            continue
        for server, off, selectable in _SERVERS:
            of_server = name.replace("exporter_host_clock", "time_server")
            series = f'{of_server}{{{labels},server="{server}"}}'
            is_offset = name == HOST_SERIES[0]
            yield f"{series} {off - float(value) if is_offset else value} {stamp}\n"
            if is_offset:
                flag = series.replace("offset_seconds", "selectable")
                yield f"{flag} {selectable} {stamp}\n"


def _parts(line: str) -> tuple[str, str, str, str]:
    series, value, stamp = line.rsplit(" ", 2)
    name, _, labels = series.partition("{")
    return name, labels.rstrip("}"), value, stamp.rstrip()


def _ahead(line: str) -> str:
    series, value, stamp = line.replace('device="cam-0"', 'device="far"').rsplit(" ", 2)
    if series.startswith("axis_ntp_clock_offset_seconds"):
        value = repr(float(value) + FAR_SECONDS)
    return f"{series} {value} {stamp}"
