"""Reconcile the running devices with the configured and discovered ones.

A device that stays the same is not touched: it keeps its state, connection, nonce and schedule.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Final, NamedTuple

from exporter.config import Config, DeviceConfig, Expect
from exporter.devices.device import Device, DeviceTarget
from exporter.devices.state import DeviceState
from exporter.fleet.client_factory import ClientFactories, ClientFactory
from exporter.fleet.registry import Fleet
from exporter.metrics.exposition import Exposition
from exporter.polling.poller import Poller
from exporter.system.process import freeze_new_objects
from exporter.system.slices import in_slices
from exporter.vapix.client import NtpClient
from exporter.vapix.connection import Session
from exporter.vapix.tls import Pin

RETRIES_PER_SECOND: Final = 500
"""Devices that are polled per second after a change of their credentials, to spread the load."""

FROZEN_AT_ONCE: Final = 1000
"""New devices of which the garbage collector leaves out the objects from then on. It does not run
by itself while as many old devices are freed."""


class DeviceSpec(NamedTuple):
    """How a device is configured."""

    target: DeviceTarget
    factory: ClientFactory
    expect: Expect
    pin: Pin | None = None


def build_spec(config: Config, device: DeviceConfig, factories: ClientFactories) -> DeviceSpec:
    """Return the spec of a device, with the settings of its module and the global ones."""
    module, own = config.module(device.module), device.settings_of_its_own
    target = DeviceTarget(
        name=device.label,
        address=device.address,
        labels=device.labels,
        interval_seconds=own.interval or module.interval or config.global_.interval,
        timeout_seconds=own.timeout or module.timeout or config.global_.timeout,
        scheme=own.scheme or module.scheme,
    )
    clients = factories[device.module]
    pin = clients.find_pin(device) if target.scheme == "https" else None
    return DeviceSpec(target, clients.factory, config.expect(device), pin)


def make_client(spec: DeviceSpec, session: Session) -> NtpClient:
    """Create the client of a device."""
    return spec.factory.client(spec.target.address, session, spec.target.scheme, spec.pin)


def make_device(spec: DeviceSpec, session: Session) -> Device:
    """Create a device that was never polled."""
    client = make_client(spec, session)
    return Device(spec.target, client, DeviceState(expect=spec.expect))


def _have_one_client(before: DeviceSpec, after: DeviceSpec) -> bool:
    is_same = before.factory is after.factory and before.target.scheme == after.target.scheme
    return is_same and before.pin == after.pin


class Changes(NamedTuple):
    """How many devices were added, removed and changed. A new address is a change."""

    added: int
    removed: int
    changed: int


@dataclass(slots=True)
class _Plan:
    """What an update changes. A device with another address is another device."""

    removed: list[str] = field(default_factory=list)
    added: list[tuple[DeviceSpec, Device]] = field(default_factory=list)
    changed: list[DeviceSpec] = field(default_factory=list)
    new_clients: dict[str, NtpClient] = field(default_factory=dict)
    readdressed: int = 0


class Reconciler:
    """Makes the registry, the poller and the exposition match the device specs."""

    def __init__(
        self, fleet: Fleet, session: Session, poller: Poller, exposition: Exposition
    ) -> None:
        self._fleet = fleet
        self._session = session
        self._poller = poller
        self._exposition = exposition
        self._specs: dict[str, DeviceSpec] = {}

    async def update(self, specs: Mapping[str, DeviceSpec], concurrency: int) -> Changes:
        """Make the devices match `specs`, with at most `concurrency` open polls.

        All or nothing: every client is made before any device is touched. Both are done in
        slices; the caller starts no other update meanwhile. If this one is cancelled, the next
        one goes on from what is done.
        """
        plan = await self._plan(specs)
        await self._carry_out(plan)
        self._poller.set_concurrency(concurrency)
        changed = len(plan.changed) + plan.readdressed
        return Changes(len(plan.added) - plan.readdressed, len(plan.removed), changed)

    async def _plan(self, specs: Mapping[str, DeviceSpec]) -> _Plan:
        """Compare the specs with the present ones, and make new clients. Raises `ValueError`."""
        plan = _Plan()
        async for name, spec in in_slices(specs.items()):
            before = self._specs.get(name)
            if before is None or before.target.address != spec.target.address:
                plan.added.append((spec, make_device(spec, self._session)))
                plan.readdressed += before is not None
            elif before != spec:
                plan.changed.append(spec)
                if not _have_one_client(before, spec):
                    plan.new_clients[name] = make_client(spec, self._session)
        async for name in in_slices(self._specs):
            if name not in specs:
                plan.removed.append(name)
        return plan

    async def _carry_out(self, plan: _Plan) -> None:
        async for name in in_slices(plan.removed):
            self._remove(name)
        async for number, (spec, device) in in_slices(enumerate(plan.added, 1)):
            if spec.target.name in self._specs:
                self._remove(spec.target.name)
            self._add(spec, device)
            if number % FROZEN_AT_ONCE == 0:
                freeze_new_objects()
        delays = (index / RETRIES_PER_SECOND for index in count())
        async for spec in in_slices(plan.changed):
            self._change(spec)
            if client := plan.new_clients.get(spec.target.name):
                self._replace_client(spec.target.name, client, next(delays))

    def _add(self, spec: DeviceSpec, device: Device) -> None:
        self._specs[spec.target.name] = spec
        self._fleet.add(device)
        self._poller.start(device)

    def _remove(self, name: str) -> None:
        del self._specs[name]
        device = self._fleet.remove(name)
        self._poller.remove(device)
        self._exposition.remove(device)
        device.client.close()

    def _change(self, spec: DeviceSpec) -> None:
        name = spec.target.name
        before, self._specs[name] = self._specs[name].target, spec
        device = self._fleet[name]
        device.target = spec.target
        device.state.set_expect(spec.expect)
        if spec.target.labels != before.labels:
            self._exposition.remove(device)
        self._exposition.refresh(device)
        if spec.target.interval_seconds != before.interval_seconds:
            self._poller.restart(device)

    def _replace_client(self, name: str, client: NtpClient, delay_seconds: float) -> None:
        device = self._fleet[name]
        device.client.close()
        device.client = client
        # The new one may use plain HTTP.
        device.state.identity = device.state.identity._replace(certificate_not_after=None)
        self._poller.poll_soon(device, delay_seconds)
