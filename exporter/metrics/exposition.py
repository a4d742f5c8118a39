"""The devices' states as text 0.0.4 and OpenMetrics 1.0.

A value is written when it changes, at a poll. A scrape joins the values to lines, family by family
and block of devices by block, in pieces between which polls go on. The lines of a block of a
family are kept for the next scrape, except those that change all the time. Decision record 0007
has the reasons and the numbers; the tests compare the result with prometheus-client's.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from operator import add, attrgetter, is_not
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

from pydantic_core import to_json

from exporter.clock.drift import Drift
from exporter.clock.host import HostTime
from exporter.clock.offset import Offset, offsets_at
from exporter.devices.device import Device, DeviceTarget
from exporter.devices.state import DeviceState
from exporter.metrics.catalogue import (
    DEVICE_METRICS,
    ClockMetric,
    DeviceMetric,
    DriftMetric,
    IdentityMetric,
    Sample,
    SamplesMetric,
    StateMetric,
    TimeMetric,
    ValueMetric,
    clock_estimate,
    settings_of,
)
from exporter.vapix.identity import DeviceIdentity

BLOCK_DEVICES: Final = 1000
"""Devices per block: a piece is one family of one block, at most some milliseconds of work."""

T = TypeVar("T")

Form = Callable[[bytes], T]
"""Turns the text of a piece into what the scraper gets, for example compressed."""

_MEASURED = ClockMetric | DriftMetric | TimeMetric
"""Computed at each scrape, and not stored."""

_STORED: Final = [
    each for each in DEVICE_METRICS if not isinstance(each, _MEASURED | IdentityMetric)
]
_LIVE: Final = tuple(each for each in _STORED if each.changes != "settings")
_SETTINGS: Final = tuple(each for each in _STORED if each.changes == "settings")

_LIVE_NAMES: Final = tuple(metric.name for metric in _LIVE)
_LIVE_PLACES: Final = range(len(_LIVE))
_read_live: Final[Callable[[DeviceState], tuple[Any, ...]]] = attrgetter(
    *(metric.path for metric in _LIVE)
)

_TIMES: Final = tuple(each for each in DEVICE_METRICS if isinstance(each, TimeMetric))
_read_times: Final[Callable[[DeviceState], tuple[float | None, ...]]] = attrgetter(
    *(metric.path for metric in _TIMES)
)

_ZERO_AND_ONE: Final[dict[float, str]] = {0: "0.0", 1: "1.0"}
"""The texts that most series have, one object for all of them."""


def _shortest(value: float) -> str:
    return _ZERO_AND_ONE.get(value) or repr(float(value))


def _writer(metric: ValueMetric | SamplesMetric) -> Callable[[float], str] | None:
    """Return what writes a metric's value; `None` for a metric of samples."""
    if isinstance(metric, SamplesMetric):
        return None
    return _shortest if metric.decimals is None else f"%.{metric.decimals}f".__mod__


# Python writes numbers between these without an exponent.
_PLAIN_FROM: Final = 1e-4
_PLAIN_TO: Final = 1e16

_WRITERS: Final = tuple(map(_writer, _LIVE))
_LABELS_TO_COME: Final = "{\n"
"""Stands for `{` and a device's labels in the lines of samples: no line ends within labels."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class _SettingsTexts:
    """A device's settings, and by name the texts of the metrics that depend on them alone."""

    settings: object
    texts: Mapping[str, str]


_NO_SETTINGS: Final = _SettingsTexts(None, {})
_SharedTexts = WeakValueDictionary[object, _SettingsTexts]
"""By settings, while a device has them: most devices of a fleet have the same."""


class DeviceTexts:
    """What a device shows: by family the text of its value, or the lines of its samples.

    `labels` are the device's, up to a value. Lines have a mark instead of them: written out, they
    would take a third of all memory. `live` and `settings` are replaced, never changed, because a
    scrape keeps them while polls go on.
    """

    __slots__ = ("_shared", "_values", "device", "labels", "live", "settings")

    def __init__(self, device: Device, shared: _SharedTexts) -> None:
        self.device = device
        self.labels = f"{_pairs({'device': device.target.name, **device.target.labels})}}} "
        self._shared = shared
        self._values: tuple[Any, ...] = (None,) * len(_LIVE)
        self.live = [""] * len(_LIVE)
        self.settings = _NO_SETTINGS
        self.refresh()

    def refresh(self) -> None:
        """Write what has changed in the device's state."""
        state, before, texts = self.device.state, self._values, self.live.copy()
        self._values = values = _read_live(state)
        for place in compress(_LIVE_PLACES, map(is_not, values, before)):
            value = values[place]
            if value != before[place]:
                if (write := _WRITERS[place]) is None:
                    texts[place] = _text(_LIVE[place], state)
                else:
                    texts[place] = "" if value is None else write(value)
        self.live = texts
        settings, shown = settings_of(state), self.settings.settings
        if settings is not shown and settings != shown:
            self.settings = _settings_texts(state, self._shared)


def _settings_texts(state: DeviceState, shared: _SharedTexts) -> _SettingsTexts:
    settings = settings_of(state)
    if (found := shared.get(settings)) is None:
        texts = {metric.name: _text(metric, state) for metric in _SETTINGS}
        found = shared[settings] = _SettingsTexts(settings, texts)
    return found


def _text(metric: ValueMetric | SamplesMetric, state: DeviceState) -> str:
    if isinstance(metric, SamplesMetric):
        return "".join(_sample_lines(metric, metric.samples(state)))
    value = attrgetter(metric.path)(state)
    return "" if value is None else _shortest(value)


def _sample_lines(metric: SamplesMetric, samples: Iterable[Sample]) -> Iterator[str]:
    for values, value in samples:
        own = _pairs(dict(zip(metric.labels, values, strict=True)))
        yield f"{metric.name}{_LABELS_TO_COME},{own}}} {value!r}\n"


_Kept = dict[tuple[str, Form[Any]], tuple[Sequence[object], Any]]
"""The pieces of a block from earlier scrapes, each with what it was made of."""


class _Snapshot:
    """The devices of a block at one moment."""

    def __init__(
        self, devices: Sequence[DeviceTexts], labels: tuple[str, ...], kept: _Kept, now: HostTime
    ) -> None:
        self._labels = labels
        self._kept = kept
        columns = zip(*[each.live for each in devices], strict=True)
        self._live = dict(zip(_LIVE_NAMES, columns, strict=True))
        self._settings = [each.settings for each in devices]
        times = zip(*[_read_times(each.device.state) for each in devices], strict=True)
        self._times = dict(zip(_TIMES, times, strict=True))
        self._now = now
        self._targets = [each.device.target for each in devices]
        self._identities = [each.device.state.identity for each in devices]
        offsets = offsets_at([clock_estimate(each.device.state) for each in devices], now)
        self._with_offset = [*compress(labels, offsets)]
        self._offsets = [*zip(*filter(None, offsets), strict=True)]
        drifts = [each.device.state.clock_drift for each in devices]
        self._with_drift = [*compress(labels, drifts)]
        self._drifts = [*zip(*filter(None, drifts), strict=True)]

    def piece(self, metric: DeviceMetric, form: Form[T]) -> T | None:
        """Return the lines of a family in a form; `None` if there are none."""
        if isinstance(metric, _MEASURED) or not _is_kept(metric, form):
            return self._make(metric, form)
        source = self._source(metric)
        kept = self._kept.get((metric.name, form))
        if kept is None or kept[0] != source:
            kept = self._kept[metric.name, form] = (source, self._make(metric, form))
        piece: T | None = kept[1]
        return piece

    def _source(self, metric: ValueMetric | SamplesMetric | IdentityMetric) -> Sequence[object]:
        """Return what the lines of a family are made of, besides the devices' labels."""
        if isinstance(metric, IdentityMetric):
            return self._targets, self._identities
        return self._settings if metric.changes == "settings" else self._live[metric.name]

    def _make(self, metric: DeviceMetric, form: Form[T]) -> T | None:
        if isinstance(metric, IdentityMetric):
            lines = "".join(_identity_lines(metric, self._targets, self._identities))
        else:
            lines = _lines(metric, *self._labels_and_texts(metric))
        return form(lines.encode()) if lines else None

    def _labels_and_texts(self, metric: StateMetric) -> tuple[Sequence[str], Sequence[str]]:
        if isinstance(metric, ClockMetric):
            place = Offset._fields.index(metric.path)
            texts = shortest_texts(self._offsets[place]) if self._offsets else []
            return self._with_offset, texts
        if isinstance(metric, DriftMetric):
            place = Drift._fields.index(metric.path)
            texts = [f"{each:.9f}" for each in self._drifts[place]] if self._drifts else []
            return self._with_drift, texts
        if isinstance(metric, TimeMetric):
            return self._labels, time_texts(self._times[metric], self._now)
        if metric.changes == "settings":
            return self._labels, [each.texts[metric.name] for each in self._settings]
        return self._labels, self._live[metric.name]


def _is_kept(metric: ValueMetric | SamplesMetric | IdentityMetric, form: object) -> bool:
    """Return whether pieces of a family are kept for the next scrape.

    Plain lines of single values are not: they are made in milliseconds, and 10,000 devices have
    9 MB of them.
    """
    is_made_fast = form is bytes and isinstance(metric, ValueMetric)
    changes_seldom = isinstance(metric, IdentityMetric) or metric.changes != "each poll"
    return changes_seldom and not is_made_fast


def _lines(metric: StateMetric, labels: Sequence[str], texts: Sequence[str]) -> str:
    """Return the lines of a family, for devices with these labels and texts."""
    if isinstance(metric, SamplesMetric):
        pairs = zip(labels, texts, strict=True)
        return "".join(
            [text.replace(_LABELS_TO_COME, f"{{{own[:-2]}") for own, text in pairs if text]
        )
    # C functions alone: a tenth of a microsecond a line.
    start = f"{metric.name}{{"
    lines = f"\n{start}".join(map(add, compress(labels, texts), filter(None, texts)))
    return f"{start}{lines}\n" if lines else ""


def _identity_lines(
    metric: IdentityMetric, targets: Iterable[DeviceTarget], identities: Iterable[DeviceIdentity]
) -> Iterator[str]:
    for target, identity in zip(targets, identities, strict=True):
        for values, value in metric.samples(target, identity):
            own = zip(metric.labels, values, strict=True)
            labels = {"device": target.name, **target.labels, **dict(own)}
            yield f"{metric.name}{{{_pairs(labels)}}} {_shortest(value)}\n"


def time_texts(steady_times: Sequence[float | None], now: HostTime) -> list[str]:
    """Return steady seconds as Unix seconds with three decimals, the empty text for `None`.

    The shortest text of a Unix time takes Python twice as long.
    """
    ahead = now.unix_seconds_at(0)
    return ["" if each is None else f"{each + ahead:.3f}" for each in steady_times]


def shortest_texts(values: Sequence[float]) -> list[str]:
    """Return the `repr` of each value.

    pydantic writes the same digits in a tenth of the time, but not always the same exponent.
    """
    texts = to_json(values)[1:-1].decode().split(",")
    pairs = zip(values, texts, strict=True)
    return [text if _PLAIN_FROM <= abs(value) < _PLAIN_TO else repr(value) for value, text in pairs]


class Exposition:
    """The texts of every device, kept up to date by `refresh`."""

    def __init__(self) -> None:
        self._devices: dict[str, DeviceTexts] = {}
        self._shared: _SharedTexts = WeakValueDictionary()
        self._kept: dict[tuple[str, ...], _Kept] = {}

    def refresh(self, device: Device) -> None:
        """Take in a new device, or a change of a device's state."""
        texts = self._devices.get(device.target.name)
        if texts is None:
            self._devices[device.target.name] = DeviceTexts(device, self._shared)
        else:
            texts.refresh()

    def remove(self, device: Device) -> None:
        """Forget a device."""
        self._devices.pop(device.target.name, None)

    def pieces(self, now: HostTime, *, openmetrics: bool, form: Form[T]) -> Iterator[T]:
        """Yield the families of all devices in pieces of a few milliseconds' work.

        Each device is shown as it was at one moment, though polls go on between pieces.
        """
        devices = list(self._devices.values())
        snapshots: list[_Snapshot] = []
        kept_by_labels: dict[tuple[str, ...], _Kept] = {}
        for start in range(0, len(devices), BLOCK_DEVICES):
            block = devices[start : start + BLOCK_DEVICES]
            labels = tuple([each.labels for each in block])
            kept = kept_by_labels[labels] = self._kept.get(labels, {})
            snapshots.append(_Snapshot(block, labels, kept, now))
            yield form(b"")
        self._kept = kept_by_labels
        for piece in _pieces(snapshots, openmetrics=openmetrics, form=form):
            yield form(b"") if piece is None else piece


def device_pieces(
    device: Device, now: HostTime, *, openmetrics: bool, form: Form[T]
) -> Iterator[T]:
    """Yield one device's families."""
    texts = DeviceTexts(device, WeakValueDictionary())
    snapshot = _Snapshot([texts], (texts.labels,), {}, now)
    pieces = _pieces([snapshot], openmetrics=openmetrics, form=form)
    return (piece for piece in pieces if piece is not None)


def _pieces(
    snapshots: Iterable[_Snapshot], *, openmetrics: bool, form: Form[T]
) -> Iterator[T | None]:
    """Yield the families block by block, `None` for a block without lines: it takes time, too."""
    for metric in DEVICE_METRICS:
        head_is_due = True
        for snapshot in snapshots:
            piece = snapshot.piece(metric, form)
            if piece is not None and head_is_due:
                yield form(_head(metric, openmetrics=openmetrics).encode())
                head_is_due = False
            yield piece


def _head(metric: DeviceMetric, *, openmetrics: bool) -> str:
    name = metric.name.removesuffix("_total") if openmetrics else metric.name
    return f"# HELP {name} {metric.help}\n# TYPE {name} {metric.kind}\n"


def _pairs(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items())


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
