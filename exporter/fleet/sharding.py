"""Sharding: several exporters divide the devices of one config."""

import argparse
import re
from dataclasses import dataclass
from typing import Final

from exporter.polling.schedule import stable_hash

_PATTERN: Final = re.compile(r"(\d{1,6})/(\d{1,6})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Shard:
    """Instance `index`, from 0, of `count`."""

    index: int
    count: int

    def __str__(self) -> str:
        """Return the form of the command line: `0/3`."""
        return f"{self.index}/{self.count}"

    def owns(self, name: str) -> bool:
        """Whether this instance polls the device. Exactly one instance owns each name.

        The hash is that of Prometheus's `hashmod`, so that relabelling divides devices alike.
        """
        return stable_hash(name) % self.count == self.index


ALL_DEVICES: Final = Shard(0, 1)
"""A single instance that polls every device."""


def parse_shard(text: str) -> Shard:
    """Parse `I/N`. Raises `argparse.ArgumentTypeError`."""
    found = _PATTERN.fullmatch(text)
    shard = Shard(int(found[1]), int(found[2])) if found else None
    if shard is None or not shard.index < shard.count:
        hint = "use I/N with I from 0 to N-1, such as 0/3"
        raise argparse.ArgumentTypeError(f"{text!r} is not a shard: {hint}")
    return shard
