"""The registry of the devices that are polled."""

from collections.abc import Iterable, Iterator

from exporter.devices.device import Device


class Fleet:
    """The devices of this exporter, by name."""

    def __init__(self, devices: Iterable[Device] = ()) -> None:
        self._devices = {device.target.name: device for device in devices}
        self._all_polled = False

    def __iter__(self) -> Iterator[Device]:
        return iter(list(self._devices.values()))

    def __len__(self) -> int:
        return len(self._devices)

    def __contains__(self, name: object) -> bool:
        return name in self._devices

    def __getitem__(self, name: str) -> Device:
        return self._devices[name]

    def find(self, name_or_address: str) -> Device | None:
        """Return the device with that name, else the first with that address as configured."""
        named = self._devices.get(name_or_address)
        return named or next((d for d in self if d.target.address == name_or_address), None)

    def add(self, device: Device) -> None:
        """Add a device. Its name must be unused."""
        self._devices[device.target.name] = device

    def remove(self, name: str) -> Device:
        """Remove a device and return it. Raises `KeyError`."""
        return self._devices.pop(name)

    @property
    def all_polled(self) -> bool:
        """Whether every device's first poll has ended; stays true, even when devices are added."""
        self._all_polled = self._all_polled or all(device.state.polls for device in self)
        return self._all_polled
