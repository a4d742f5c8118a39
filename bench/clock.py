"""Precision of measured offsets: the table of docs/clock.md, compared with the true offset."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from yarl import URL

from bench.table import Row, at_most
from exporter.clock.drift import Drift
from exporter.clock.estimator import DeviceClock
from exporter.clock.host import HostClock, steady_ns
from exporter.clock.http_time import clock_samples
from exporter.clock.offset import SECOND_NS, Offset
from exporter.simulator.certificates import make_identity
from exporter.simulator.device import SimulatedDevice
from exporter.simulator.server import serve
from exporter.vapix import ntp
from exporter.vapix.client import Endpoint, NtpClient
from exporter.vapix.connection import Session, open_session
from exporter.vapix.http_auth import Authenticator, DeviceCredentials
from exporter.vapix.tls import TlsSettings, make_ssl_context
from tests.support.apache import running_apache
from tests.support.apache_client import open_client
from tests.support.apache_config import ApacheSettings
from tests.support.programs import faked_wall_clock
from tests.support.simulated_time import Poller, See, Truth, see_date, see_nonce

RUNS = 200
OBSERVERS = 5
TRUE_OFFSET_SECONDS = 3.25


def _row(case: str, half_width_seconds: float, bar_seconds: float, missed: int) -> Row:
    note = f"truths missed: {missed}"
    row = at_most(case, half_width_seconds * 1e3, bar_seconds * 1e3, " ms", note)
    return row._replace(met=row.met and not missed)


async def loopback(case: str, polls: int, bar_seconds: float, *, secure: bool) -> Row:
    """Poll a simulated device over loopback every second, as the daemon does."""
    device = SimulatedDevice("bench")
    device.clock.offset_seconds = TRUE_OFFSET_SECONDS
    tls = make_identity(device.mac).server_context() if secure else None
    async with serve(device, tls=tls) as served, open_session() as session:
        client = _client(session, served.address, secure=secure)
        clock, host, missed = DeviceClock(), HostClock(), 0
        offset = Offset(0.0, math.inf)
        turn_ns = steady_ns()
        for number in range(polls):
            aimed_ns = turn_ns + number * SECOND_NS
            aimed_ns += round(clock.shift_seconds(aimed_ns) * SECOND_NS)
            await asyncio.sleep(max(0, aimed_ns - clock.lead_ns - steady_ns()) / SECOND_NS)
            begun_ns = steady_ns()
            _, (responses, held_ns) = await client.get_info(send_at_ns=aimed_ns)
            ready_after_ns = responses[0].sent_ns - begun_ns - held_ns
            clock.take_poll(clock_samples(responses, time.gmtime().tm_year), ready_after_ns)
            offset = clock.offset(host.now()) or offset
            missed += abs(offset.seconds - TRUE_OFFSET_SECONDS) > offset.uncertainty_seconds
    return _row(case, offset.uncertainty_seconds, bar_seconds, missed)


def _client(session: Session, address: str, *, secure: bool) -> NtpClient:
    context = make_ssl_context(TlsSettings(insecure_skip_verify=True)) if secure else None
    url = URL(f"{'https' if secure else 'http'}://{address}{ntp.PATH}")
    credentials = DeviceCredentials("root", "pass")
    return NtpClient(
        session, Endpoint(url, context), Authenticator("auto", credentials, secure=secure)
    )


def simulated(case: str, polls: int, bar_seconds: float, drift_ppm: float) -> Row:
    """Poll in simulated time every 60 s, in many runs; report the worst."""
    widest, missed = 0.0, 0
    for seed in range(RUNS):
        rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
        poller = Poller(Truth(rng.randint(-(10**12), 10**12), drift_ppm), 60.0, rng)
        looks = poller.polls(polls + 40)
        missed += sum(not look.holds_the_truth for look in looks)
        widest = max(widest, *(look.half_width_seconds for look in looks[polls - 1 :]))
    return _row(case, widest, bar_seconds, missed)


def drift(case: str, see: See, bar_ppm: float, most_drift_ppm: float) -> Row:
    """Poll in simulated time every 60 s for an hour, in many runs; report the worst drift."""
    widest, missed = 0.0, 0
    for seed in range(RUNS):
        rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
        true_ppm = rng.uniform(-most_drift_ppm, most_drift_ppm)
        poller = Poller(Truth(rng.randint(-(10**12), 10**12), true_ppm), 60.0, rng, see)
        poller.round_trip_seconds = (0.005, 0.005)
        poller.polls(61)
        found = poller.clock.drift or Drift(0.0, math.inf)
        widest = max(widest, found.uncertainty_ratio * 1e6)
        missed += abs(found.ratio - true_ppm / 1e6) > found.uncertainty_ratio
    row = at_most(case, widest, bar_ppm, " ppm", f"truths missed: {missed}")
    return row._replace(met=row.met and not missed)


def steps(size_seconds: float, most_polls: int) -> Row:
    """Step a settled clock in many runs; report the slowest detection."""
    slowest, missed = 0, 0
    for seed in range(RUNS):
        poller = Poller(Truth(0), 60.0, random.Random(seed))  # noqa: S311 - repeatable, not secret
        poller.polls(20 + seed % 11)
        poller.step(size_seconds)
        looks = poller.polls(20)
        seen = next(number for number, look in enumerate(looks, 1) if look.stepped)
        slowest = max(slowest, seen)
        missed += sum(not look.holds_the_truth for look in looks[seen - 1 :])
    case = f"Date only, step of {size_seconds:+g} s, 60 s polls (simulated)"
    row = at_most(case, slowest, most_polls, " polls", f"truths missed: {missed}")
    return row._replace(met=row.met and not missed)


async def apache() -> Row:
    """Poll a real Apache with a wrong clock, once with each of several new clients."""
    widest, missed = 0.0, 0
    settings = ApacheSettings(env=faked_wall_clock(FAKETIME=f"{TRUE_OFFSET_SECONDS:+}"))
    with TemporaryDirectory() as folder, running_apache(settings, Path(folder)) as device:
        for _ in range(OBSERVERS):
            async with open_client(device) as client:
                _, times = await client.get_info()
                clock = DeviceClock()
                seen = clock_samples(times.responses, time.gmtime().tm_year)
                clock.take_poll(seen, None)
                offset = clock.offset(HostClock().now()) or Offset(0.0, math.inf)
            widest = max(widest, offset.uncertainty_seconds)
            missed += abs(offset.seconds - TRUE_OFFSET_SECONDS) > offset.uncertainty_seconds
    case = f"Digest over HTTP, Apache under libfaketime, 1 poll, the worst of {OBSERVERS}"
    return _row(case, widest, 0.005, missed)


def rows() -> Iterator[Row]:
    """Yield every row as it is measured."""
    yield asyncio.run(loopback("Digest over HTTP, 1 poll", 1, 0.005, secure=False))
    yield asyncio.run(apache())
    case = "Date only, TLS + Basic, 1 s polls, 12 polls"
    yield asyncio.run(loopback(case, 12, 0.020, secure=True))
    for drift_ppm in (50, -50):
        case = f"Date only, {drift_ppm:+} ppm, 60 s polls, after 15 (simulated)"
        yield simulated(case, 15, 0.030, drift_ppm)
    for size_seconds, most_polls in ((3.0, 1), (-0.4, 3), (0.4, 8)):
        yield steps(size_seconds, most_polls)
    yield drift("drift, Digest, up to 100 ppm, 1 h of 60 s polls (simulated)", see_nonce, 3, 100)
    yield drift("drift, Date only, up to 50 ppm, 1 h of 60 s polls (simulated)", see_date, 15, 50)
