"""Colours of values: the alert thresholds and the states of a device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from grafana.generate.thresholds import (
    OFFSET_CRITICAL_SECONDS,
    OFFSET_WARNING_SECONDS,
    SKEW_CRITICAL_SECONDS,
    SKEW_WARNING_SECONDS,
)

GREEN: Final = "green"
YELLOW: Final = "yellow"
ORANGE: Final = "orange"
RED: Final = "red"

Steps = Sequence[tuple[float | None, str]]
"""Pairs of a lower bound and the colour from there on; `None` is minus infinity."""

PLAIN: Final[Steps] = ((None, "text"),)
NONE_IS_GOOD: Final[Steps] = ((None, GREEN), (1, ORANGE))
NONE_OR_RED: Final[Steps] = ((None, GREEN), (1, RED))

BEYOND_SKEW: Final[Steps] = (
    (None, GREEN),
    (SKEW_WARNING_SECONDS, ORANGE),
    (SKEW_CRITICAL_SECONDS, RED),
)
BEYOND_OFFSET: Final[Steps] = (
    (None, GREEN),
    (OFFSET_WARNING_SECONDS, ORANGE),
    (OFFSET_CRITICAL_SECONDS, RED),
)


def either_side(warning: float, critical: float) -> Steps:
    """Return the colours of a value that may be off in both directions."""
    return (
        (None, RED),
        (-critical, ORANGE),
        (-warning, GREEN),
        (warning, ORANGE),
        (critical, RED),
    )


SKEW: Final = either_side(SKEW_WARNING_SECONDS, SKEW_CRITICAL_SECONDS)
OFFSET: Final = either_side(OFFSET_WARNING_SECONDS, OFFSET_CRITICAL_SECONDS)

Value = tuple[str, str]
"""The text and the colour of a number."""

STATES: Final[Mapping[int, Value]] = {
    0: ("fine", GREEN),
    1: ("certificate", "dark-blue"),
    2: ("config differs", "light-blue"),
    3: ("sync stalled", "dark-yellow"),
    4: ("NTP client off", "purple"),
    5: ("not synchronized", "yellow"),
    6: ("no servers", "light-yellow"),
    7: ("clock off", "orange"),
    8: ("clock far off", "dark-red"),
    9: ("polls fail", "red"),
    10: ("polls overdue", "dark-purple"),
}
"""The values of `promql.state`."""

YES_NO: Final[Mapping[int, Value]] = {0: ("no", RED), 1: ("yes", GREEN)}
