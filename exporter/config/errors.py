"""The errors of a config file, each with the path of its key."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Problem = tuple[str, str]
"""The path of a key (empty for the whole file) and what is wrong with it."""

_Location = tuple[int | str, ...]

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
    """A config that cannot be used; `problems` has a line `path: problem` for each error."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def keys_of(sections: Iterable[type[BaseModel]]) -> list[str]:
    """Return every key of these sections, as the file spells it."""
    fields = (pair for section in sections for pair in section.model_fields.items())
    return sorted({field.alias or name for name, field in fields})


def as_lines(problems: Iterable[Problem]) -> list[str]:
    """Return each problem as `path: problem`."""
    return [f"{path}: {problem}" if path else problem for path, problem in problems]


def validation_problems(error: ValidationError, known_keys: Sequence[str]) -> Iterator[Problem]:
    """Yield every problem that pydantic found; for an unknown key, suggests a known one."""
    details = error.errors(include_url=False)
    locations = [detail["loc"] for detail in details]
    for detail in details:
        if not (detail["type"] == "too_short" and _has_errors_inside(detail["loc"], locations)):
            yield _path(detail["loc"]), _message(detail, known_keys)


def _has_errors_inside(location: _Location, all_locations: Iterable[_Location]) -> bool:
    """Whether an entry of this list is invalid: pydantic doesn't count it, so the list is short."""
    depth = len(location)
    return any(len(each) > depth and each[:depth] == location for each in all_locations)


def _path(location: _Location) -> str:
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
}


def _message(error: ErrorDetails, known_keys: Sequence[str]) -> str:
    kind = error["type"]
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind == "extra_forbidden":
        close = difflib.get_close_matches(str(error["loc"][-1]), known_keys, n=1)
        return f"unknown key (did you mean {close[0]}?)" if close else "unknown key"
    if kind == "literal_error":
        expected = error["ctx"]["expected"]
        return f"must be {'one of ' if ' or ' in expected else ''}{expected}"
    if (bound := _BOUNDS.get(kind)) is not None:
        return bound.format(**error["ctx"])
    return _WRONG_TYPE.get(kind, error["msg"])
