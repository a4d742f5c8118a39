"""The devices change all at once or not at all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

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

    def client(self, address: str, session: Session, *settings: Any) -> NtpClient:
        if address == "bad":
            raise ValueError("not an address")
        return super().client(address, session, *settings)


def spec(name: str, address: str, factory: ClientFactory, scheme: str = "https") -> DeviceSpec:
    return DeviceSpec(DeviceTarget(name, address, {}, 60.0, 10.0, scheme), factory, Expect())


@asynccontextmanager
async def reconciling() -> AsyncIterator[tuple[Reconciler, Fleet]]:
    async with open_session() as session:
        fleet, exposition = Fleet(), Exposition()
        poller = Poller(100, Observer(), exposition.refresh, HostClock())
        yield Reconciler(fleet, session, poller, exposition), fleet
        await poller.stop()


@pytest.mark.parametrize("bad_name", ["cam-0", "cam-3", "cam-9"])
async def test_an_update_that_fails_changes_nothing_and_the_next_one_works(bad_name: str) -> None:
    async with reconciling() as (reconciler, fleet):
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


@pytest.mark.parametrize("slices", range(16))
async def test_an_update_that_is_cancelled_at_any_slice_is_completed_by_the_next(
    slices: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.system.slices.SLICE_SECONDS", 0.0)
    factory, other = ClientFactory(SETTINGS), ClientFactory(SETTINGS)
    old = {name: spec(name, "127.0.0.1:9", factory) for name in ("cam-0", "cam-1", "cam-2")}
    new = {
        "cam-1": spec("cam-1", "127.0.0.1:10", factory),
        "cam-2": spec("cam-2", "127.0.0.1:9", other),
        "cam-3": spec("cam-3", "127.0.0.1:9", other),
    }
    async with reconciling() as (reconciler, fleet):
        await reconciler.update(old, 100)
        kept = fleet["cam-2"].client
        interrupted = asyncio.create_task(reconciler.update(new, 100))
        for _ in range(slices):
            await asyncio.sleep(0)
        interrupted.cancel()
        await asyncio.gather(interrupted, return_exceptions=True)
        await reconciler.update(new, 100)
        targets = {device.target.name: device.target for device in fleet}
        assert targets == {name: each.target for name, each in new.items()}
        assert fleet["cam-2"].client is not kept
        assert await reconciler.update(new, 100) == Changes(0, 0, 0)


async def test_a_device_with_another_scheme_gets_a_new_client_and_keeps_its_state() -> None:
    async with reconciling() as (reconciler, fleet):
        factory = ClientFactory(SETTINGS)
        await reconciler.update({"cam": spec("cam", "127.0.0.1:9", factory, "http")}, 100)
        client, state = fleet["cam"].client, fleet["cam"].state
        changed = {"cam": spec("cam", "127.0.0.1:9", factory, "https")}
        assert await reconciler.update(changed, 100) == Changes(0, 0, 1)
        assert fleet["cam"].client is not client
        assert fleet["cam"].state is state
