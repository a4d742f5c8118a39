"""Replaces the variables in a dashboard's queries as Grafana does.

Formats and escaping follow Grafana's documentation ("Advanced variable format options"). A name or
format that Grafana would not replace is an error here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

FOLDER: Final = Path(__file__).parents[2] / "grafana/dashboards"
UIDS: Final = ("axis-ntp-fleet", "axis-ntp-device", "axis-ntp-exporter")

_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::(\w+))?\}|\$(\w+)")
_SPECIAL: Final = re.compile(r"[\\^$*+?.()|\[\]{}/]")
_LABEL_VALUES: Final = re.compile(r"^label_values\((?:(.+),\s*)?([a-zA-Z_]\w*)\)\s*$")


def load(uid: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / f"{uid}.json").read_text("utf-8"))
    return document


@dataclass(frozen=True)
class Span:
    """A dashboard's time range, and how often Prometheus scrapes."""

    start: float
    end: float
    scrape_seconds: int = 1

    @property
    def seconds(self) -> int:
        return round(self.end - self.start)

    def step(self, points: int) -> int:
        return max(self.scrape_seconds, math.ceil(self.seconds / points))


@dataclass(frozen=True)
class Question:
    """A query of a panel, an annotation or a variable, as written in the dashboard."""

    uid: str
    place: str
    expression: str
    kind: str = "variable"
    query: Mapping[str, Any] = field(default_factory=dict)
    panel: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return f"{self.uid.removeprefix('axis-ntp-')}: {self.place}"

    @property
    def points(self) -> int:
        return int(self.panel.get("maxDataPoints", 1000))


def panels_of(uid: str) -> list[dict[str, Any]]:
    """Return the panels of a dashboard that are no rows, those in collapsed rows included."""
    shown = load(uid)["panels"]
    return [one for each in shown for one in ([each] if each["type"] != "row" else each["panels"])]


def asking_panels(uid: str) -> list[dict[str, Any]]:
    """Return the panels with queries. Grafana's list of alerts reads the rules by itself."""
    return [panel for panel in panels_of(uid) if panel["type"] != "alertlist"]


def panel_questions(uid: str) -> Iterator[Question]:
    for panel in asking_panels(uid):
        for target in panel["targets"]:
            place = f"{panel['title']} {target['refId']}"
            yield Question(uid, place, target["expr"], panel["type"], target, panel)


def annotation_questions(uid: str) -> Iterator[Question]:
    for annotation in load(uid)["annotations"]["list"]:
        yield Question(uid, annotation["name"], annotation["expr"], "annotation", annotation)


def variable_questions(uid: str) -> Iterator[Question]:
    for variable in load(uid)["templating"]["list"]:
        if variable["type"] == "query":
            yield Question(uid, variable["name"], variable["query"]["query"])


def label_values(expression: str) -> tuple[str, str]:
    """Return the selector and the label of `label_values(…)`."""
    found = _LABEL_VALUES.match(expression)
    assert found, expression
    return found[1], found[2]


@dataclass(frozen=True)
class Dashboard:
    """A dashboard with the selected values of its variables; a missing one is `All`."""

    uid: str
    chosen: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def fill(self, text: str, span: Span, points: int = 1000) -> str:
        """Return the text as Grafana sends it. Raises KeyError for an unknown variable."""
        step = span.step(points)
        built_in = {
            "__interval": f"{step}s",
            "__range": f"{span.seconds}s",
            "__rate_interval": f"{max(step + span.scrape_seconds, 4 * span.scrape_seconds)}s",
        }

        def value(found: re.Match[str]) -> str:
            name = found[1] or found[3]
            return built_in[name] if name in built_in else self._value(name, found[2])

        return _VARIABLE.sub(value, text)

    def url(self, text: str, row: Mapping[str, str], span: Span) -> str:
        """Return the URL of a data link in a row of a table."""
        text = text.replace("${__value.raw:", "${__data.fields.__value:")
        fields = re.compile(r"\$\{__data\.fields\.(\w+):(percentencode|raw)\}")

        def value(found: re.Match[str]) -> str:
            raw = row[found[1]]
            return raw if found[2] == "raw" else quote(raw, safe="")

        text = fields.sub(value, text)
        times = {"from": round(span.start * 1000), "to": round(span.end * 1000)}
        return self.fill(text.replace("${__url_time_range}", urlencode(times)), span)

    def _value(self, name: str, form: str | None) -> str:
        variables = {each["name"]: each for each in load(self.uid)["templating"]["list"]}
        variable = variables[name]
        default = str(variable["query"]) if variable["type"] == "textbox" else "$__all"
        values = self.chosen.get(name, [default])
        if form == "queryparam":
            return urlencode([(f"var-{name}", value) for value in values])
        if variable["type"] == "textbox" and form == "raw":
            return values[0]
        assert form == "regex", f"${{{name}:{form}}} must not be used in a query"
        if values == ["$__all"]:
            all_value: str = variable["allValue"]
            return all_value
        return as_regex(values)


def as_regex(values: Sequence[str], special: re.Pattern[str] = _SPECIAL) -> str:
    """Return the values in Grafana's format `regex`."""
    escaped = [special.sub(r"\\\g<0>", value) for value in values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def series_name(legend: str, labels: Mapping[str, str]) -> str:
    """Return the name of a series in the legend."""
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: labels.get(found[1], ""), legend)


PANEL_QUESTIONS: Final = [question for uid in UIDS for question in panel_questions(uid)]
