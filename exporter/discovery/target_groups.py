"""Read Prometheus target groups as devices, and decide which of them are accepted. Pure."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple

from annotated_types import MaxLen
from pydantic import FailFast, Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from exporter.config import Config, DeviceConfig
from exporter.config.loader import problems_of
from exporter.config.schema import NullIsUnset
from exporter.config.yaml_loader import parse_yaml

MAX_DOCUMENT_BYTES: Final = 64 * 1024 * 1024
"""Five times as much as a list of 100,000 devices needs."""

MAX_LABELS: Final = 64
"""Labels per group: they are validated again for each target."""

_MAX_INVALID_TARGETS: Final = 10
"""Invalid targets of one document that are reported one by one; the others are counted."""

_MAX_SHOWN_CHARACTERS: Final = 100
"""How much of an invalid target is shown: enough to find it."""

_DEVICE_KEYS: Final = {"device": "name", "module": "module"}
"""Labels that set a key of the device and do not stay as labels."""


class TargetGroup(NullIsUnset):
    """Targets and the labels that they share. Go writes null for an empty list or map."""

    targets: Annotated[tuple[str, ...], FailFast()] = ()
    labels: Annotated[dict[str, str], MaxLen(MAX_LABELS)] = Field(default_factory=dict)


_GROUPS: Final = TypeAdapter(Annotated[tuple[TargetGroup, ...], FailFast()])


class Targets(NamedTuple):
    """The valid targets of one document, and the problems of the others."""

    devices: tuple[DeviceConfig, ...]
    problems: tuple[str, ...] = ()


class Source(NamedTuple):
    """A file or URL that lists targets. `mechanism` is `file` or `http`."""

    mechanism: str
    name: str


class RefreshResult(NamedTuple):
    """What a source lists now. `devices` is `None` if the source could not be read."""

    source: Source
    devices: tuple[DeviceConfig, ...] | None
    problems: tuple[str, ...]


class RefreshFailed(Exception):
    """No source of a mechanism could be read; `str()` says why."""


class AcceptedTargets(NamedTuple):
    """The accepted devices, and for each source the problems of its refused targets."""

    devices: tuple[DeviceConfig, ...]
    refused: Mapping[Source, tuple[str, ...]]


def read_groups(document: str, *, is_json: bool) -> Targets:
    """Read a JSON or YAML document. Raises `ValueError` if it is not a list of target groups."""
    tree: Any = from_json(document) if is_json else parse_yaml(document)
    try:
        groups = _GROUPS.validate_python([] if tree is None else tree)
    except ValidationError as invalid:
        raise ValueError("; ".join(problems_of(invalid, TargetGroup))) from None
    return _read_targets(groups)


def _read_targets(groups: tuple[TargetGroup, ...]) -> Targets:
    devices: list[DeviceConfig] = []
    problems: list[str] = []
    invalid_targets = 0
    for group in groups:
        for target in group.targets:
            try:
                devices.append(DeviceConfig.model_validate(_device_keys(target, group.labels)))
            except ValidationError as invalid:
                invalid_targets += 1
                if invalid_targets <= _MAX_INVALID_TARGETS:
                    # An address with a user name usually has a password, too.
                    quoted = f"target {target[:_MAX_SHOWN_CHARACTERS]!r}"
                    shown = "a target" if "@" in target else quoted
                    problems.extend(
                        f"{shown}: {each}" for each in problems_of(invalid, DeviceConfig)
                    )
    if invalid_targets > _MAX_INVALID_TARGETS:
        problems.append(f"{invalid_targets - _MAX_INVALID_TARGETS} more targets are invalid")
    return Targets(tuple(devices), tuple(problems))


def _device_keys(target: str, labels: dict[str, str]) -> dict[str, Any]:
    keys = {key: labels[label] for label, key in _DEVICE_KEYS.items() if labels.get(label)}
    # Like Prometheus, drop labels that begin with two underscores.
    kept = {n: v for n, v in labels.items() if n not in _DEVICE_KEYS and not n.startswith("__")}
    return {"address": target, "labels": kept, **keys}


def accept_targets(
    config: Config, found: Mapping[Source, Sequence[DeviceConfig]]
) -> AcceptedTargets:
    """Accept devices whose name is unused and whose module is configured.

    Names are taken by configured devices first, then by the sources in their order.
    """
    used_in = {device.label: "the config" for device in config.devices}
    accepted: list[DeviceConfig] = []
    refused = {}
    for source, devices in found.items():
        problems = []
        for device in devices:
            if problem := _problem(device, config, used_in):
                problems.append(f"target {device.address!r}: {problem}")
            else:
                used_in[device.label] = source.name
                accepted.append(device)
        refused[source] = tuple(problems)
    return AcceptedTargets(tuple(accepted), refused)


def _problem(device: DeviceConfig, config: Config, used_in: Mapping[str, str]) -> str | None:
    if device.module not in config.modules:
        return f"module {device.module!r} is not configured"
    if place := used_in.get(device.label):
        return f"the name {device.label!r} is already used in {place}"
    return None
