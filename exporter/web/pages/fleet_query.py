"""What of the fleet is asked for: the parameters of the fleet page's URL. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Self
from urllib.parse import urlencode

from exporter.web.pages.format import LEVELS, Level

LONGEST_FILTER: Final = 200
"""Characters; each word is looked for in every device."""

SORTS: Final = {
    "state": "descending",
    "device": "ascending",
    "offset": "descending",
    "clock": "descending",
    "polled": "descending",
}
"""What can be sorted by, and the direction that comes first: what is worst, or wants a look."""

_OTHER: Final = {"ascending": "descending", "descending": "ascending"}
_MOST_DIGITS: Final = 9


class BadQuery(Exception):
    """A parameter has no meaning; `str()` says which and what it may be."""


@dataclass(frozen=True, slots=True)
class FleetQuery:
    """Which devices, in which order, which page of them, the first being 1.

    `text` is what is looked for; `state` `None` for all; `turned` for the other direction.
    """

    text: str = ""
    state: Level | None = None
    sort: str = "state"
    turned: bool = False
    page: int = 1

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> Self:
        """The query of a URL; what it leaves out or empty is the default. Raises `BadQuery`."""
        sort = parameters.get("sort") or "state"
        return cls(
            _text(parameters.get("q", "")),
            _state(parameters.get("state", "")),
            _sort(sort.removeprefix("-")),
            sort.startswith("-"),
            _page(parameters.get("page") or "1"),
        )

    @property
    def direction(self) -> str:
        """`ascending` or `descending`, as the column shows it."""
        first = SORTS[self.sort]
        return _OTHER[first] if self.turned else first

    @property
    def words(self) -> tuple[str, ...]:
        """What every device has to have in it, in lower case."""
        return tuple(self.text.casefold().split())

    @property
    def sort_parameter(self) -> str:
        """The order as the URL has it; empty for the default."""
        return "-" * self.turned + self.sort if self.turned or self.sort != "state" else ""

    @property
    def url(self) -> str:
        """Where this is shown, defaults left out."""
        page = str(self.page) if self.page > 1 else ""
        parameters = {
            "q": self.text,
            "state": self.state or "",
            "sort": self.sort_parameter,
            "page": page,
        }
        said = urlencode({name: value for name, value in parameters.items() if value})
        return f"/?{said}" if said else "/"

    def sorted_by(self, sort: str) -> FleetQuery:
        """The same devices by another column, or by this one the other way round."""
        return replace(self, sort=sort, turned=sort == self.sort and not self.turned, page=1)

    def of_state(self, state: Level | None) -> FleetQuery:
        """Those that stand so."""
        return replace(self, state=state, page=1)

    def at_page(self, page: int) -> FleetQuery:
        """Another page."""
        return replace(self, page=page)


def _text(text: str) -> str:
    if len(text) > LONGEST_FILTER:
        raise BadQuery(f"q is too long: at most {LONGEST_FILTER} characters are looked for")
    return text.strip()


def _state(name: str) -> Level | None:
    for level in LEVELS:
        if name == level:
            return level
    if name:
        raise BadQuery(f"state is none of {', '.join(LEVELS)}")
    return None


def _sort(name: str) -> str:
    if name not in SORTS:
        raise BadQuery(f"sort is none of {', '.join(SORTS)}, nor one of them after a minus sign")
    return name


def _page(number: str) -> int:
    if not (number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS):
        raise BadQuery("page is no number")
    if int(number) == 0:
        raise BadQuery("page is 0: the first is 1")
    return int(number)
