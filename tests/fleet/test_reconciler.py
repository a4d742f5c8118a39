"""The devices change all at once or not at all."""

import pytest

from exporter.clock.host import HostClock
from exporter.config import Expect, TimeServersConfig
from exporter.config.schema import ModuleConfig
from exporter.devices.device import DeviceTarget
from exporter.fleet.client_factory import ClientFactory, read_client_settings
from exporter.fleet.reconciler import Changes, DeviceSpec, Reconciler
from exporter.fleet.registry import Fleet
from exporter.metrics.exposition import Exposition
from exporter.polling.poller import Poller
from exporter.time_servers.monitor import TimeServerMonitor
from exporter.time_servers.sntp import TimeAnswer
from exporter.vapix.client import NtpClient
from exporter.vapix.connection import Session, open_session
from tests.support.polled_devices import Observer

NO_SERVERS = TimeServersConfig()
SETTINGS = read_client_settings(ModuleConfig(scheme="http"))


class FailingFactory(ClientFactory):
    """Fails at the device with this address, as an address that aiohttp refuses would."""

    def client(self, address: str, session: Session) -> NtpClient:
        if address == "bad":
            raise ValueError("not an address")
        return super().client(address, session)


async def no_query(host: str, port: int, timeout_seconds: float, attempt: int) -> TimeAnswer:
    raise AssertionError((host, port, timeout_seconds, attempt))


def spec(name: str, address: str, factory: ClientFactory) -> DeviceSpec:
    return DeviceSpec(DeviceTarget(name, address, {}, 60.0, 10.0), factory, Expect())


@pytest.mark.parametrize("bad_name", ["cam-0", "cam-3", "cam-9"])
async def test_an_update_that_fails_changes_nothing_and_the_next_one_works(bad_name: str) -> None:
    async with open_session() as session:
        fleet, exposition = Fleet(), Exposition()
        poller = Poller(100, Observer(), exposition.refresh, HostClock())
        time_servers = TimeServerMonitor(no_query, HostClock())
        reconciler = Reconciler(fleet, session, poller, exposition, time_servers)
        factory = FailingFactory(SETTINGS)
        old = {name: spec(name, "127.0.0.1:9", factory) for name in ("cam-0", "cam-1", "cam-2")}
        reconciler.update(old, 100, NO_SERVERS)
        before = [(device, device.client, device.target) for device in fleet]
        other = FailingFactory(SETTINGS)
        new = {name: spec(name, "127.0.0.1:9", other) for name in ("cam-1", "cam-3", "cam-4")}
        with pytest.raises(ValueError, match="not an address"):
            reconciler.update({**new, bad_name: spec(bad_name, "bad", other)}, 1, NO_SERVERS)
        assert [(device, device.client, device.target) for device in fleet] == before
        assert reconciler.update(new, 100, NO_SERVERS) == Changes(added=2, removed=2, changed=1)
        assert {device.target.name for device in fleet} == new.keys()
        await poller.stop()
