"""Read Prometheus target groups as devices, and decide which of them are accepted. Pure."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from threading import Event, Lock
from time import thread_time
from types import MappingProxyType
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
from exporter.discovery.relabel import Relabeler
from exporter.discovery.target_problems import Refusal, TargetProblems
from exporter.system.text import shortened

MAX_TARGETS: Final = 100_000
"""Targets, and groups, of one document. An exporter polls half as many devices."""

MAX_LABELS: Final = 64
"""Labels per group: they are validated again for each target."""

_MAX_GROUP_KEYS: Final = 10

_MAX_INVALID_TARGETS: Final = 10
"""Invalid targets of one document whose problems are told; others with the same ones are counted
with them, and the rest on a line of its own."""

MAX_RELABEL_SECONDS: Final = 60.0
"""Processor time to relabel one document. 100,000 targets with 100 rules take half of it; rules and
labels up to their limits would take hours."""

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
    """No source of a mechanism could be read; `str()` says why, in 300 characters at most."""

    def __init__(self, problem: str) -> None:
        super().__init__(shortened(problem))


def failed(source: Source, problem: str) -> RefreshResult:
    """Return the result of a source that could not be read."""
    return RefreshResult(source, None, (shortened(problem),))


class AcceptedTargets(NamedTuple):
    """The accepted devices, and for each source the problems of its refused targets.

    `counts`: how many of the devices each source has listed.
    """

    devices: tuple[DeviceConfig, ...]
    refused: Mapping[Source, tuple[str, ...]]
    counts: Mapping[Source, int]


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
    reader: "_TargetReader | None" = None,
) -> Targets:
    """Read a JSON or YAML document in UTF-8, a list of target groups. Raises `ValueError`.

    Reads group by group, in Python: a hostile document must neither take many times its size in
    memory nor hold up the event loop, which runs in another thread. `stop` ends it early.
    """
    budget = Budget(stop or Event())
    items = JsonItems(document, budget.spend) if is_json else _yaml_items(document, budget)
    reader = reader or _TargetReader()
    for index, item in enumerate(items):
        if index >= MAX_TARGETS:
            raise ValueError(f"has more than {MAX_TARGETS} target groups, which is the limit")
        group = _validate_group(item, index)
        reader.begin(group)
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


_Known = Mapping[bytes, DeviceConfig | None]
"""What the rules made of targets, by a hash of what these were before; `None` if dropped."""

_one_at_a_time: Final = Lock()
"""Each thread that computes may keep the event loop waiting for 5 ms at a time, so let one run."""


_NOTHING: Final[Mapping[Any, Any]] = MappingProxyType({})


class _LastRead(NamedTuple):
    """What a document had, by the hash of the document, and what its targets have become."""

    digest: bytes = b""
    targets: Targets = Targets(())
    known: _Known = _NOTHING


class GroupReader:
    """Reads the documents of sources, but not again those that stay the same.

    Of a document that has changed, it relabels only the targets that are new.
    """

    def __init__(
        self, rules: Sequence[RelabelConfig] = (), limit_seconds: float = MAX_RELABEL_SECONDS
    ) -> None:
        self.stop = Event()
        self.is_busy = False
        """Whether a thread reads a document, or waits for others that do."""
        self._rules = rules
        self._limit_seconds = limit_seconds
        self._last: dict[Source, _LastRead] = {}

    def read(self, source: Source, document: bytes, *, is_json: bool) -> Targets:
        """Return what `read_groups` returns, or returned for this document."""
        digest = hashlib.sha256(document).digest()
        last = self._last.get(source, _LastRead())
        if digest == last.digest:
            return last.targets
        self.is_busy = True
        try:
            with _one_at_a_time:
                return self._read_changed(source, document, digest, is_json=is_json)
        finally:
            self.is_busy = False

    def _read_changed(
        self, source: Source, document: bytes, digest: bytes, *, is_json: bool
    ) -> Targets:
        last = self._last.get(source, _LastRead())
        until = thread_time() + self._limit_seconds
        rules = Relabeler(self._rules, lambda: self._check(until)) if self._rules else None
        reader = _TargetReader(rules, {META_LABELS[source.mechanism]: source.name}, last.known)
        try:
            targets = read_groups(document, is_json=is_json, stop=self.stop, reader=reader)
        except ValueError:
            if len(last.known) < MAX_TARGETS:
                reader.known.update(last.known)  # so that the next time goes on from there
            self._last[source] = last._replace(known=reader.known)
            raise
        self._last[source] = _LastRead(digest, targets, reader.known)
        return targets

    def _check(self, until: float) -> None:
        """Raise `ValueError` if relabelling has to end."""
        if self.stop.is_set():
            raise _StillToDo("the exporter is stopping")
        if thread_time() > until:
            raise _StillToDo(
                f"relabelling takes more than {self._limit_seconds:g} s of processor time, which "
                "is the limit; the next refresh goes on from there: use fewer or simpler rules"
            )

    def forget_except(self, sources: Collection[Source]) -> None:
        """Forget the documents of all other sources."""
        self._last = {source: last for source, last in self._last.items() if source in sources}


class _StillToDo(ValueError):
    """The document was not read to its end: this concerns no target of it."""


def _hash(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=16).digest()


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
    """Turns the targets of groups into devices and problems.

    `known`: what the same rules made of targets before.
    """

    def __init__(
        self,
        rules: Relabeler | None = None,
        meta: Mapping[str, str] = _NOTHING,
        known: _Known = _NOTHING,
    ) -> None:
        self._rules = rules
        self._meta = meta
        self._before = known
        self.known: dict[bytes, DeviceConfig | None] = {}
        self._devices: list[DeviceConfig] = []
        self._problems = TargetProblems()
        self._listed = 0
        self._explained = 0
        self._unexplained = 0
        self._texts: dict[str, str] = {}
        self._labels_key = b""

    def begin(self, group: TargetGroup) -> None:
        """Count the targets of a group. Raises `ValueError` beyond the limit."""
        self._listed += len(group.targets)
        if self._listed > MAX_TARGETS:
            raise ValueError(f"lists more than {MAX_TARGETS} targets, which is the limit")
        if self._rules is not None:
            self._labels_key = _hash(repr(group.labels).encode())

    def add(self, target: str, labels: dict[str, str]) -> None:
        """Add a target, or its problems; not one that a rule drops."""
        try:
            device = self._make(target, labels)
        except _StillToDo:
            raise
        except ValidationError as invalid:
            self._add_problems(target, problems_of(invalid, TargetConfig))
        except ValueError as problem:
            self._add_problems(target, [str(problem)])
        else:
            if device is not None:
                self._devices.append(device)

    def _make(self, target: str, labels: dict[str, str]) -> DeviceConfig | None:
        """Return the device that a target becomes, or `None` if a rule drops it."""
        found = {**labels, ADDRESS_LABEL: target}
        if self._rules is None:
            return self._device(target, found)
        key = _hash(self._labels_key + target.encode(errors="surrogatepass"))
        # A target that is listed twice is two devices, of which one will be refused.
        if key in self._before and key not in self.known:
            device = self._before[key]
        else:
            # A document cannot say that it comes from another file.
            relabeled = self._rules.relabel({**found, **self._meta})
            address = relabeled and relabeled.get(ADDRESS_LABEL)
            device = self._device(address, relabeled) if relabeled and address else None
        self.known[key] = device
        return device

    def _add_problems(self, target: str, problems: Iterable[str]) -> None:
        refusals = [*map(Refusal, problems)]
        if not all(map(self._problems.knows, refusals)):
            if self._explained == _MAX_INVALID_TARGETS:
                self._unexplained += 1
                return
            self._explained += 1
        for refusal in refusals:
            self._problems.add(target, refusal)

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
        problems = self._problems.lines()
        if self._unexplained:
            problems = (*problems, f"{self._unexplained} more targets are invalid")
        return Targets(tuple(self._devices), problems)


def accept_targets(
    config: Config, found: Mapping[Source, Sequence[DeviceConfig]]
) -> AcceptedTargets:
    """Accept devices whose name is unused and whose module is configured.

    Names are taken by configured devices first, then by the sources in their order.
    """
    used_in = {device.label: "the config" for device in config.devices}
    modules = ModuleNames(config.modules)
    accepted: list[DeviceConfig] = []
    refused, counts = {}, {}
    for source, devices in found.items():
        problems, before = TargetProblems(), len(accepted)
        for device in devices:
            if device.module not in config.modules:
                problems.add(device.address, Refusal(modules.problem_of(device.module)))
            elif refusal := _refusal(device, config, used_in):
                problems.add(device.address, refusal)
            else:
                used_in[device.label] = source.name
                accepted.append(device)
        refused[source], counts[source] = problems.lines(), len(accepted) - before
    return AcceptedTargets(tuple(accepted), refused, counts)


def _refusal(device: DeviceConfig, config: Config, used_in: Mapping[str, str]) -> Refusal | None:
    module, own = config.modules[device.module], device.settings_of_its_own
    if own.scheme == "http" and module.needs_https:
        return Refusal(
            f"module {device.module!r} needs https, and `__scheme__` is http: add a module with "
            "`scheme: http` to the config file, and the label `module: NAME` to the targets"
        )
    if own.fingerprint_sha256 and (own.scheme or module.scheme) == "http":
        return Refusal(f"{FINGERPRINT_LABEL} needs https: plain HTTP has no certificate")
    if own.fingerprint_sha256 and module.tls_config.has_anchor:
        return Refusal(
            f"{FINGERPRINT_LABEL} must not replace what `tls_config` of module {device.module!r} "
            "trusts"
        )
    if place := used_in.get(device.label):
        used = f"already used in {place}"
        return Refusal(f"the name {device.label!r} is {used}", f"their names are {used}")
    return None
