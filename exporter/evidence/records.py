"""What a statement is made from: the question, and what each exporter's scrapes show. Pure."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from exporter.clock.offset import Offset

PROMETHEUS_LABELS: Final = frozenset({"replica", "prometheus", "prometheus_replica"})
"""Labels in which Prometheus servers differ that scrape the same exporter."""

REPLICA_LABELS: Final = PROMETHEUS_LABELS | {"instance", "pod", "node"}
"""Labels in which the exporters, or Prometheus servers, of an HA pair differ."""


class Bounds(NamedTuple):
    """An interval of times or offsets, in nanoseconds, ends included."""

    low_ns: int
    high_ns: int

    @property
    def width_ns(self) -> int:
        """The interval's width."""
        return self.high_ns - self.low_ns

    def widened(self, by_ns: int) -> "Bounds":
        """Return the interval with `by_ns` more at each end."""
        return Bounds(self.low_ns - by_ns, self.high_ns + by_ns)

    def hull(self, other: "Bounds") -> "Bounds":
        """Return the smallest interval that holds both."""
        return Bounds(min(self.low_ns, other.low_ns), max(self.high_ns, other.high_ns))

    def meet(self, other: "Bounds") -> "Bounds | None":
        """Return the intersection; `None` if it is empty."""
        low, high = max(self.low_ns, other.low_ns), min(self.high_ns, other.high_ns)
        return None if low > high else Bounds(low, high)


class Asked(NamedTuple):
    """A question: what the device showed `at` a true time, or when it had `shown` a time."""

    kind: Literal["at", "shown"]
    time_ns: int


class Scrape(NamedTuple):
    """What one scrape of an exporter says of the device; `None` for what it does not say.

    `scraped_seconds` is by Prometheus's clock, `polled_seconds` (the end of the last poll) by the
    exporter host's. `offset` is the device's clock minus the host's. `host` is the host's clock
    minus the true time, and `servers` the number of time servers that agree with it. `steps` and
    `polls` are counters, which a restart of the exporter resets.
    """

    scraped_seconds: float
    polled_seconds: float | None = None
    offset: Offset | None = None
    host: Offset | None = None
    steps: float | None = None
    polls: float | None = None
    poll_seconds: float | None = None
    synced: bool | None = None
    servers: int | None = None


class Witness(NamedTuple):
    """One exporter that polled the device, and its scrapes, oldest first.

    `labels` tell it from other exporters. `medians` are the middle offsets of all its devices
    around the moment, seconds, if it has enough of them to doubt its host's clock by.
    `kernel` is whether its host's kernel considered its clock synchronized; `None` if unknown.
    """

    labels: Mapping[str, str]
    scrapes: Sequence[Scrape]
    medians: Sequence[float] = ()
    kernel: bool | None = None


def counted_steps(scrapes: Sequence[Scrape]) -> list[tuple[Scrape, Scrape]]:
    """Return the pairs of neighbouring scrapes between which a step was counted."""
    counted = [each for each in scrapes if each.steps is not None]
    # After a restart of the exporter the count begins at 0.
    return [
        (before, after)
        for before, after in pairwise(counted)
        if after.steps != (0.0 if _may_be_restarted(before, after) else before.steps)
    ]


def was_restarted(before: Scrape, after: Scrape) -> bool:
    """Return whether the exporter was certainly restarted: it counts fewer polls."""
    return before.polls is not None and after.polls is not None and after.polls < before.polls


def _may_be_restarted(before: Scrape, after: Scrape) -> bool:
    if before.polls is None or after.polls is None:
        return before.steps is None or after.steps is None or after.steps < before.steps
    return was_restarted(before, after)


def exporter_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return, of the labels of a device's series, those of its exporter's own series."""
    return {name: labels[name] for name in ("job", "instance") if name in labels}


def clock_labels(labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """Return the labels that tell an exporter, and so its host's clock, from others."""
    return frozenset(pair for pair in labels.items() if pair[0] not in PROMETHEUS_LABELS)


def name_witness(witness: Witness) -> str:
    """Return the name of an exporter for people: its instance."""
    return witness.labels.get("instance") or "the exporter"


def describe_witness(witness: Witness, others: Sequence[Witness]) -> str:
    """Return its name, and the labels that tell it from others with the same name."""
    name = name_witness(witness)
    same = [each.labels for each in others if name_witness(each) == name]
    differing = sorted(
        label for label in witness.labels if len({each.get(label) for each in same}) > 1
    )
    labels = ", ".join(f"{label}={witness.labels[label]}" for label in differing)
    return f"{name} ({labels})" if labels else name
