"""The schema of `relabel_configs`, Prometheus's rules that change labels or drop targets.

The checks are those of Prometheus. `exporter.discovery.relabel` applies the rules.
"""

from typing import Annotated, Any, Final, Literal, Self

import re2  # type: ignore[import-untyped]
from annotated_types import Ge, Le, MaxLen
from pydantic import AfterValidator, BeforeValidator, model_validator

from exporter.config.base import NullIsUnset
from exporter.config.types import LABEL_NAME, lower_case

Action = Literal[
    "replace",
    "keep",
    "drop",
    "keepequal",
    "dropequal",
    "hashmod",
    "labelmap",
    "labeldrop",
    "labelkeep",
    "lowercase",
    "uppercase",
]

MAX_SOURCE_LABELS: Final = 64

MAX_TEXT_CHARACTERS: Final = 1_000
"""Of a separator, a target label and a replacement: many times what a label can use."""

_REGEX_BYTES: Final = 2 * 2**20
"""What RE2 may use for one regular expression, enough for some thousand host names. Its default is
four times that, and there may be 1,000 rules."""

_MAX_MODULUS: Final = 2**64 - 1
"""Prometheus's type."""

_MAX_PATTERN_CHARACTERS: Final = 100_000

_LABEL_TEMPLATE: Final = re2.compile(r"(?:(?:[a-zA-Z_]|\$(?:\{\w+\}|\w+))+\w*)+")
"""A label name in which groups of the regular expression may stand.

Prometheus's own pattern. Python's `re` would take a minute for a long name that does not match.
"""

_NEEDS_TARGET: Final = {"replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal"}

_ONLY: Final = {
    "keepequal": {"source_labels", "target_label"},
    "dropequal": {"source_labels", "target_label"},
    "labeldrop": {"regex"},
    "labelkeep": {"regex"},
}
"""Actions that have only these keys."""


def compile_regex(pattern: str, *, never_capture: bool = False) -> Any:  # noqa: ANN401 - re2 has no types
    """Compile a pattern of Prometheus, which is RE2 and matches the whole text.

    `never_capture`: without groups, which takes less time. Raises `ValueError`.
    """
    options = re2.Options()
    options.log_errors = False
    options.never_capture = never_capture
    options.max_mem = _REGEX_BYTES
    try:
        return re2.compile(f"^(?s:{pattern})$", options)
    except re2.error as error:
        [reason] = error.args
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else reason
        raise ValueError(
            f"is not a regular expression of Prometheus (RE2): {text}; RE2 has no backreferences "
            "and no look-around"
        ) from None


def _check_regex(pattern: str) -> str:
    compile_regex(pattern)
    return pattern


def _check_source_label(name: str) -> str:
    if not name.strip():
        raise ValueError("must not be empty")
    return name


def _check_label(name: str) -> str:
    if not LABEL_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a label name")
    return name


def _text(value: object) -> object:
    """Return a number of YAML as its text, as Prometheus reads it."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


ShortText = Annotated[str, MaxLen(MAX_TEXT_CHARACTERS), BeforeValidator(_text)]
Pattern = Annotated[
    str, MaxLen(_MAX_PATTERN_CHARACTERS), BeforeValidator(_text), AfterValidator(_check_regex)
]


class RelabelConfig(NullIsUnset):
    """One entry of `relabel_configs`."""

    source_labels: Annotated[
        tuple[Annotated[str, AfterValidator(_check_source_label)], ...], MaxLen(MAX_SOURCE_LABELS)
    ] = ()
    separator: ShortText = ";"
    regex: Pattern = "(.*)"
    modulus: Annotated[int, Ge(0), Le(_MAX_MODULUS)] = 0
    target_label: ShortText = ""
    replacement: ShortText = "$1"
    action: Annotated[Action, BeforeValidator(lower_case)] = "replace"

    @model_validator(mode="after")
    def _has_the_keys_of_its_action(self) -> Self:
        if self.action == "hashmod" and not self.modulus:
            raise ValueError("action hashmod needs a `modulus` of at least 1")
        if self.action in _NEEDS_TARGET and not self.target_label:
            raise ValueError(f"action {self.action} needs a `target_label`")
        if only := _ONLY.get(self.action):
            self._refuse_keys_but(only)
        if self.action in {"lowercase", "uppercase"} and "replacement" in self._changed_keys():
            raise ValueError(f"action {self.action} takes no `replacement`")
        return self

    @model_validator(mode="after")
    def _names_labels(self) -> Self:
        template = {"replace": self.target_label, "labelmap": self.replacement}.get(self.action)
        if template is not None and not _LABEL_TEMPLATE.fullmatch(template):
            key = "target_label" if self.action == "replace" else "replacement"
            raise ValueError(f"`{key}` {template!r} is not a label name")
        if self.action in _NEEDS_TARGET - {"replace"}:
            _check_label(self.target_label)
        return self

    def _refuse_keys_but(self, allowed: set[str]) -> None:
        if other := sorted(self._changed_keys() - allowed - {"action"}):
            takes = " and ".join(f"`{key}`" for key in sorted(allowed))
            raise ValueError(f"action {self.action} takes only {takes}: remove `{other[0]}`")

    def _changed_keys(self) -> set[str]:
        fields = type(self).model_fields
        return {key for key, field in fields.items() if getattr(self, key) != field.default}
