"""Who of the discovered devices gets in: one device a name, each by a module there is. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from exporter.config import Config, DeviceConfig


class Source(NamedTuple):
    """A file or a URL that tells of devices, and the mechanism it is read with."""

    mechanism: str
    name: str


class AcceptedTargets(NamedTuple):
    """The devices that got in, and for each source what is wrong with those that did not."""

    entries: tuple[DeviceConfig, ...]
    problems: Mapping[Source, tuple[str, ...]]


def accept_targets(
    config: Config, found: Mapping[Source, Sequence[DeviceConfig]]
) -> AcceptedTargets:
    """Let in what can be polled; configured names come first, then sources in their order."""
    owners = {entry.label: "the config" for entry in config.devices}
    admitted: list[DeviceConfig] = []
    problems = {}
    for source, entries in found.items():
        refused = []
        for entry in entries:
            if problem := _problem(entry, config, owners):
                refused.append(problem)
            else:
                owners[entry.label] = source.name
                admitted.append(entry)
        problems[source] = tuple(refused)
    return AcceptedTargets(tuple(admitted), problems)


def _problem(entry: DeviceConfig, config: Config, owners: Mapping[str, str]) -> str | None:
    if entry.module not in config.modules:
        return f"target {entry.address!r}: there is no module {entry.module!r}"
    if owner := owners.get(entry.label):
        return f"target {entry.address!r}: {entry.label!r} is already the name of one of {owner}"
    return None
