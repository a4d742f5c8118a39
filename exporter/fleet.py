"""The devices that are polled, made from the config."""

from __future__ import annotations

from collections.abc import Iterator

from yarl import URL

from exporter.config import Config, Module, split_address
from exporter.config.model import Device as DeviceConfig
from exporter.device import Device, Target
from exporter.shard import WHOLE, Shard
from exporter.state import DeviceState
from exporter.vapix import ntp
from exporter.vapix.auth import Authenticator
from exporter.vapix.client import Endpoint, NtpClient
from exporter.vapix.session import Session
from exporter.vapix.tls import make_ssl_context


class Fleet:
    """Every configured device by name, in the config's order."""

    def __init__(self, devices: list[Device]) -> None:
        self._devices = {device.target.name: device for device in devices}

    def __iter__(self) -> Iterator[Device]:
        return iter(self._devices.values())

    def __len__(self) -> int:
        return len(self._devices)

    @property
    def all_polled(self) -> bool:
        """Whether every device's first poll has ended, well or not."""
        return all(device.state.polls for device in self)


def build_fleet(config: Config, session: Session, shard: Shard = WHOLE) -> Fleet:
    """The devices of a config that are this shard's.

    Raises `OSError` or `ValueError` for an unreadable secret file.
    """
    entries = [entry for entry in config.devices if shard.owns(entry.label)]
    names = dict.fromkeys(entry.module for entry in entries)
    doors = {name: _Door(config.module(name)) for name in names}
    return Fleet([_device(config, entry, doors[entry.module], session) for entry in entries])


class _Door:
    """What all devices of a module share: credentials read once, one TLS context."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.credentials = module.auth.credentials()
        secure = module.scheme == "https"
        self.tls = make_ssl_context(module.tls_config.settings()) if secure else None

    def endpoint(self, address: str) -> Endpoint:
        host, port = split_address(address)
        url = URL.build(scheme=self.module.scheme, host=host, port=port, path=ntp.PATH)
        return Endpoint(url, self.tls, self.module.tls_config.server_name)

    def authenticator(self) -> Authenticator:
        secure = self.tls is not None
        return Authenticator(self.module.auth.scheme, self.credentials, secure=secure)


def _device(config: Config, entry: DeviceConfig, door: _Door, session: Session) -> Device:
    module = door.module
    target = Target(
        name=entry.label,
        address=entry.address,
        labels=entry.labels,
        interval_seconds=module.interval or config.global_.interval,
        timeout_seconds=module.timeout or config.global_.timeout,
    )
    client = NtpClient(session, door.endpoint(entry.address), door.authenticator())
    return Device(target, client, DeviceState(expect=config.expect(entry)))
