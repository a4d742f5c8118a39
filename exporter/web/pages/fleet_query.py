"""The parameters of the fleet page's URL: filter, sort order, page. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Self
from urllib.parse import urlencode

from exporter.devices.health import LEVELS, Level

MAX_FILTER_CHARACTERS: Final = 200
"""Bounded because every device is searched for each word."""

SORTS: Final = {
    "state": "descending",
    "device": "ascending",
    "offset": "descending",
    "clock": "descending",
    "drift": "descending",
    "since": "descending",
    "polled": "descending",
}
"""The sort keys and their first direction, which shows what needs attention first."""

_OPPOSITE: Final = {"ascending": "descending", "descending": "ascending"}
_MAX_DIGITS: Final = 9

LABEL_PREFIX: Final = "label."
"""What a label's name has in front as a parameter: `label.site=hq`."""

MAX_LABELS: Final = 10

_NAMES: Final = ("q", "state", "sort", "page", "problem")


class BadQuery(Exception):
    """A parameter is invalid; `str()` names it and the valid values."""


@dataclass(frozen=True, slots=True)
class FleetQuery:
    """Which devices are shown, in which order, and which page of them, counted from 1.

    `text` filters by words, `state` by level (`None`: all), `problem` by one problem and `labels`
    by names and values. `reverse` inverts the sort order.
    """

    text: str = ""
    state: Level | None = None
    sort: str = "state"
    reverse: bool = False
    page: int = 1
    problem: str = ""
    labels: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> Self:
        """Parse the parameters of a URL; missing and empty ones are defaults. Raises `BadQuery`.

        A multi-dict may contain one more than once, which is invalid.
        """
        # The items: a multi-dict yields each of its names once.
        known = (name for name, _ in parameters.items() if _is_known(name))
        refuse_repeated(known)
        sort = parameters.get("sort") or "state"
        return cls(
            _parse_text(parameters.get("q", "")),
            _parse_state(parameters.get("state", "")),
            _parse_sort(sort.removeprefix("-")),
            sort.startswith("-"),
            _parse_page(parameters.get("page") or "1"),
            parameters.get("problem", ""),
            _parse_labels(parameters),
        )

    @property
    def direction(self) -> str:
        """The direction of the sorted column: `ascending` or `descending`."""
        first = SORTS[self.sort]
        return _OPPOSITE[first] if self.reverse else first

    @property
    def words(self) -> tuple[str, ...]:
        """The words that a device must contain, case-folded."""
        return tuple(self.text.casefold().split())

    @property
    def sort_parameter(self) -> str:
        """The `sort` parameter of the URL; empty for the default."""
        return "-" * self.reverse + self.sort if self.reverse or self.sort != "state" else ""

    @property
    def carried(self) -> list[tuple[str, str]]:
        """The parameters that the form does not show, but keeps; none with its default value."""
        labels = [(LABEL_PREFIX + name, value) for name, value in self.labels]
        parameters = [("problem", self.problem), *labels, ("sort", self.sort_parameter)]
        return [(name, value) for name, value in parameters if value]

    @property
    def url(self) -> str:
        """The URL of the page that shows this, without default values."""
        page = str(self.page) if self.page > 1 else ""
        parameters = [("q", self.text), ("state", self.state or ""), *self.carried, ("page", page)]
        query = urlencode([(name, value) for name, value in parameters if value])
        return f"/?{query}" if query else "/"

    def sorted_by(self, sort: str) -> Self:
        """Return this query sorted by another column, or reversed if it is this one."""
        return replace(self, sort=sort, reverse=sort == self.sort and not self.reverse, page=1)

    def of_state(self, state: Level | None) -> Self:
        """Return this query for devices of one level, or of all."""
        return replace(self, state=state, page=1)

    def of_problem(self, problem: str) -> Self:
        """Return this query for devices with one problem, or for all if it is empty."""
        return replace(self, problem=problem, page=1)

    def of_label(self, name: str, value: str) -> Self:
        """Return this query for devices with a label, whatever their other labels are.

        An empty value stands for any.
        """
        others = tuple(each for each in self.labels if each[0] != name)
        return replace(self, labels=(*others, (name, value)) if value else others, page=1)

    def at_page(self, page: int) -> Self:
        """Return this query for another page."""
        return replace(self, page=page)


def _is_known(name: str) -> bool:
    return name in _NAMES or name.startswith(LABEL_PREFIX)


def refuse_repeated(names: Iterable[str]) -> None:
    """Raise `BadQuery` if a parameter is given more than once."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise BadQuery(f"`{name}` is given more than once.")
        seen.add(name)


def _parse_text(text: str) -> str:
    if len(text) > MAX_FILTER_CHARACTERS:
        raise BadQuery(f"`q` is too long; use at most {MAX_FILTER_CHARACTERS} characters.")
    return text.strip()


def _parse_state(name: str) -> Level | None:
    for level in LEVELS:
        if name == level:
            return level
    if name:
        raise BadQuery(f"Invalid `state`; use {_alternatives(LEVELS)}.")
    return None


def _parse_sort(name: str) -> str:
    if name not in SORTS:
        raise BadQuery(f"Invalid `sort`; use {_alternatives(SORTS)}, with `-` in front to reverse.")
    return name


def _parse_labels(parameters: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    labels = {
        name.removeprefix(LABEL_PREFIX): value
        for name, value in parameters.items()
        if name.startswith(LABEL_PREFIX) and value
    }
    if len(labels) > MAX_LABELS:
        raise BadQuery(f"Too many labels; use at most {MAX_LABELS}.")
    return tuple(labels.items())


def _parse_page(number: str) -> int:
    is_number = number.isascii() and number.isdigit() and len(number) <= _MAX_DIGITS
    if not is_number or int(number) == 0:
        raise BadQuery("Invalid `page`; use a number from 1 on.")
    return int(number)


def _alternatives(values: Iterable[str]) -> str:
    *others, last = values
    return f"{', '.join(others)} or {last}"
