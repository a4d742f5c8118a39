"""The measured clock of Apache httpd, against the true offset that libfaketime sets."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import pytest

from exporter.clock.estimator import DeviceClock
from exporter.clock.host import HostTime, steady_ns
from exporter.clock.http_time import CallTimes, clock_sample, clock_samples
from exporter.clock.offset import MICROSECOND_NS, SECOND_NS, SLEW_ALLOWANCE_PPM, Offset
from exporter.vapix.client import NtpClient
from exporter.vapix.errors import DeviceError
from exporter.vapix.tls import TlsSettings
from tests.real.conftest import StartApache
from tests.support.apache import Apache
from tests.support.apache_client import ClientOptions, open_client
from tests.support.apache_config import ApacheSettings
from tests.support.certificates import self_signed
from tests.support.programs import faked_wall_clock
from tests.support.wall_clock import WallClock

THIS_YEAR = time.gmtime().tm_year
ANY_CERTIFICATE = ClientOptions(tls=TlsSettings(insecure_skip_verify=True))


def faked(offset: str) -> dict[str, str]:
    return faked_wall_clock(FAKETIME=offset)


async def look(client: NtpClient, clock: DeviceClock) -> CallTimes:
    begun_ns = steady_ns()
    _, times = await client.get_info()
    ready_after_ns = times.responses[0].sent_ns - begun_ns
    clock.take_poll(clock_samples(times.responses, THIS_YEAR), ready_after_ns)
    return times


def offset_at(now: HostTime, clock: DeviceClock) -> Offset:
    offset = clock.offset(now)
    assert offset is not None
    return offset


def round_trips_seconds(times: CallTimes) -> tuple[float, ...]:
    return tuple((each.received_ns - each.sent_ns) / SECOND_NS for each in times.responses)


class Compared(NamedTuple):
    """A measured offset against the true one.

    `promised_seconds` is the uncertainty that docs/clock.md promises for the round trip of the
    challenge; `wall_moved_seconds` by how much the host's wall clock moved meanwhile: the device's
    clock, which is that one, moved too.
    """

    error_seconds: float
    uncertainty_seconds: float
    promised_seconds: float
    round_trips_seconds: tuple[float, ...]
    wall_moved_seconds: float

    @property
    def is_as_promised(self) -> bool:
        holds = abs(self.error_seconds) <= self.uncertainty_seconds + self.wall_moved_seconds
        return holds and self.uncertainty_seconds <= self.promised_seconds


async def compared(apache: Apache, truth: float) -> Compared:
    clock, wall = DeviceClock(), WallClock()
    async with open_client(apache, ClientOptions()) as client:
        times = await look(client, clock)
    now = wall.now()
    offset = offset_at(now, clock)
    round_trips = round_trips_seconds(times)
    drift_ns = (now.steady_ns - times.responses[0].sent_ns) * SLEW_ALLOWANCE_PPM / 1e6
    slack_ns = 2 * drift_ns + now.bracket_ns + MICROSECOND_NS
    promised_seconds = round_trips[0] / 2 + slack_ns / SECOND_NS
    error_seconds = offset.seconds - truth
    moved_seconds = wall.moved_seconds()
    return Compared(
        error_seconds, offset.uncertainty_seconds, promised_seconds, round_trips, moved_seconds
    )


@pytest.mark.parametrize("truth", [0.0, 3.25, -0.4, -7200.5, 86_400.125, 1_000_000_000.75])
async def test_one_poll_of_a_digest_device_measures_its_clock_to_half_a_round_trip(
    truth: float, start_apache: StartApache
) -> None:
    apache = start_apache(ApacheSettings(env=faked(f"{truth:+.3f}")))
    looks = [await compared(apache, truth) for _ in range(5)]  # new clients, one poll each
    assert all(each.is_as_promised for each in looks), looks


async def test_the_clock_is_measured_with_a_wrong_password(start_apache: StartApache) -> None:
    apache = start_apache(ApacheSettings(env=faked("+3.250")))
    async with open_client(apache, ClientOptions(password="wrong")) as client:
        with pytest.raises(DeviceError, match="HTTP 401") as refused:
            await client.get_info()
    seen = [clock_sample(response, THIS_YEAR) for response in refused.value.times.responses]
    assert len(seen) == 2
    assert all(each is not None and each.is_point for each in seen)


async def test_the_clock_is_measured_by_nextnonce(start_apache: StartApache) -> None:
    settings = ApacheSettings(env=faked("-5.500"), nonce_lifetime_seconds=20)
    apache = start_apache(settings)
    clock = DeviceClock()
    async with open_client(apache) as client:
        await look(client, clock)
        _, times = await client.get_info()
    (response,) = times.responses
    seen = clock_sample(response, THIS_YEAR)
    assert seen is not None
    assert seen.is_point


async def test_basic_over_tls_measures_the_clock_to_half_a_second(
    start_apache: StartApache, tmp_path: Path
) -> None:
    certificate = self_signed(tmp_path).with_key
    settings = ApacheSettings(certificate=certificate, auth="basic", env=faked("+3.250"))
    clock, wall = DeviceClock(), WallClock()
    async with open_client(start_apache(settings), ANY_CERTIFICATE) as client:
        times = [await look(client, clock) for _ in range(10)]
    offset = offset_at(wall.now(), clock)
    last = round_trips_seconds(times[-1])
    moved_seconds = wall.moved_seconds()
    numbers = offset, last, moved_seconds
    assert abs(offset.seconds - 3.25) <= offset.uncertainty_seconds + moved_seconds, numbers
    # Half of a second, of the 10 ms by which a Date may be late, and of the round trip; and drift.
    assert offset.uncertainty_seconds <= 0.505 + last[-1] / 2 + 0.001, numbers
