"""The devices change all at once or not at all."""

import pytest

from exporter.clock.host import HostClock
from exporter.config import Expect
from exporter.config.schema import ModuleConfig
from exporter.devices.device import DeviceTarget
from exporter.fleet.client_factory import ClientFactory, read_client_settings
from exporter.fleet.reconciler import Changes, DeviceSpec, Reconciler
from exporter.fleet.registry import Fleet
from exporter.metrics.exposition import Exposition
from exporter.polling.poller import Poller
from exporter.vapix.client import NtpClient
from exporter.vapix.connection import Session, open_session
from tests.support.polled_devices import Observer

SETTINGS = read_client_settings(ModuleConfig(scheme="http"))


class FailingFactory(ClientFactory):
    """Fails at the device with this address, as an address that aiohttp refuses would."""

    def client(self, address: str, session: Session) -> NtpClient:
        if address == "bad":
            raise ValueError("not an address")
        return super().client(address, session)


def spec(name: str, address: str, factory: ClientFactory) -> DeviceSpec:
    return DeviceSpec(DeviceTarget(name, address, {}, 60.0, 10.0), factory, Expect())


@pytest.mark.parametrize("bad_name", ["cam-0", "cam-3", "cam-9"])
async def test_an_update_that_fails_changes_nothing_and_the_next_one_works(bad_name: str) -> None:
    async with open_session() as session:
        fleet, exposition = Fleet(), Exposition()
        poller = Poller(100, Observer(), exposition.refresh, HostClock())
        reconciler = Reconciler(fleet, session, poller, exposition)
        factory = FailingFactory(SETTINGS)
        old = {name: spec(name, "127.0.0.1:9", factory) for name in ("cam-0", "cam-1", "cam-2")}
        await reconciler.update(old, 100)
        before = [(device, device.client, device.target) for device in fleet]
        other = FailingFactory(SETTINGS)
        new = {name: spec(name, "127.0.0.1:9", other) for name in ("cam-1", "cam-3", "cam-4")}
        with pytest.raises(ValueError, match="not an address"):
            await reconciler.update({**new, bad_name: spec(bad_name, "bad", other)}, 1)
        assert [(device, device.client, device.target) for device in fleet] == before
        assert await reconciler.update(new, 100) == Changes(added=2, removed=2, changed=1)
        assert {device.target.name for device in fleet} == new.keys()
        await poller.stop()
