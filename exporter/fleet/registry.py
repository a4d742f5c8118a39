"""The registry of the devices that are polled."""

from collections.abc import Iterable, Iterator

from exporter.devices.device import Device, DeviceTarget


class Fleet:
    """The devices of this exporter, by name."""

    def __init__(self, devices: Iterable[Device] = ()) -> None:
        self._devices: dict[str, Device] = {}
        self._by_address: dict[str, tuple[Device, ...]] = {}
        self._all_polled = False
        for device in devices:
            self.add(device)

    def __iter__(self) -> Iterator[Device]:
        return iter(list(self._devices.values()))

    def __len__(self) -> int:
        return len(self._devices)

    def __contains__(self, name: object) -> bool:
        return name in self._devices

    def __getitem__(self, name: str) -> Device:
        return self._devices[name]

    @property
    def targets(self) -> list[DeviceTarget]:
        """The devices' targets; the same objects for as long as nothing about them changes."""
        return [device.target for device in self._devices.values()]

    def find(self, name_or_address: str) -> Device | None:
        """Return the device with that name, else the first with that address as configured."""
        named = self._devices.get(name_or_address)
        # Not a search: 10,000 devices would take a millisecond, at each probe.
        return named or next(iter(self._by_address.get(name_or_address, ())), None)

    def add(self, device: Device) -> None:
        """Add a device. Its name must be unused."""
        address = device.target.address
        self._devices[device.target.name] = device
        self._by_address[address] = (*self._by_address.get(address, ()), device)

    def remove(self, name: str) -> Device:
        """Remove a device and return it. Raises `KeyError`."""
        device = self._devices.pop(name)
        address = device.target.address
        others = tuple(each for each in self._by_address.pop(address) if each is not device)
        if others:
            self._by_address[address] = others
        return device

    @property
    def all_polled(self) -> bool:
        """Whether every device's first poll has ended; stays true, even when devices are added."""
        self._all_polled = self._all_polled or all(device.state.polls for device in self)
        return self._all_polled
