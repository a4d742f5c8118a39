"""From the devices' states to what Prometheus reads: text 0.0.4 and OpenMetrics 1.0.

prometheus-client takes over a second for ten thousand devices, in one piece. Here a device's
lines are made when its state changes, and joined family by family at a scrape, in pieces that hold
up nothing. The tests hold it against prometheus-client: the same samples, types and help.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import compress
from operator import attrgetter, is_not
from typing import Any, Final

from exporter.clock.host import HostTime
from exporter.devices.device import Device
from exporter.devices.state import DeviceState
from exporter.metrics.catalogue import DEVICE_METRICS, ClockMetric, DeviceMetric, Sample
from exporter.vapix.ntp_info import NtpSettings

DEVICES_IN_A_PIECE: Final = 1000
"""So many devices' lines are joined at once: some milliseconds' work."""

_Reader = Callable[[DeviceState], tuple[object, ...]]

_STATIC: Final = sorted(
    (each for each in DEVICE_METRICS if isinstance(each, DeviceMetric)),
    key=lambda metric: metric.of_settings,
)
_LIVE: Final = sum(not metric.of_settings for metric in _STATIC)
"""So many, the first, may have another value after every poll."""

_LIVE_PLACES: Final = range(_LIVE)
_SETTINGS_PLACES: Final = range(_LIVE, len(_STATIC))
_read_live: Final[_Reader] = attrgetter(*(metric.path for metric in _STATIC[:_LIVE]))
_read_settings: Final[_Reader] = attrgetter(*(metric.path for metric in _STATIC[_LIVE:]))
_OFFSET_OF: Final = {
    metric.name: attrgetter(metric.path)
    for metric in DEVICE_METRICS
    if isinstance(metric, ClockMetric)
}
_NO_CLOCK: Final = ("",) * len(_OFFSET_OF)
_PLACE: Final = {
    name: place
    for names in ([metric.name for metric in _STATIC], _OFFSET_OF)
    for place, name in enumerate(names)
}
"""Where a family's text stands among a device's, the clock's apart from the others."""


_NAUGHT_AND_ONE: Final[dict[float, str]] = {0: "0.0", 1: "1.0"}
"""The texts that most series have, once for all of them."""


def _shortest(value: float) -> str:
    return _NAUGHT_AND_ONE.get(value) or repr(float(value))


def _text_of(metric: DeviceMetric) -> Callable[[float], str]:
    """What writes one value of a metric."""
    # The shortest text of a Unix time takes Python twice as long as one of three decimals.
    return _shortest if metric.decimals is None else f"%.{metric.decimals}f".__mod__


_TEXT_OF: Final = tuple(map(_text_of, _STATIC))


_LABELS_TO_COME: Final = "{\n"
"""Stands for `{` and a device's labels in its lines: within labels no line ends."""


class DeviceLines:
    """One device's lines, a text for each family of the catalogue but the clock's.

    Of a family with one sample that is the value alone, and in the others a mark stands for the
    device's labels: written out for every series they would take a third of all memory. `texts`
    is replaced as a whole, so that a scrape under way sees one state of the device.
    """

    __slots__ = ("_device", "_settings", "_values", "labels", "texts")

    def __init__(self, device: Device) -> None:
        self._device = device
        self.labels = _pairs({"device": device.target.name, **device.target.labels})
        self._values: tuple[object, ...] = (None,) * _LIVE
        self._settings: NtpSettings | None = None
        self.texts: list[str] = [""] * len(_STATIC)
        self.refresh()

    def refresh(self) -> None:
        """Make the lines of what has changed anew."""
        state, before, texts = self._device.state, self._values, self.texts.copy()
        values = _read_live(state)
        for place in compress(_LIVE_PLACES, map(is_not, values, before)):
            if values[place] != before[place]:
                texts[place] = self._text(place, values[place])
        if (settings := state.settings) != self._settings:
            for place, value in zip(_SETTINGS_PLACES, _read_settings(state), strict=True):
                texts[place] = self._text(place, value)
        self._values, self._settings, self.texts = values, settings, texts

    def clock_texts(self, now: HostTime) -> tuple[str, ...]:
        """The values of all clock metrics at this moment: they belong together."""
        offset = self._device.state.clock_offset(now)
        if offset is None:
            return _NO_CLOCK
        return tuple([repr(read(offset)) for read in _OFFSET_OF.values()])

    def _text(self, place: int, value: Any) -> str:  # noqa: ANN401 - any metric's
        metric = _STATIC[place]
        if metric.samples is not None:
            return "".join(_sample_lines(metric, metric.samples(self._device.state)))
        return "" if value is None else _TEXT_OF[place](value)


def _sample_lines(metric: DeviceMetric, samples: Iterable[Sample]) -> Iterator[str]:
    for values, value in samples:
        own = _pairs(dict(zip(metric.labels, values, strict=True)))
        yield f"{metric.name}{_LABELS_TO_COME},{own}}} {value!r}\n"


class Exposition:
    """Every device's lines, kept up to date by `refresh`."""

    def __init__(self) -> None:
        self._devices: dict[str, DeviceLines] = {}

    def refresh(self, device: Device) -> None:
        """Take in that a device is new, or that its state has changed."""
        lines = self._devices.get(device.target.name)
        if lines is None:
            self._devices[device.target.name] = DeviceLines(device)
        else:
            lines.refresh()

    def remove(self, device: Device) -> None:
        """Forget a device."""
        self._devices.pop(device.target.name, None)

    def pieces(self, now: HostTime, *, openmetrics: bool) -> Iterator[bytes]:
        """The devices' families, encoded, in pieces of a few milliseconds' work.

        Each device is told as it was at one moment, though polls go on while pieces are sent.
        """
        yield from _pieces(list(self._devices.values()), now, openmetrics=openmetrics)


def device_pieces(device: Device, now: HostTime, *, openmetrics: bool) -> Iterator[bytes]:
    """One device's families, encoded."""
    return _pieces([DeviceLines(device)], now, openmetrics=openmetrics)


def _pieces(devices: list[DeviceLines], now: HostTime, *, openmetrics: bool) -> Iterator[bytes]:
    labels = [device.labels for device in devices]
    texts: list[Sequence[str]] = []
    clocks: list[Sequence[str]] = []
    for part in _parts(len(devices)):
        # Together, for polls go on between parts.
        texts.extend([device.texts for device in devices[part]])
        clocks.extend([device.clock_texts(now) for device in devices[part]])
        yield b""
    for metric in DEVICE_METRICS:
        head = _head(metric, openmetrics=openmetrics)
        source = clocks if isinstance(metric, ClockMetric) else texts
        for part in _parts(len(devices)):
            if body := _body(metric, labels[part], source[part]):
                yield f"{head}{body}".encode()
                head = ""


def _body(
    metric: DeviceMetric | ClockMetric, labels: Sequence[str], texts: Sequence[Sequence[str]]
) -> str:
    """The lines of a family, for devices that have these labels and texts."""
    place = _PLACE[metric.name]
    pairs = zip(labels, texts, strict=True)
    if isinstance(metric, DeviceMetric) and metric.samples is not None:
        return "".join([each[place].replace(_LABELS_TO_COME, f"{{{own}") for own, each in pairs])
    start = f"{metric.name}{{"
    return "".join([f"{start}{own}}} {text}\n" for own, each in pairs if (text := each[place])])


def _parts(count: int) -> list[slice]:
    starts = range(0, count, DEVICES_IN_A_PIECE)
    return [slice(start, start + DEVICES_IN_A_PIECE) for start in starts]


def _head(metric: DeviceMetric | ClockMetric, *, openmetrics: bool) -> str:
    name = metric.name.removesuffix("_total") if openmetrics else metric.name
    return f"# HELP {name} {metric.help}\n# TYPE {name} {metric.kind}\n"


def _pairs(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items())


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
