"""Read Prometheus target groups as devices, and decide which of them are accepted. Pure."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from threading import Event
from typing import Annotated, Any, Final, NamedTuple

from pydantic import FailFast, Field, TypeAdapter, ValidationError

from exporter.config import Config, DeviceConfig
from exporter.config.base import NullIsUnset
from exporter.config.errors import ModuleNames
from exporter.config.loader import problems_of
from exporter.config.relabel import RelabelConfig
from exporter.config.schema import FINGERPRINT_LABEL, SETTING_LABELS, TargetConfig
from exporter.config.yaml_loader import iter_yaml_items
from exporter.discovery.json_items import JsonItems
from exporter.discovery.relabel import relabel

MAX_TARGETS: Final = 100_000
"""Targets, and groups, of one document. An exporter polls half as many devices."""

MAX_LABELS: Final = 64
"""Labels per group: they are validated again for each target."""

_MAX_GROUP_KEYS: Final = 10

_MAX_INVALID_TARGETS: Final = 10
"""Invalid targets of one document that are reported one by one; the others are counted."""

_MAX_SHOWN_CHARACTERS: Final = 100
"""How much of an invalid target is shown: enough to find it."""

ADDRESS_LABEL: Final = "__address__"

_DEVICE_KEYS: Final = {"device": "name", "module": "module"}
"""Labels that set a key of the device and do not stay as labels."""


class TargetGroup(NullIsUnset):
    """Targets and the labels that they share. Go writes null for an empty list or map."""

    targets: Annotated[tuple[str, ...], FailFast()] = ()
    labels: dict[str, str] = Field(default_factory=dict)


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


META_LABELS: Final = {"file": "__meta_filepath", "http": "__meta_url"}
"""By mechanism, the label that names the source while targets are relabelled."""


class Budget:
    """Limits the values of one group, and ends the reading when the exporter stops."""

    def __init__(self, stop: Event) -> None:
        self._stop = stop
        self.refill()

    def refill(self) -> None:
        """Begin another group."""
        self._left = MAX_TARGETS + 10 * MAX_LABELS

    def spend(self, values: int) -> None:
        """Allow this many more values. Raises `ValueError`."""
        self._left -= values
        if self._left < 0:
            raise ValueError(f"a group has more than {MAX_TARGETS} targets, which is the limit")
        if self._stop.is_set():
            raise ValueError("the exporter is stopping")


def read_groups(
    document: bytes,
    *,
    is_json: bool,
    stop: Event | None = None,
    rules: Sequence[RelabelConfig] = (),
    meta: Mapping[str, str] | None = None,
) -> Targets:
    """Read a JSON or YAML document in UTF-8, a list of target groups. Raises `ValueError`.

    `rules` relabel each target, which has the labels `meta` besides its own.

    Reads group by group, in Python: a hostile document must neither take many times its size in
    memory nor hold up the event loop, which runs in another thread. `stop` ends it early.
    """
    budget = Budget(stop or Event())
    items = JsonItems(document, budget.spend) if is_json else _yaml_items(document, budget)
    reader = _TargetReader(rules, meta or {})
    for index, item in enumerate(items):
        if index >= MAX_TARGETS:
            raise ValueError(f"has more than {MAX_TARGETS} target groups, which is the limit")
        group = _validate_group(item, index)
        reader.count(group)
        for target in group.targets:
            budget.spend(0)
            reader.add(target, group.labels)
        budget.refill()
    return reader.targets


def _yaml_items(document: bytes, budget: Budget) -> Iterator[object]:
    try:
        text = document.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    return iter_yaml_items(text, budget.spend)


class GroupReader:
    """Reads the documents of sources, but not again those that stay the same."""

    def __init__(self, rules: Sequence[RelabelConfig] = ()) -> None:
        self.stop = Event()
        self._rules = rules
        self._last: dict[Source, tuple[bytes, Targets]] = {}

    def read(self, source: Source, document: bytes, *, is_json: bool) -> Targets:
        """Return what `read_groups` returns, or returned for this document."""
        digest = hashlib.sha256(document).digest()
        before, targets = self._last.get(source, (b"", Targets(())))
        if digest != before:
            meta = {META_LABELS[source.mechanism]: source.name}
            targets = read_groups(
                document, is_json=is_json, stop=self.stop, rules=self._rules, meta=meta
            )
            self._last[source] = digest, targets
        return targets

    def forget_except(self, sources: Collection[Source]) -> None:
        """Forget the documents of all other sources."""
        self._last = {source: last for source, last in self._last.items() if source in sources}


def _validate_group(item: object, index: int) -> TargetGroup:
    if isinstance(item, dict) and len(item) > _MAX_GROUP_KEYS:
        # Each unknown key would cost a comparison with all known ones.
        keys = f"has {len(item)} keys, but a group has only targets and labels"
        raise ValueError(f"[{index}]: {keys}")
    labels = item.get("labels") if isinstance(item, dict) else None
    if isinstance(labels, dict) and len(labels) > MAX_LABELS:
        raise ValueError(f"[{index}].labels: must have at most {MAX_LABELS} entries")
    try:
        return _GROUPS.validate_python([item])[0]
    except ValidationError as invalid:
        problems = problems_of(invalid, TargetGroup)
        lines = (line.replace("[0]", f"[{index}]", 1) for line in problems)
        raise ValueError("; ".join(lines)) from None


class _TargetReader:
    """Turns the targets of groups into devices and problems."""

    def __init__(self, rules: Sequence[RelabelConfig], meta: Mapping[str, str]) -> None:
        self._rules = rules
        self._meta = meta
        self._devices: list[DeviceConfig] = []
        self._problems: list[str] = []
        self._listed = 0
        self._invalid = 0
        self._texts: dict[str, str] = {}

    def count(self, group: TargetGroup) -> None:
        """Count the targets of a group. Raises `ValueError` beyond the limit."""
        self._listed += len(group.targets)
        if self._listed > MAX_TARGETS:
            raise ValueError(f"lists more than {MAX_TARGETS} targets, which is the limit")

    def add(self, target: str, labels: dict[str, str]) -> None:
        """Add a target, or its problems; not one that a rule drops."""
        try:
            relabeled = self._relabel(target, labels)
            if relabeled is not None and (address := relabeled.get(ADDRESS_LABEL)):
                self._devices.append(self._device(address, relabeled))
        except ValidationError as invalid:
            self._add_problems(target, problems_of(invalid, TargetConfig))
        except ValueError as problem:
            self._add_problems(target, [str(problem)])

    def _add_problems(self, target: str, problems: Iterable[str]) -> None:
        self._invalid += 1
        if self._invalid <= _MAX_INVALID_TARGETS:
            # An address with a user name usually has a password, too.
            quoted = f"target {target[:_MAX_SHOWN_CHARACTERS]!r}"
            shown = "a target" if "@" in target else quoted
            self._problems.extend(f"{shown}: {each}" for each in problems)

    def _relabel(self, target: str, labels: dict[str, str]) -> dict[str, str] | None:
        found = {**labels, ADDRESS_LABEL: target}
        # A document cannot say that it comes from another file.
        return relabel({**found, **self._meta}, self._rules) if self._rules else found

    def _device(self, address: str, labels: dict[str, str]) -> DeviceConfig:
        keys = self._keys_of(address, labels)
        settings = {name: labels[name] for name in SETTING_LABELS & labels.keys() if labels[name]}
        if not settings:
            return DeviceConfig.model_validate(keys)
        return TargetConfig.model_validate({**keys, "settings": settings})

    def _keys_of(self, target: str, labels: dict[str, str]) -> dict[str, Any]:
        # Most labels of a fleet are the same: one object per text saves a quarter of it all.
        one = self._texts.setdefault
        keys = {
            key: one(labels[name], labels[name])
            for name, key in _DEVICE_KEYS.items()
            if labels.get(name)
        }
        # Like Prometheus, drop labels that begin with two underscores.
        kept = {
            one(name, name): one(value, value)
            for name, value in labels.items()
            if name not in _DEVICE_KEYS and not name.startswith("__")
        }
        return {"address": target, "labels": kept, **keys}

    @property
    def targets(self) -> Targets:
        """What was added."""
        problems = self._problems
        if self._invalid > _MAX_INVALID_TARGETS:
            more = f"{self._invalid - _MAX_INVALID_TARGETS} more targets are invalid"
            problems = [*problems, more]
        return Targets(tuple(self._devices), tuple(problems))


def accept_targets(
    config: Config, found: Mapping[Source, Sequence[DeviceConfig]]
) -> AcceptedTargets:
    """Accept devices whose name is unused and whose module is configured.

    Names are taken by configured devices first, then by the sources in their order.
    """
    used_in = {device.label: "the config" for device in config.devices}
    modules = ModuleNames(config.modules)
    accepted: list[DeviceConfig] = []
    refused = {}
    for source, devices in found.items():
        problems = []
        for device in devices:
            is_known = device.module in config.modules
            problem = (
                _problem(device, config, used_in) if is_known else modules.problem_of(device.module)
            )
            if problem:
                problems.append(f"target {device.address!r}: {problem}")
            else:
                used_in[device.label] = source.name
                accepted.append(device)
        refused[source] = tuple(problems)
    return AcceptedTargets(tuple(accepted), refused)


def _problem(device: DeviceConfig, config: Config, used_in: Mapping[str, str]) -> str | None:
    module = config.modules[device.module]
    if device.settings_of_its_own.scheme == "http" and module.needs_https:
        return (
            f"the account of module {device.module!r} needs https: a source must not turn off what "
            "proves a device's identity; name a module with `scheme: http`"
        )
    if device.settings_of_its_own.fingerprint_sha256 and module.tls_config.has_anchor:
        return (
            f"{FINGERPRINT_LABEL} must not replace what `tls_config` of module {device.module!r} "
            "trusts"
        )
    if place := used_in.get(device.label):
        return f"the name {device.label!r} is already used in {place}"
    return None
