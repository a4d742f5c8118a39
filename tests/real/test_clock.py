"""The measured clock of Apache httpd, against the true offset that libfaketime sets."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import pytest

from exporter.clock.estimator import DeviceClock
from exporter.clock.host import HostClock, steady_ns
from exporter.clock.http_time import clock_sample, clock_samples
from exporter.clock.offset import SECOND_NS, Offset
from exporter.vapix.client import NtpClient
from exporter.vapix.errors import DeviceError
from exporter.vapix.tls import TlsSettings
from tests.real.conftest import StartApache
from tests.support.apache import Apache
from tests.support.apache_client import ClientOptions, open_client
from tests.support.apache_config import ApacheSettings
from tests.support.certificates import self_signed
from tests.support.programs import faked_wall_clock

THIS_YEAR = time.gmtime().tm_year
ANY_CERTIFICATE = ClientOptions(tls=TlsSettings(insecure_skip_verify=True))


def faked(offset: str) -> dict[str, str]:
    return faked_wall_clock(FAKETIME=offset)


async def look(client: NtpClient, clock: DeviceClock) -> Offset:
    begun_ns = steady_ns()
    _, times = await client.get_info()
    ready_after_ns = times.responses[0].sent_ns - begun_ns
    clock.take_poll(clock_samples(times.responses, THIS_YEAR), ready_after_ns)
    offset = clock.offset(HostClock().now())
    assert offset is not None
    return offset


async def offset_after(polls: int, apache: Apache, settings: ClientOptions) -> Offset:
    clock = DeviceClock()
    async with open_client(apache, settings) as client:
        for _ in range(polls):
            offset = await look(client, clock)
    return offset


class Compared(NamedTuple):
    """A measured offset against the true one; `host_moved_seconds` is by how much the host's wall
    clock moved against its steady one meanwhile: the device's clock, which is that one, moved too.
    """

    error_seconds: float
    uncertainty_seconds: float
    host_moved_seconds: float

    @property
    def holds_the_truth(self) -> bool:
        return abs(self.error_seconds) <= self.uncertainty_seconds + abs(self.host_moved_seconds)


async def compared(apache: Apache, truth: float) -> Compared:
    before = HostClock().now()
    offset = await offset_after(1, apache, ClientOptions())
    after = HostClock().now()
    moved_ns = after.unix_minus_steady_ns - before.unix_minus_steady_ns
    return Compared(offset.seconds - truth, offset.uncertainty_seconds, moved_ns / SECOND_NS)


@pytest.mark.parametrize("truth", [0.0, 3.25, -0.4, -7200.5, 86_400.125, 1_000_000_000.75])
async def test_one_poll_of_a_digest_device_measures_its_clock_to_5_ms(
    truth: float, start_apache: StartApache
) -> None:
    apache = start_apache(ApacheSettings(env=faked(f"{truth:+.3f}")))
    # New clients, one poll each: a loaded machine widens intervals, even most of them.
    looks = [await compared(apache, truth) for _ in range(10)]
    assert all(each.holds_the_truth for each in looks), looks
    assert min(each.uncertainty_seconds for each in looks) <= 0.005, looks


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
    offset = await offset_after(10, start_apache(settings), ANY_CERTIFICATE)
    assert abs(offset.seconds - 3.25) <= offset.uncertainty_seconds
    assert offset.uncertainty_seconds <= 0.52
