"""The errors of a config file, each with the path of its key."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from heapq import nsmallest
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from exporter.system.text import escaped

MAX_PROBLEMS: Final = 1_000
"""How many errors of a file are found. A file of 1 MiB can have 500,000, in 600 MB of memory."""

_MAX_LINE_CHARACTERS: Final = 1_000
"""How much of an error is shown: its path and a value that it quotes may be as long as the file."""

Problem = tuple[str, str]
"""The path of a key (empty for the whole file) and what is wrong with it."""

_Location = tuple[int | str, ...]

_LAST_PART: Final = re.compile(r"(^|\.|\[)[^.\[]*$")

_WRONG_TYPE: Final = {
    "model_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "string_type": "must be a string",
    "path_type": "must be a file path",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a duration such as 30s",
    "missing": "is missing",
}


class ConfigError(Exception):
    """A config that cannot be used; `problems` has a line `path: problem` for each error.

    `paths` are those of the problems, if they are known.
    """

    def __init__(self, problems: list[str], paths: Sequence[str] = ()) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
        self.paths = paths

    def located(self, file: Path, lines: Mapping[str, int]) -> "ConfigError":
        """Return the error with `file:line: ` before each problem; `lines` are those of paths."""
        places = (f"{file}:{_line(path, lines)}" for path in self.paths)
        return ConfigError(
            [f"{place}: {each}" for place, each in zip(places, self.problems, strict=True)]
        )


def _line(path: str, lines: Mapping[str, int]) -> int:
    """Return the line of a path, or of the nearest one around it: a missing key has none."""
    while path and path not in lines:
        path = _LAST_PART.sub("", path)
    return lines.get(path, 1)


def first_problems(problems: Iterable[Problem]) -> list[Problem]:
    """Return the first `MAX_PROBLEMS`, and a last one that says so if there are more."""
    kept = list(islice(problems, MAX_PROBLEMS + 1))
    if len(kept) > MAX_PROBLEMS:
        kept[MAX_PROBLEMS] = ("", f"there are more errors; these are the first {MAX_PROBLEMS:,}")
    return kept


def as_lines(problems: Iterable[Problem]) -> list[str]:
    """Return each problem as `path: problem`, printable: keys and values may be any text."""
    return [_shown(f"{path}: {problem}" if path else problem) for path, problem in problems]


def _shown(line: str) -> str:
    cut = "…" if len(line) > _MAX_LINE_CHARACTERS else ""
    return escaped(line[:_MAX_LINE_CHARACTERS]) + cut


def validation_problems(
    error: ValidationError, root: type[BaseModel], start: _Location = ()
) -> Iterator[Problem]:
    """Yield every problem that pydantic found in a `root`, or in its part at `start`.

    For an unknown key, suggests one that is valid in its place, else says where it belongs.
    """
    details = error.errors(include_url=False)
    for detail in details:
        detail["loc"] = start + detail["loc"]
    locations = [detail["loc"] for detail in details]
    for detail in details:
        if not (detail["type"] == "too_short" and _has_errors_inside(detail["loc"], locations)):
            yield as_path(detail["loc"]), _message(detail, root)


def _has_errors_inside(location: _Location, all_locations: Iterable[_Location]) -> bool:
    """Whether an entry of this list is invalid: pydantic doesn't count it, so the list is short."""
    depth = len(location)
    return any(len(each) > depth and each[:depth] == location for each in all_locations)


def as_path(location: _Location) -> str:
    """Return `("devices", 3, "labels", "site")` as `devices[3].labels.site`."""
    # pydantic marks an invalid key (not its value) by a last part "[key]".
    parts = location[:-1] if location[-1:] == ("[key]",) else location
    texts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return "".join(texts).lstrip(".")


_BOUNDS: Final = {
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must have at least {min_length} entry",
    "too_long": "must have at most {max_length} entries",
    "string_too_long": "must have at most {max_length:,} characters",
}


def _message(error: ErrorDetails, root: type[BaseModel]) -> str:
    kind = error["type"]
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind == "extra_forbidden":
        return f"unknown key{_hint(error['loc'], root)}"
    if kind == "literal_error":
        expected = error["ctx"]["expected"]
        return f"must be {'one of ' if ' or ' in expected else ''}{expected}"
    if (bound := _BOUNDS.get(kind)) is not None:
        return bound.format(**error["ctx"])
    return _WRONG_TYPE.get(kind, error["msg"])


class ModuleNames:
    """The names of a config's modules, for errors about a name that is none of them."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = names
        self._problems: dict[str, str] = {}

    def problem_of(self, name: str) -> str:
        """Return what is wrong with an unknown name: what there is, and one that is similar."""
        if name not in self._problems and len(self._problems) < _MOST_EXPLAINED:
            self._problems[name] = f"there is no module {name!r}{self._similar(name)}{self._known}"
        return self._problems.get(name) or f"there is no module {name!r}"

    def _similar(self, name: str) -> str:
        if len(name) > _LONGEST_COMPARED:
            return ""
        known = [each for each in self._names if len(each) <= _LONGEST_COMPARED][:_MOST_COMPARED]
        close = difflib.get_close_matches(name, known, n=1, cutoff=_LEAST_SIMILAR)
        return f" (did you mean {close[0]!r}?)" if close else ""

    @cached_property
    def _known(self) -> str:
        first = [name[:_LONGEST_KEY] for name in nsmallest(_MOST_LISTED + 1, self._names)]
        first[_MOST_LISTED:] = ["…"] * (len(first) > _MOST_LISTED)
        listed = ", ".join(first)
        return (
            f"; the only module is {listed}" if len(first) == 1 else f"; the modules are: {listed}"
        )


class _Place(NamedTuple):
    """A section, and how to write where it stands: `modules.NAME`."""

    path: str
    section: type[BaseModel]
    steps: tuple[str | None, ...]
    """The parts of a location that lead to it; `None` for any name or index."""


_LEAST_SIMILAR: Final = 0.65
"""Typing errors are more similar than this; `ca_file` and `username_file` are less."""

_LONGEST_KEY: Final = 100
"""No key of ours is half as long, and comparing a key of 1 MB takes a second."""


_MOST_COMPARED: Final = 100
_MOST_EXPLAINED: Final = 20
_LONGEST_COMPARED: Final = 40
"""So many unknown names are compared with so many known ones: together less than a second."""

_MOST_LISTED: Final = 8
"""How many of the known names an error lists."""


def _hint(location: _Location, root: type[BaseModel]) -> str:
    key, places = str(location[-1]), _all_places(root)
    if len(key) > _LONGEST_KEY:
        return ""
    here = [place for place in places if _leads_to(location[:-1], place)]
    known = [name for place in here for name in _keys(place.section)]
    if close := difflib.get_close_matches(key, known, n=1, cutoff=_LEAST_SIMILAR):
        return f" (did you mean {close[0]}?)"
    elsewhere = [place.path or "the top level" for place in places if key in _keys(place.section)]
    return f" (belongs under {' or '.join(elsewhere)})" if elsewhere else ""


def _leads_to(location: _Location, place: _Place) -> bool:
    # The entries of a list of sections at the top, as in a list of target groups.
    parts = location[1:] if location and isinstance(location[0], int) else location
    return len(parts) == len(place.steps) and all(
        step in (None, part) for step, part in zip(place.steps, parts, strict=True)
    )


def _keys(section: type[BaseModel]) -> dict[str, Any]:
    """Return the annotation of each key, as the file spells it."""
    return {field.alias or name: field.annotation for name, field in section.model_fields.items()}


@cache
def _all_places(root: type[BaseModel]) -> tuple[_Place, ...]:
    return tuple(_places(_Place("", root, ())))


def _places(place: _Place) -> Iterator[_Place]:
    yield place
    for key, annotation in _keys(place.section).items():
        path = f"{place.path}.{key}".lstrip(".")
        for inside in _inside(annotation, _Place(path, place.section, (*place.steps, key))):
            yield from _places(inside)


def _inside(annotation: Any, place: _Place) -> Iterator[_Place]:  # noqa: ANN401 - any type
    """Yield the sections in the type of a key's value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield place._replace(section=annotation)
    origin = get_origin(annotation)
    ending = {dict: ".NAME", tuple: "[N]"}.get(origin)
    if ending is not None:
        place = place._replace(path=place.path + ending, steps=(*place.steps, None))
    for inner in get_args(annotation):
        yield from _inside(inner, place)
