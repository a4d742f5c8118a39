"""Short texts: durations, offsets, counts, and foreign strings made safe to print. Pure."""

import math
import re
import shlex
import time
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from exporter.clock.drift import Drift
    from exporter.clock.offset import Offset

_MINUTE: Final = 60
_HOUR: Final = 3_600
_DAY: Final = 86_400
_DAY_HOURS: Final = 24
_UNIT_SECONDS: Final = {
    "y": 365 * _DAY,
    "w": 7 * _DAY,
    "d": _DAY,
    "h": _HOUR,
    "m": _MINUTE,
    "s": 1,
    "ms": 0.001,
}
_DURATION: Final = re.compile(
    "".join(rf"(?:(\d{{1,12}}){unit})?" for unit in _UNIT_SECONDS), re.ASCII
)
_UNIT_SIZES: Final = {"ms": 0.001, "s": 1, "h": _HOUR, "days": _DAY}
COARSE_SECONDS: Final = 0.25
"""An offset that is less certain than this is not told in milliseconds."""

_DIGITS: Final = re.compile(r"\b(?=\d*[a-f])[\da-f]{12}\b|\d+")
"""Numbers in a name, and MAC addresses: their hexadecimal digits are no numbers."""

_DIGITS_COMPARED: Final = 12
_MOST_DIGITS: Final = 20
"""Enough for 64 bits; `int` refuses very long texts with an error of its own."""


def escaped(text: str) -> str:
    """Return `text` with control characters, line breaks and bidirectional marks escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


_SPACE_TO_FOLD: Final = re.compile(" (?=(?:[^`]*`[^`]*`)*[^`]*$)")
"""A space with an even number of backquotes after it."""

_LONGEST_PROBLEM: Final = 300


def quoted_for_shell(text: str) -> str:
    """Return `text` as one word of a shell's command line, in printable characters only."""
    if text.isprintable():
        return shlex.quote(text)
    return f"$'{''.join(map(_quoted_character, text))}'"


def _quoted_character(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\{byte:03o}" for byte in character.encode())


def shortened(problem: str) -> str:
    """Return a problem that quotes foreign text, printable and with 300 characters at most.

    Both ends stay: the beginning says where, and the end what is wrong.
    """
    if len(problem) > 2 * _LONGEST_PROBLEM:
        problem = problem[:_LONGEST_PROBLEM] + problem[-_LONGEST_PROBLEM:]
    text = escaped(problem)
    if len(text) <= _LONGEST_PROBLEM:
        return text
    half = _LONGEST_PROBLEM // 2
    return f"{text[:half]}…{text[1 - half :]}"


def display_name(name: str, address: str) -> str:
    """Return `lobby (192.0.2.1)`, or only the address if that is also the device's name."""
    return escaped(name) if name == address else f"{escaped(name)} ({escaped(address)})"


def natural_key(name: str) -> str:
    """Return a key that sorts `dock-2` before `dock-10`, and `Gate` next to `gate`.

    Names with a MAC address, as `find` makes them, are sorted by its letters and digits.
    """
    return _DIGITS.sub(lambda digits: digits[0].zfill(_DIGITS_COMPARED), name.casefold())


def cell_width(text: str) -> int:
    """Return how many columns of a terminal an escaped text takes (UAX #11: wide letters two)."""
    if text.isascii():
        return len(text)
    return sum(map(_letter_width, text))


def _letter_width(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me"):  # on the letter before
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def cut(text: str, width: int) -> str:
    """Return a text that takes at most so many columns; what is left out is `…`."""
    if cell_width(text) <= width:
        return text
    kept, used = [], 1
    for letter in text:
        used += _letter_width(letter)
        if used > width:
            break
        kept.append(letter)
    return f"{''.join(kept).rstrip()}…" if width > 0 else ""


def cut_middle(text: str, width: int) -> str:
    """Return a text that takes at most so many columns; what is left out of its middle is `…`.

    For names, which often differ at their ends only.
    """
    if cell_width(text) <= width:
        return text
    end, room = "", (width - 1) // 2
    for letter in reversed(text):
        room -= _letter_width(letter)
        if room < 0:
            break
        end = letter + end
    return cut(text, width - cell_width(end)) + end


def folded(text: str, width: int, indent: str) -> Iterator[str]:
    """Yield the lines of a text that is folded at spaces to so many columns.

    All but the first begin with `indent`. A command in backquotes, to be copied, stays whole; so
    does a word that is wider than a line.
    """
    first, *words = _SPACE_TO_FOLD.split(text)
    line = first
    for word in words:
        if cell_width(f"{line} {word}") <= width:
            line += f" {word}"
        else:
            yield line
            line = indent + word
    yield line


def first_names(names: Sequence[str], count: int) -> str:
    """Return the first names in a line, and how many there are besides."""
    left = max(len(names) - count, 0)
    return ", ".join(names[:count]) + (f" and {left:,} more" if left else "")


def plural(count: int, noun: str) -> str:
    """Return `noun`, with an s unless `count` is 1."""
    return noun if count == 1 else f"{noun}s"


def parse_digits(text: str, largest: int) -> int | None:
    """Parse a number of ASCII digits only; `None` for any other text and above `largest`."""
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        return None
    number = int(text)
    return number if number <= largest else None


def parse_duration(text: str) -> float:
    """Parse a Prometheus duration such as `1m30s`; returns seconds.

    Units go from the largest to the smallest, each at most once. Raises `ValueError` with a
    message for the user.
    """
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError(f"{text!r} is not a duration such as 30s, 1m30s or 500ms")
    parts = zip(match.groups(), _UNIT_SECONDS.values(), strict=True)
    # Whole milliseconds have no rounding error: 5100 * 0.001 is not 5.1.
    return sum(int(count) * round(seconds * 1000) for count, seconds in parts if count) / 1000


def format_day(unix_seconds: float) -> str:
    """Return the day of a Unix time, in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(unix_seconds))


def format_duration(seconds: float) -> str:
    """Format a duration as Prometheus does, rounded to milliseconds: 90.0 is `1m30s`."""
    left = round(seconds * 1000)
    parts = []
    for unit, unit_seconds in _UNIT_SECONDS.items():
        count, left = divmod(left, round(unit_seconds * 1000))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def format_offset(seconds: float | None) -> str:
    """Format an offset in ms, or in s from 1 s on: `+0.021 ms`, `-3.250 s`; empty for `None`.

    The unit is that of the rounded number, and a column of offsets has no other small unit.
    """
    if seconds is None:
        return ""
    if abs(milliseconds := round(seconds * 1e3, 3)) < 1000:  # noqa: PLR2004 - a second
        return f"{milliseconds:+z.3f} ms"
    if round(abs(seconds), 3) < _HOUR:
        return f"{seconds:+.3f} s"
    if round(abs(hours := seconds / _HOUR), 2) < _DAY_HOURS:
        return f"{hours:+.2f} h"
    return f"{seconds / _DAY:+,.1f} days"


def format_magnitude(seconds: float) -> str:
    """Format the size of an offset, roughly and without its sign: `3.0 s`, `1.5 h`, `12.0 days`."""
    size = round(abs(seconds), 1)
    if size < _HOUR:
        return f"{size:.1f} s"
    hours = round(size / _HOUR, 1)
    return f"{hours:.1f} h" if hours < _DAY_HOURS else f"{size / _DAY:,.1f} days"


def format_roughly(seconds: float) -> str:
    """Format a duration in one or two units, rounded down: `64 s`, `18 min`, `2 h 20 min`."""
    whole = int(seconds)
    if whole < 2 * _MINUTE:
        return f"{whole} s"
    if whole < 2 * _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < 2 * _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY:,} days"


def format_drift(drift: "Drift | None") -> str:
    """Format a measured drift with its uncertainty: `+18.0 ppm ± 0.4 ppm`, empty for `None`."""
    if drift is None:
        return ""
    return f"{drift.ratio * 1e6:+.1f} ppm ± {drift.uncertainty_ratio * 1e6:.1f} ppm"


def format_clock(offset: "Offset | None") -> str:
    """Format a measured offset with its uncertainty: `-1.800 s ± 0.300 ms`, empty for `None`.

    One that is only known to half a second or so is `within ±0.8 s (Date only)` if it may be 0, and
    else rounded: `+3.2 s ± 0.6 s (Date only)`. All of the interval is within what is said.
    """
    if offset is None:
        return ""
    if offset.uncertainty_seconds < COARSE_SECONDS:
        return f"{format_offset(offset.seconds)} ± {format_offset(offset.uncertainty_seconds)[1:]}"
    because = " (Date only)" if offset.is_date_only else ""
    return f"{_format_coarsely(offset.seconds, offset.uncertainty_seconds)}{because}"


def _format_coarsely(seconds: float, uncertainty_seconds: float) -> str:
    if abs(seconds) <= uncertainty_seconds:
        number, unit = _rounded_up(abs(seconds) + uncertainty_seconds)
        return f"within ±{number} {unit}"
    shown, unit = _rounded(seconds)
    rounding = abs(seconds - float(shown.replace(",", "")) * _UNIT_SIZES[unit])
    number, of_uncertainty = _rounded_up(uncertainty_seconds + rounding)
    return f"{shown} {unit} ± {number} {of_uncertainty}"


def _rounded(seconds: float) -> tuple[str, str]:
    """Return an offset's number, rounded, and its unit."""
    if abs(seconds) >= _HOUR:
        number, unit = format_offset(seconds).split()
        return number, unit
    return f"{seconds:+.1f}", "s"


def _rounded_up(seconds: float) -> tuple[str, str]:
    """Return the number of a duration, never less than it is, and its unit."""
    size, unit = (1, "s") if seconds < _HOUR else (_HOUR, "h")
    return f"{math.ceil(seconds / size * 10) / 10:,.1f}", unit


def format_clock_shortly(offset: "Offset | None") -> str:
    """Format a measured offset as `format_clock`, in 15 columns: `-4.9 ±1.8 ms`, `within ±0.8 s`.

    The uncertainty contains the rounding. Offsets of hours and days may take more columns.
    """
    if offset is None:
        return ""
    seconds, uncertainty_seconds, _ = offset
    if uncertainty_seconds >= COARSE_SECONDS or abs(seconds) >= _HOUR:
        return _format_coarsely(seconds, uncertainty_seconds)
    unit, digits = ("ms", 1) if abs(seconds) < 1 else ("s", 2)
    size, step = _UNIT_SIZES[unit], 10**-digits
    shown = round(seconds / size, digits)
    bound = math.ceil((uncertainty_seconds / size + abs(seconds / size - shown)) / step) * step
    return f"{shown:+z.{digits}f} ±{bound:.{digits}f} {unit}"


def format_offset_shortly(seconds: float | None) -> str:
    """Format an offset as `format_offset` with fewer digits: `-4.8 ms`, `+12.35 s`."""
    if seconds is None or abs(seconds) >= _HOUR:
        return format_offset(seconds)
    unit, digits = ("ms", 1) if abs(seconds) < 1 else ("s", 2)
    return f"{seconds / _UNIT_SIZES[unit]:+z.{digits}f} {unit}"
