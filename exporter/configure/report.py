"""What is told of the devices: lines for a person, documents for a program. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from exporter.configure.apply import DeviceChange
from exporter.configure.outcome import RIGHT, ChangeResult, ChangeStatus
from exporter.configure.plan import Difference
from exporter.system.terminal import Line, Span, counted
from exporter.system.text import display_name, escaped

_STYLES: Final = {
    ChangeStatus.NOTHING_EXPECTED: "dim",
    ChangeStatus.ALREADY_RIGHT: "green",
    ChangeStatus.SET: "green",
    ChangeStatus.DIFFERENT: "yellow",
    ChangeStatus.NOT_STARTED: "yellow",
}
_ALARMING: Final = "red"

_NOTHING: Final = "none"
_PLAIN_NAME: Final = re.compile(r"[\w.:\[\]%-]+")


def words(result: ChangeStatus) -> str:
    """A result as a person reads it: `already right`."""
    return result.value.replace("_", " ")


def shown(value: object) -> str:
    """A parameter's value: `true`, `6`, `dhcp`, `10.0.0.1, 10.0.0.2`."""
    if value is None:
        return "not reported"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(map(_name, value)) or _NOTHING
    return _name(str(value))


def _name(text: str) -> str:
    # Else one server called "a, b" would look like two.
    is_plain = _PLAIN_NAME.fullmatch(text) and text != _NOTHING
    return text if is_plain else escaped(json.dumps(text, ensure_ascii=False))


def device_lines(cases: Sequence[DeviceChange]) -> Iterator[Line]:
    """Device by device: the result, and a line for each parameter that differs."""
    for case in cases:
        finding = case.finding
        style = _STYLES.get(finding.result, _ALARMING)
        reason = f": {escaped(finding.reason)}" if finding.reason else ""
        yield (
            Span(display_name(case.device.target.name, case.device.target.address), "bold"),
            Span(": "),
            Span(words(finding.result), style),
            Span(reason),
        )
        for difference in _told(finding):
            yield _difference_line(difference)
        for warning in _warnings(finding):
            yield (Span(f"  warning: {warning}", "yellow"),)


def _told(finding: ChangeResult) -> tuple[Difference, ...]:
    """What is still to be put right; nothing of what may be right by now."""
    if finding.found is not None:
        return finding.left
    still = finding.result in (ChangeStatus.DIFFERENT, ChangeStatus.REFUSED)
    return finding.plan.differences if finding.plan and still else ()


def _warnings(finding: ChangeResult) -> tuple[str, ...]:
    """What may not have been meant, of a change that is still to be made."""
    is_ahead = finding.result is ChangeStatus.DIFFERENT
    return finding.plan.warnings if finding.plan and is_ahead else ()


def _difference_line(difference: Difference) -> Line:
    return (
        Span(f"  {difference.parameter}: "),
        Span(shown(difference.now), "red"),
        Span(" → "),
        Span(shown(difference.wanted), "green"),
    )


def summary(cases: Sequence[DeviceChange]) -> str:
    """How many devices have which result, in one sentence."""
    counts = Counter(case.finding.result for case in cases)
    parts = [f"{counts[result]} {words(result)}" for result in ChangeStatus if counts[result]]
    return f"{counted(len(cases))}: {', '.join(parts)}"


def next_step(cases: Sequence[DeviceChange], *, applying: bool) -> str:
    """What to do next, in a sentence; `applying`: changes were asked for."""
    results = {case.finding.result for case in cases}
    if results == {ChangeStatus.NOTHING_EXPECTED}:
        return "Nothing was compared: the config has no `expect` for any of them."
    if results <= RIGHT:
        return "Every device is as expected."
    if ChangeStatus.DIFFERENT in results:
        return "Nothing was changed." + ("" if applying else " --apply changes what is different.")
    if results & {ChangeStatus.NOT_STARTED, ChangeStatus.UNCERTAIN}:
        return "Not finished: run it again."
    return "Not every device is as expected."


def documents(cases: Sequence[DeviceChange]) -> list[dict[str, Any]]:
    """An object for each device, as `--json` prints them."""
    return [_document(case) for case in cases]


def _document(case: DeviceChange) -> dict[str, Any]:
    target, finding = case.device.target, case.finding
    error = finding.error
    return {
        "device": target.name,
        "address": target.address,
        "labels": dict(target.labels),
        "result": finding.result.value,
        "reason": finding.reason,
        "error": None if error is None else {"reason": error.reason, "code": error.code},
        "differences": _as_objects(finding.plan.differences if finding.plan else ()),
        "differences_left": _as_objects(finding.left),
        "warnings": list(_warnings(finding)),
    }


def _as_objects(differences: tuple[Difference, ...]) -> list[dict[str, Any]]:
    return [
        {"parameter": each.parameter, "now": each.now, "wanted": each.wanted}
        for each in differences
    ]
