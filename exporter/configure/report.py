"""Results as lines for a person and as JSON objects. Pure."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from exporter.configure.apply import DeviceChange
from exporter.configure.outcome import RIGHT, ChangeResult, ChangeStatus
from exporter.configure.plan import Difference
from exporter.system.terminal import Line, Span
from exporter.system.text import cell_width, display_name, escaped, plural

_STYLES: Final = {
    ChangeStatus.NOTHING_EXPECTED: "dim",
    ChangeStatus.ALREADY_RIGHT: "green",
    ChangeStatus.SET: "green",
    ChangeStatus.DIFFERENT: "yellow",
    ChangeStatus.NOT_STARTED: "yellow",
}
_NOTHING: Final = "none"
_INDENT: Final = "   "
_PLAIN_NAME: Final = re.compile(r"[\w.:\[\]%-]+")


def _words(status: ChangeStatus) -> str:
    """Return a status for a person, such as `already right`."""
    if status is ChangeStatus.NOTHING_EXPECTED:
        return "skipped"
    return status.value.replace("_", " ")


def format_value(value: object) -> str:
    """Format a parameter's value: `true`, `6`, `dhcp`, `10.0.0.1, 10.0.0.2`."""
    if value is None:
        return "not reported"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(map(_quote, value)) or _NOTHING
    return _quote(str(value))


def _quote(text: str) -> str:
    # Otherwise one server named "a, b" would look like two.
    is_plain = _PLAIN_NAME.fullmatch(text) and text != _NOTHING
    return text if is_plain else escaped(json.dumps(text, ensure_ascii=False))


def device_lines(changes: Sequence[DeviceChange]) -> Iterator[Line]:
    """Yield the result of each device, and a line for each parameter that differs."""
    for change in changes:
        target = change.device.target
        yield from _block(display_name(target.name, target.address), change.result)


def group_lines(changes: Sequence[DeviceChange], width: int) -> Iterator[Line]:
    """Yield each result once, with its devices in lines of at most `width` columns below it.

    A result is that of several devices if all that would be shown of it is the same.
    """
    groups: dict[tuple[Line, ...], list[DeviceChange]] = {}
    for change in changes:
        groups.setdefault(tuple(_block("", change.result)), []).append(change)
    for alike in groups.values():
        if len(alike) == 1:
            yield from device_lines(alike)
            continue
        yield from _block(f"{len(alike):,} devices", alike[0].result)
        for line in _in_lines([escaped(each.device.target.name) for each in alike], width):
            yield (Span(line),)


def _in_lines(names: Sequence[str], width: int) -> Iterator[str]:
    """Yield all names, with commas, in indented lines; a name is never broken."""
    line = _INDENT
    for number, name in enumerate(names):
        text = name if number == len(names) - 1 else f"{name},"
        if line.strip() and cell_width(line) + 1 + cell_width(text) > width:
            yield line
            line = _INDENT
        line += f" {text}"
    yield line


def _block(whose: str, result: ChangeResult) -> Iterator[Line]:
    yield (
        Span(whose, "bold"),
        Span(": "),
        Span(_words(result.status), _STYLES.get(result.status, "red")),
        Span(f": {escaped(result.reason)}" if result.reason else ""),
    )
    for difference in _known_differences(result):
        yield (
            Span(f"  {difference.parameter}: "),
            Span(format_value(difference.now), "red"),
            Span(" → "),
            Span(format_value(difference.wanted), "green"),
        )
    for warning in _warnings(result):
        yield (Span(f"  warning: {warning}", "yellow"),)


def _known_differences(result: ChangeResult) -> tuple[Difference, ...]:
    """Return the differences that certainly exist now."""
    if result.read_back is not None:
        return result.remaining
    is_unchanged = result.status in (ChangeStatus.DIFFERENT, ChangeStatus.REFUSED)
    return result.plan.differences if result.plan and is_unchanged else ()


def _warnings(result: ChangeResult) -> tuple[str, ...]:
    """Return the warnings about a change that is not made yet."""
    is_planned = result.status is ChangeStatus.DIFFERENT
    return result.plan.warnings if result.plan and is_planned else ()


def summary(changes: Sequence[DeviceChange]) -> str:
    """Count the devices by result, in one sentence."""
    total, counts = len(changes), Counter(change.result.status for change in changes)
    parts = [f"{counts[status]} {_words(status)}" for status in ChangeStatus if counts[status]]
    return f"{total} {plural(total, 'device')}: {', '.join(parts)}"


def next_step(changes: Sequence[DeviceChange], *, applying: bool) -> str:
    """Return what to do next, in a sentence; `applying`: with `--apply`."""
    statuses = {change.result.status for change in changes}
    if statuses == {ChangeStatus.NOTHING_EXPECTED}:
        return "Nothing was compared: no `expect` is configured for these devices."
    if statuses <= RIGHT:
        return "Every device is as expected."
    if ChangeStatus.DIFFERENT in statuses:
        return "Nothing was changed." + ("" if applying else " Use --apply to change what differs.")
    if statuses & {ChangeStatus.NOT_STARTED, ChangeStatus.UNCERTAIN}:
        return "Not finished: run the command again."
    return "Not every device is as expected."


def as_document(change: DeviceChange) -> dict[str, Any]:
    """Return the object that `--json` prints for a device."""
    target, result = change.device.target, change.result
    error, differences = result.error, result.plan.differences if result.plan else ()
    return {
        "device": target.name,
        "address": target.address,
        "labels": dict(target.labels),
        "result": result.status.value,
        "reason": result.reason,
        "error": None if error is None else {"reason": error.reason, "code": error.code},
        "differences": [asdict(each) for each in differences],
        "differences_left": [asdict(each) for each in result.remaining],
        "warnings": list(_warnings(result)),
    }
