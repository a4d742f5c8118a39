"""The discovered devices in force by source, as text. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from textwrap import indent

import yaml

from exporter.config import DeviceConfig
from exporter.config.loader import dump_devices
from exporter.discovery.target_groups import Source

Listing = list[Source | DeviceConfig]
"""The accepted devices, then each source followed by what it lists, accepted or not.

It is flat, so that it can be compared and freed in steps.
"""

_HEAD = """\
# Devices that file_sd_configs and http_sd_configs have found. They are not part of the config file.
discovered:
"""


def list_by_source(
    accepted: Sequence[DeviceConfig], found: Mapping[Source, Sequence[DeviceConfig]]
) -> Listing:
    """Return the accepted devices, and what each source has listed."""
    listing: Listing = [*accepted]
    for source, devices in found.items():
        listing += (source, *devices)
    return listing


def dump_discovered(listing: Iterable[Source | DeviceConfig]) -> str:
    """Return the accepted devices by source as YAML; empty if there are none."""
    text = "".join(_dump_source(source, devices) for source, devices in _by_source(listing))
    return _HEAD + text if text else ""


def _by_source(listing: Iterable[Source | DeviceConfig]) -> list[tuple[Source, list[DeviceConfig]]]:
    # By identity: two sources may list equal devices, of which one is accepted.
    accepted: set[int] = set()
    sources: list[tuple[Source, list[DeviceConfig]]] = []
    for entry in listing:
        if isinstance(entry, Source):
            sources.append((entry, []))
        elif not sources:
            accepted.add(id(entry))
        elif id(entry) in accepted:
            sources[-1][1].append(entry)
    return [(source, devices) for source, devices in sources if devices]


def _dump_source(source: Source, devices: Sequence[DeviceConfig]) -> str:
    head = yaml.safe_dump(
        [{"mechanism": source.mechanism, "source": source.name}],
        sort_keys=False,
        allow_unicode=True,
        width=math.inf,
    )
    return head + indent(dump_devices(devices), "  ")
