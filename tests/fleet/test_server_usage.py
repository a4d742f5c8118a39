"""Which servers of the devices are counted, from their last readings."""

from collections.abc import Sequence
from typing import cast

import pytest

from exporter.clock.host import HostTime
from exporter.clock.offset import SECOND_NS
from exporter.config import TimeServersConfig
from exporter.devices.state import DeviceState, PollOutcome
from exporter.fleet import server_usage
from exporter.fleet.registry import Fleet
from exporter.time_servers.targets import TargetRules, Usage
from exporter.vapix.errors import DeviceError, PollTimeout
from exporter.vapix.ntp_info import NtpClientReading, NtpSettings, Reading

RULES = TargetRules(TimeServersConfig(used_by_devices=True, allowed=("10.0.0.0/8",)))


class FakeDevice:
    """A device of which only the state is read."""

    def __init__(self) -> None:
        self.state = DeviceState()

    def poll(self, result: Reading | DeviceError) -> None:
        at_ns = (self.state.polls + 1) * 60 * SECOND_NS
        self.state.record(PollOutcome(HostTime(at_ns, at_ns), 10**7, result))


def reading(*servers: str, nts: bool = False) -> Reading:
    settings = NtpSettings(
        nts_enabled=nts,
        servers_source="static",
        static_servers=() if nts else servers,
        nts_ke_servers=servers if nts else (),
    )
    return Reading("1.5", NtpClientReading(settings), server_present=False)


async def count(devices: Sequence[FakeDevice]) -> dict[str, int]:
    usage = await server_usage._count(cast("Fleet", devices), Usage(RULES))
    return {host: number for (host, _), number in usage.devices.items()}


async def test_a_device_that_fails_a_poll_still_uses_its_servers() -> None:
    devices = [FakeDevice() for _ in range(3)]
    assert await count(devices) == {}
    for device in devices:
        device.poll(reading("10.0.0.7"))
        device.poll(PollTimeout("no response within 10 s"))
    assert await count(devices) == {"10.0.0.7": 3}
    devices[0].poll(reading("10.0.0.8"))
    devices[1].poll(Reading("1.5", None, server_present=True))
    assert await count(devices) == {"10.0.0.7": 1, "10.0.0.8": 1}


async def test_the_servers_of_nts_devices_need_not_answer_ntp_and_are_not_counted() -> None:
    device = FakeDevice()
    device.poll(reading("10.0.0.9", nts=True))
    assert await count([device]) == {}


async def test_hostile_devices_do_not_hide_the_servers_of_others_at_every_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_usage, "_PAUSE_SECONDS", 0)
    devices = [FakeDevice() for _ in range(100)]
    for number, device in enumerate(devices):
        names = (f"10.66.{number}.{n}" for n in range(1, 33)) if number < 40 else ("10.0.0.7",)
        device.poll(reading(*names))
    found = [(await count(devices)).get("10.0.0.7", 0) for _ in range(50)]
    # Which pass begins where is random: that 50 in a row begin with the hostile ones, is not.
    assert max(found) == 60
    assert all(number in (0, 60) for number in found)


async def test_without_devices_nothing_is_counted() -> None:
    assert await count([]) == {}
