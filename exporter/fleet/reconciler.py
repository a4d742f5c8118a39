"""Which devices there are to be, and the steps from those that are there to those.

A device that stays as it is, is left alone: its state, connection, nonce, clock and turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from exporter.config import Config, DeviceConfig, Expect
from exporter.devices.device import Device, DeviceTarget
from exporter.devices.state import DeviceState
from exporter.fleet.client_factory import ClientFactories, ClientFactory
from exporter.fleet.registry import Fleet
from exporter.fleet.sharding import Shard
from exporter.metrics.exposition import Exposition
from exporter.polling.poller import Poller
from exporter.vapix.connection import Session

RETRIES_PER_SECOND: Final = 500
"""So many devices are tried with new credentials in a second, not all in one moment."""


class DeviceSpec(NamedTuple):
    """A device as it is to be."""

    target: DeviceTarget
    door: ClientFactory
    expect: Expect


def build_device_specs(
    config: Config, discovered: Iterable[DeviceConfig], doors: ClientFactories, shard: Shard
) -> dict[str, DeviceSpec]:
    """Every device that this shard owns, by name, the configured ones first."""
    entries = [*config.devices, *discovered]
    owned = (entry for entry in entries if shard.owns(entry.label))
    return {entry.label: _wanted(config, entry, doors[entry.module]) for entry in owned}


def _wanted(config: Config, entry: DeviceConfig, door: ClientFactory) -> DeviceSpec:
    module = config.module(entry.module)
    target = DeviceTarget(
        name=entry.label,
        address=entry.address,
        labels=entry.labels,
        interval_seconds=module.interval or config.global_.interval,
        timeout_seconds=module.timeout or config.global_.timeout,
    )
    return DeviceSpec(target, door, config.expect(entry))


def make_device(wanted: DeviceSpec, session: Session) -> Device:
    """A device of which nothing is known yet."""
    client = wanted.door.client(wanted.target.address, session)
    return Device(wanted.target, client, DeviceState(expect=wanted.expect))


class Changes(NamedTuple):
    """How many devices came, went, and stay otherwise than they were."""

    added: int
    removed: int
    changed: int


class Reconciler:
    """Keeps the fleet, its polls and its series at what is wanted."""

    def __init__(
        self, fleet: Fleet, session: Session, poller: Poller, exposition: Exposition
    ) -> None:
        self._fleet = fleet
        self._session = session
        self._poller = poller
        self._exposition = exposition
        self._wanted: dict[str, DeviceSpec] = {}

    def update(self, wanted: Mapping[str, DeviceSpec]) -> Changes:
        """Make the devices those of `wanted`, at once and without an error on the way."""
        before, self._wanted = self._wanted, dict(wanted)
        stays = {name for name in before if name in wanted and _is_same(before[name], wanted[name])}
        gone, new = before.keys() - stays, [name for name in wanted if name not in stays]
        for name in gone:
            self._remove(name)
        for name in new:
            self._add(wanted[name])
        changed = [name for name in stays if before[name] != wanted[name]]
        for name in changed:
            self._change(before[name], wanted[name])
        entered = [name for name in changed if before[name].door is not wanted[name].door]
        for place, name in enumerate(entered):
            self._enter(wanted[name], delay_seconds=place / RETRIES_PER_SECOND)
        moved = len(gone & set(new))
        return Changes(len(new) - moved, len(gone) - moved, len(changed) + moved)

    def limit_polls(self, concurrency: int) -> None:
        """How many polls may be open at once."""
        self._poller.concurrency = concurrency

    def _add(self, wanted: DeviceSpec) -> None:
        device = make_device(wanted, self._session)
        self._fleet.add(device)
        self._poller.start(device)

    def _remove(self, name: str) -> None:
        device = self._fleet.remove(name)
        self._poller.remove(device)
        self._exposition.remove(device)
        device.client.close()

    def _change(self, before: DeviceSpec, wanted: DeviceSpec) -> None:
        device = self._fleet[wanted.target.name]
        device.target = wanted.target
        device.state.set_expect(wanted.expect)
        if wanted.target.labels != before.target.labels:
            self._exposition.remove(device)
        self._exposition.refresh(device)
        if wanted.target.interval_seconds != before.target.interval_seconds:
            self._poller.restart(device)

    def _enter(self, wanted: DeviceSpec, delay_seconds: float) -> None:
        device = self._fleet[wanted.target.name]
        device.client.close()
        device.client = wanted.door.client(wanted.target.address, self._session)
        self._poller.poll_soon(device, delay_seconds)


def _is_same(before: DeviceSpec, wanted: DeviceSpec) -> bool:
    """Whether it is the same device: at another address it is another one."""
    return before.target.address == wanted.target.address
