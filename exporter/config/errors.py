"""What is wrong with a file, told for a person: the path of a key, and the problem with it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from exporter.config.section import Section

Problem = tuple[str, str]
"""The path of a key, empty for the whole file, and what is wrong there."""

_Place = tuple[int | str, ...]

_SHAPES: Final = {
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "string_type": "must be a single text",
    "path_type": "must be the path of a file",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a duration such as 30s",
    "missing": "is missing",
}


class ConfigError(Exception):
    """A file that cannot be used; `problems` holds a line `path: problem` for each error."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def keys_of(sections: Iterable[type[Section]]) -> list[str]:
    """Every key of these sections, as it is written in the file."""
    fields = (pair for section in sections for pair in section.model_fields.items())
    return sorted({field.alias or name for name, field in fields})


def problems_found(invalid: ValidationError, known_keys: Sequence[str]) -> Iterator[Problem]:
    """Every problem that pydantic found; an unknown key is told with the known one next to it."""
    errors = invalid.errors(include_url=False)
    places = [error["loc"] for error in errors]
    for error in errors:
        if not (error["type"] == "too_short" and _has_worse_within(error["loc"], places)):
            yield _path(error["loc"]), _message(error, known_keys)


def _has_worse_within(place: _Place, places: Iterable[_Place]) -> bool:
    """Whether an entry of this list is wrong: pydantic does not count it and calls it too short."""
    return any(len(each) > len(place) and each[: len(place)] == place for each in places)


def as_lines(problems: Iterable[Problem]) -> list[str]:
    """Problems as `path: problem`."""
    return [f"{path}: {problem}" if path else problem for path, problem in problems]


def _path(location: _Place) -> str:
    """`("devices", 3, "labels", "site")` as `devices[3].labels.site`."""
    # pydantic marks that a key itself is wrong with a last part "[key]".
    named = location[:-1] if location[-1:] == ("[key]",) else location
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in named)
    return "".join(parts).lstrip(".")


_BOUNDS: Final = {
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must have at least {min_length} entry",
    "too_long": "must have at most {max_length} entries",
}


def _message(error: ErrorDetails, known_keys: Sequence[str]) -> str:
    kind = error["type"]
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind == "extra_forbidden":
        return f"unknown key{_suggestion(str(error['loc'][-1]), known_keys)}"
    if kind == "literal_error":
        expected = error["ctx"]["expected"]
        return f"must be {'one of ' if ' or ' in expected else ''}{expected}"
    if (bound := _BOUNDS.get(kind)) is not None:
        return bound.format(**error["ctx"])
    return _SHAPES.get(kind, error["msg"])


def _suggestion(key: str, known_keys: Sequence[str]) -> str:
    close = difflib.get_close_matches(key, known_keys, n=1)
    return f" (did you mean {close[0]}?)" if close else ""
