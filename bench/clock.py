"""How precisely clocks are read: the table of docs/clock.md, measured against the truth."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from yarl import URL

from exporter.clock import Offset
from exporter.device_clock import DeviceClock
from exporter.host_clock import HostClock, steady_ns
from exporter.simulator.certificates import make_identity
from exporter.simulator.device import SimulatedDevice
from exporter.simulator.server import serve
from exporter.vapix import ntp
from exporter.vapix.auth import Authenticator, Credentials
from exporter.vapix.client import Endpoint, NtpClient
from exporter.vapix.session import Session, open_session
from exporter.vapix.sighting import observations
from exporter.vapix.tls import TlsSettings, make_ssl_context
from tests.clock.simulated_time import Poller, Truth

RUNS = 200
TRUE_OFFSET_SECONDS = 3.25


@dataclass(frozen=True, slots=True)
class Row:
    """A case, the widest half-width it gave, its bar (both seconds), and the truths missed."""

    case: str
    half_width_seconds: float
    bar_seconds: float
    missed: int

    def __str__(self) -> str:
        width, bar = f"{self.half_width_seconds * 1e3:.2f} ms", f"{self.bar_seconds * 1e3:g} ms"
        return f"| {self.case:<58} | {width:>10} | {bar:>6} | {self.missed} |"


async def loopback(case: str, polls: int, bar_seconds: float, *, secure: bool) -> Row:
    """Poll a simulated device over loopback, a second apart, as the daemon does."""
    device = SimulatedDevice("bench")
    device.clock.offset_seconds = TRUE_OFFSET_SECONDS
    tls = make_identity(device.mac).server_context() if secure else None
    async with serve(device, tls=tls) as served, open_session() as session:
        client = _client(session, served.address, secure=secure)
        clock, host, missed = DeviceClock(), HostClock(), 0
        offset = Offset(0.0, math.inf)
        turn_ns = steady_ns()
        for number in range(polls):
            due_ns = turn_ns + number * 10**9
            due_ns += round(clock.shift_seconds(due_ns) * 1e9)
            await asyncio.sleep(max(0, due_ns - steady_ns()) / 1e9)
            await client.get_info(due_ns + clock.lead_ns)
            sightings = client.take_sightings()
            seen = observations(sightings, time.gmtime().tm_year)
            clock.take_poll(seen, sightings[0].ready_ns - due_ns)
            offset = clock.offset(host.now()) or offset
            missed += abs(offset.seconds - TRUE_OFFSET_SECONDS) > offset.uncertainty_seconds
    return Row(case, offset.uncertainty_seconds, bar_seconds, missed)


def _client(session: Session, address: str, *, secure: bool) -> NtpClient:
    context = make_ssl_context(TlsSettings(insecure_skip_verify=True)) if secure else None
    url = URL(f"{'https' if secure else 'http'}://{address}{ntp.PATH}")
    credentials = Credentials("root", "pass")
    return NtpClient(
        session, Endpoint(url, context), Authenticator("auto", credentials, secure=secure)
    )


def simulated(case: str, polls: int, bar_seconds: float, drift_ppm: float) -> Row:
    """Poll in simulated time, 60 s apart, many times over; the worst counts."""
    widest, missed = 0.0, 0
    for seed in range(RUNS):
        rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
        poller = Poller(Truth(rng.randint(-(10**12), 10**12), drift_ppm), 60.0, rng)
        looks = list(poller.polls(polls + 40))
        missed += sum(not look.holds_the_truth for look in looks)
        widest = max(widest, *(look.half_width_seconds for look in looks[polls - 1 :]))
    return Row(case, widest, bar_seconds, missed)


def rows() -> Iterator[Row]:
    """Every row, measured when it is asked for."""
    yield asyncio.run(loopback("Digest over HTTP, 1 poll", 1, 0.005, secure=False))
    case = "Date only, TLS + Basic, 1 s polls, 12 polls"
    yield asyncio.run(loopback(case, 12, 0.020, secure=True))
    for drift_ppm in (50, -50):
        case = f"Date only, {drift_ppm:+} ppm, 60 s polls, after 15 (simulated)"
        yield simulated(case, 15, 0.025, drift_ppm)


def main() -> None:
    """Print the table."""
    print("| case | half-width | bar | truths missed |\n| --- | --- | --- | --- |")
    for row in rows():
        print(row)


if __name__ == "__main__":
    main()
