"""Reconcile the running devices with the configured and discovered ones.

A device that stays the same is not touched: it keeps its state, connection, nonce and schedule.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from exporter.config import Config, DeviceConfig, Expect, TimeServersConfig
from exporter.devices.device import Device, DeviceTarget
from exporter.devices.state import DeviceState
from exporter.fleet.client_factory import ClientFactories, ClientFactory
from exporter.fleet.registry import Fleet
from exporter.fleet.sharding import Shard
from exporter.metrics.exposition import Exposition
from exporter.polling.poller import Poller
from exporter.time_servers.monitor import TimeServerMonitor
from exporter.vapix.client import NtpClient
from exporter.vapix.connection import Session

RETRIES_PER_SECOND: Final = 500
"""Devices that are polled per second after a change of their credentials, to spread the load."""


class DeviceSpec(NamedTuple):
    """How a device is configured."""

    target: DeviceTarget
    factory: ClientFactory
    expect: Expect


def build_device_specs(
    config: Config, discovered: Iterable[DeviceConfig], factories: ClientFactories, shard: Shard
) -> dict[str, DeviceSpec]:
    """Return the spec of every device of this shard by name, configured devices first."""
    return {
        device.label: _build_spec(config, device, factories[device.module])
        for device in (*config.devices, *discovered)
        if shard.owns(device.label)
    }


def _build_spec(config: Config, device: DeviceConfig, factory: ClientFactory) -> DeviceSpec:
    module = config.module(device.module)
    target = DeviceTarget(
        name=device.label,
        address=device.address,
        labels=device.labels,
        interval_seconds=module.interval or config.global_.interval,
        timeout_seconds=module.timeout or config.global_.timeout,
    )
    return DeviceSpec(target, factory, config.expect(device))


def make_device(spec: DeviceSpec, session: Session) -> Device:
    """Create a device that was never polled."""
    client = spec.factory.client(spec.target.address, session)
    return Device(spec.target, client, DeviceState(expect=spec.expect))


class Changes(NamedTuple):
    """How many devices were added, removed and changed. A new address is a change."""

    added: int
    removed: int
    changed: int


class Reconciler:
    """Makes the registry, the poller, the exposition and the time servers match the config."""

    def __init__(
        self,
        fleet: Fleet,
        session: Session,
        poller: Poller,
        exposition: Exposition,
        time_servers: TimeServerMonitor,
    ) -> None:
        self._fleet = fleet
        self._session = session
        self._poller = poller
        self._exposition = exposition
        self._time_servers = time_servers
        self._specs: dict[str, DeviceSpec] = {}

    def update(
        self,
        specs: Mapping[str, DeviceSpec],
        concurrency: int,
        time_servers: TimeServersConfig,
    ) -> Changes:
        """Make the devices match `specs`, with at most `concurrency` open polls.

        All or nothing: every client is made before any device is touched.
        """
        before = self._specs
        # A device with another address is another device.
        kept = {
            name
            for name, spec in specs.items()
            if name in before and before[name].target.address == spec.target.address
        }
        removed, added = before.keys() - kept, [name for name in specs if name not in kept]
        changed = [name for name in kept if before[name] != specs[name]]
        reconnecting = [name for name in changed if before[name].factory is not specs[name].factory]
        devices = [make_device(specs[name], self._session) for name in added]
        clients = {name: self._make_client(specs[name]) for name in reconnecting}
        self._specs = dict(specs)
        for name in removed:
            self._remove(name)
        for device in devices:
            self._add(device)
        for name in changed:
            self._change(before[name], specs[name])
        for index, (name, client) in enumerate(clients.items()):
            self._replace_client(name, client, delay_seconds=index / RETRIES_PER_SECOND)
        self._poller.set_concurrency(concurrency)
        self._time_servers.apply(time_servers)
        readdressed = len(removed & set(added))
        return Changes(
            len(added) - readdressed, len(removed) - readdressed, len(changed) + readdressed
        )

    def _make_client(self, spec: DeviceSpec) -> NtpClient:
        return spec.factory.client(spec.target.address, self._session)

    def _add(self, device: Device) -> None:
        self._fleet.add(device)
        self._poller.start(device)

    def _remove(self, name: str) -> None:
        device = self._fleet.remove(name)
        self._poller.remove(device)
        self._exposition.remove(device)
        device.client.close()

    def _change(self, before: DeviceSpec, spec: DeviceSpec) -> None:
        device = self._fleet[spec.target.name]
        device.target = spec.target
        device.state.set_expect(spec.expect)
        if spec.target.labels != before.target.labels:
            self._exposition.remove(device)
        self._exposition.refresh(device)
        if spec.target.interval_seconds != before.target.interval_seconds:
            self._poller.restart(device)

    def _replace_client(self, name: str, client: NtpClient, delay_seconds: float) -> None:
        device = self._fleet[name]
        device.client.close()
        device.client = client
        self._poller.poll_soon(device, delay_seconds)
