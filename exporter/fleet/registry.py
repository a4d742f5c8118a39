"""The devices that are polled now, by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from exporter.devices.device import Device


class Fleet:
    """Every device of this instance; they come and go with config and discovery."""

    def __init__(self, devices: Iterable[Device] = ()) -> None:
        self._devices = {device.target.name: device for device in devices}
        self._was_polled = False

    def __iter__(self) -> Iterator[Device]:
        return iter(list(self._devices.values()))

    def __len__(self) -> int:
        return len(self._devices)

    def __contains__(self, name: object) -> bool:
        return name in self._devices

    def __getitem__(self, name: str) -> Device:
        return self._devices[name]

    def find(self, name_or_address: str) -> Device | None:
        """The device of that name, or else the first at that address, spelled as configured."""
        named = self._devices.get(name_or_address)
        return named or next((d for d in self if d.target.address == name_or_address), None)

    def add(self, device: Device) -> None:
        """Take in a device; another of its name must have been removed."""
        self._devices[device.target.name] = device

    def remove(self, name: str) -> Device:
        """Let a device go; it is returned. Raises `KeyError`."""
        return self._devices.pop(name)

    @property
    def all_polled(self) -> bool:
        """Whether every device's first poll has ended, well or not; once so, it stays so."""
        self._was_polled = self._was_polled or all(device.state.polls for device in self)
        return self._was_polled
