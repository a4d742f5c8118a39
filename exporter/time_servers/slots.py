"""Which servers of devices are asked, and for how long. Pure.

A device may name other servers at every poll. So a server that is asked has a slot, which is free
again an hour after its last use: no more servers than slots are asked in an hour.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from exporter.time_servers.targets import Key, TargetRules, TimeServerTarget, Usage

MAX_DEVICE_SERVERS: Final = 256
"""The most servers of devices that are asked within an hour."""

SLOT_SECONDS: Final = 3600.0
"""How long a slot stays taken after the last device stopped using its server."""

ASKED_SECONDS: Final = 900.0
"""How long a server is still asked then: a target list may lack its devices for a moment."""


@dataclass(slots=True)
class _Slot:
    target: TimeServerTarget
    used_at: float


class Slots:
    """The servers of devices. Times are seconds of one steady clock."""

    def __init__(self) -> None:
        self._slots: dict[Key, _Slot] = {}

    @property
    def keys(self) -> Iterable[Key]:
        """The servers that have a slot."""
        return self._slots.keys()

    def apply(self, rules: TargetRules) -> None:
        """Free the slots of servers that are configured now, or no longer allowed."""
        self._slots = {
            key: slot
            for key, slot in self._slots.items()
            if key not in rules.configured and rules.counts(key)
        }

    def use(self, usage: Usage, now: float) -> None:
        """Note which servers the devices use, and give free slots to new ones."""
        for key, slot in self._slots.items():
            if usage.devices.get(key):
                slot.used_at = now
        self._slots = {
            key: slot for key, slot in self._slots.items() if now - slot.used_at < SLOT_SECONDS
        }
        for key in usage.most_used():
            if key not in self._slots and len(self._slots) < _open_to(usage.devices[key]):
                target = TimeServerTarget(usage.labels[key], *key, is_configured=False)
                self._slots[key] = _Slot(target, now)

    def targets(self, now: float) -> dict[Key, TimeServerTarget]:
        """Return the servers to ask."""
        return {
            key: slot.target
            for key, slot in self._slots.items()
            if now - slot.used_at < ASKED_SECONDS
        }


def _open_to(devices: int) -> int:
    """Return up to how many slots a server of so many devices may fill.

    One device may take only half of the slots, two only half of the others, and so on. So a few
    hostile devices that name many servers leave room for those that most devices use.
    """
    return MAX_DEVICE_SERVERS - (MAX_DEVICE_SERVERS >> devices)
