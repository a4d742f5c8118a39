"""Target groups as Prometheus's file and HTTP discovery have them, read as devices. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Final, NamedTuple

from annotated_types import MaxLen
from pydantic import FailFast, Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from exporter.config import DeviceConfig
from exporter.config.loader import problems_of
from exporter.config.schema import NullIsUnset
from exporter.config.yaml_loader import parse_yaml

_OURS: Final = {"device": "name", "module": "module"}
"""Labels that say who a device is, not what it is called by."""


_SHOWN: Final = 100
"""Characters of a target that cannot be taken, enough to find it."""


MOST_LABELS: Final = 64
"""So many labels a group may have: they are checked for each of its targets."""

_MOST_PROBLEMS: Final = 10
"""So many problems of one document are told word for word."""


class Group(NullIsUnset):
    """One target group: addresses, and the labels that they have in common.

    Go writes null for an empty list or map.
    """

    targets: Annotated[tuple[str, ...], FailFast()] = ()
    labels: Annotated[dict[str, str], MaxLen(MOST_LABELS)] = Field(default_factory=dict)


_GROUPS: Final = TypeAdapter(Annotated[tuple[Group, ...], FailFast()])


class Targets(NamedTuple):
    """The devices of some target groups, and what is wrong with those that were left out."""

    entries: tuple[DeviceConfig, ...]
    problems: tuple[str, ...] = ()


def read_groups(document: str, *, is_json: bool) -> Targets:
    """The devices of a JSON or YAML document. Raises `ValueError` if it is no list of groups."""
    tree: Any = from_json(document) if is_json else parse_yaml(document)
    try:
        groups = _GROUPS.validate_python([] if tree is None else tree)
    except ValidationError as invalid:
        raise ValueError("; ".join(problems_of(invalid))) from None
    return _devices(groups)


def _devices(groups: tuple[Group, ...]) -> Targets:
    entries: list[DeviceConfig] = []
    problems: list[str] = []
    left_out = 0
    for group in groups:
        for target in group.targets:
            try:
                entries.append(DeviceConfig.model_validate(_entry(target, group.labels)))
            except ValidationError as invalid:
                left_out += 1
                if left_out <= _MOST_PROBLEMS:
                    problems.extend(f"{_shown(target)}: {each}" for each in problems_of(invalid))
    if left_out > _MOST_PROBLEMS:
        problems.append(f"{left_out - _MOST_PROBLEMS} targets more cannot be taken")
    return Targets(tuple(entries), tuple(problems))


def _shown(target: str) -> str:
    # Whoever writes a name into an address writes a password with it.
    return "a target" if "@" in target else f"target {target[:_SHOWN]!r}"


def _entry(target: str, labels: dict[str, str]) -> dict[str, Any]:
    ours = {key: labels[label] for label, key in _OURS.items() if labels.get(label)}
    # Prometheus drops what begins with two underscores after relabelling.
    kept = {n: v for n, v in labels.items() if n not in _OURS and not n.startswith("__")}
    return {"address": target, "labels": kept, **ours}
