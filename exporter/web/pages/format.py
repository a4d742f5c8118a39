"""Numbers, times and states as text for people. Pure."""

import re
import time
from collections.abc import Sequence
from typing import Final

from exporter.clock.host import HostTime
from exporter.devices.health import Issue
from exporter.devices.state import DeviceState
from exporter.vapix.ntp_info import CLOCK_ONLY

_SYNCHRONIZED_BUT: Final = "synchronized, but "

_TWICE_THE_UNIT: Final = re.compile(r"(\S+) (\S+) ± (\S+) \2")

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400


def describe_problems(issues: Sequence[Issue]) -> str:
    """Return the problems in words: `unauthorized 401, its clock is 3.0 s ahead`."""
    return ", ".join(issue.text.removeprefix(_SYNCHRONIZED_BUT) for issue in issues)


def describe_state(state: DeviceState, issues: Sequence[Issue]) -> str:
    """Return a device's state and problems: `synchronized, but its clock is 3.0 s ahead`."""
    if state.last_poll_steady is None:
        return "not polled yet"
    problems = describe_problems(issues)
    if state.last.reading is CLOCK_ONLY:
        return problems or "clock only"
    if not says_synchronized(state):
        return problems
    return f"{_SYNCHRONIZED_BUT}{problems}" if problems else "synchronized"


def says_synchronized(state: DeviceState) -> bool:
    """Whether the device reports an enabled NTP client that is synchronized."""
    return bool(state.last.client.settings.enabled and state.last.client.status.synced)


def since_steady(issues: Sequence[Issue]) -> float | None:
    """Return when the first issue began, on the steady clock; `None` while unknown."""
    return issues[0].since_steady if issues else None


def format_since(steady_seconds: float, now: HostTime) -> str:
    """Return when something began, in UTC, and roughly how long ago: `12:41 (18 min)`.

    The date is told after a day: `11-27 12:41 (2 d)`.
    """
    ago = now.steady_seconds - steady_seconds
    day = "%m-%d " if ago >= _DAY else ""
    largest_unit = " ".join(format_coarse(ago).split()[:2])
    began = time.gmtime(now.unix_seconds_at(steady_seconds))
    return f"{time.strftime(f'{day}%H:%M', began)} ({largest_unit})"


def with_one_unit(text: str) -> str:
    """Return `+1.8 ± 0.3 ms` for `+1.8 ms ± 0.3 ms`; two different units stay."""
    return _TWICE_THE_UNIT.sub(r"\1 ± \3 \2", text)


def format_elapsed(seconds: float | None) -> str:
    """Return how long something took, with three digits: `12.3 ms`, `10.0 s`."""
    if seconds is None:
        return ""
    unit, size = ("s", 1.0) if seconds >= 0.9995 else ("ms", 1e-3)  # noqa: PLR2004 - 999.5 ms
    count = seconds / size
    digits = next((digits for digits, below in ((2, 9.995), (1, 99.95)) if count < below), 0)
    return f"{count:.{digits}f} {unit}"


def format_span(seconds: float) -> str:
    """Return a duration: `250 ms`, `1.5 s`, `1 min 30 s`, `2 d 4 h`."""
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms" if seconds else "0 s"
    if (tenths := round(seconds, 1)) < _MINUTE:
        return f"{tenths:g} s"
    left, parts = round(seconds), []
    for unit, unit_seconds in (("d", _DAY), ("h", _HOUR), ("min", _MINUTE), ("s", 1)):
        count, left = divmod(left, unit_seconds)
        parts += [f"{count:,} {unit}"] if count else []
    return " ".join(parts)


def format_ago(seconds: float) -> str:
    """Return how long ago something was, roughly: `12 s ago`, `3 h 5 min ago`, `2 d 4 h ago`."""
    return f"{format_coarse(seconds)} ago"


def format_ahead(seconds: float) -> str:
    """Return how far ahead something is: `in 12 s`, or `now`."""
    return f"in {format_coarse(seconds)}" if seconds >= 1 else "now"


def format_coarse(seconds: float) -> str:
    """Return a duration in its two largest units, rounded down: `12 s`, `3 h 5 min`, `12 d`."""
    whole = max(0, round(seconds))
    for step, beyond in ((1, _HOUR), (_MINUTE, _DAY), (_HOUR, 7 * _DAY)):
        if whole < beyond:
            return format_span(whole // step * step)
    return format_span(whole // _DAY * _DAY)


def format_time(unix_seconds: float) -> str:
    """Return a time in UTC: `2026-03-01 12:00:05`."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(unix_seconds))


def format_count(count: int, thing: str) -> str:
    """Return a count with its noun: `1 device`, `10,000 devices`."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
