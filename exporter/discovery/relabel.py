"""Relabel targets as Prometheus does. Pure.

The rules and their order are those of Prometheus's `model/relabel`: a label without a value does
not exist, regular expressions match the whole text, and groups are put in as Go's regexp does.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from exporter.config.relabel import RelabelConfig, compile_regex
from exporter.config.types import LABEL_NAME

MAX_CHARACTERS: Final = 16_384
"""Of all labels of a target together: each rule reads them."""

MAX_RELABELED: Final = 128
"""Labels of a target, those that begin with two underscores included."""

_GROUP: Final = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))")
"""What Go's Expand replaces: `$$`, `${name}` and `$name`, with the longest possible name."""

_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,7}")

Labels = dict[str, str]


def relabel(labels: Mapping[str, str], rules: Sequence[RelabelConfig]) -> Labels | None:
    """Return a target's labels after all rules; `None` if one drops the target.

    Raises `ValueError` if the labels are too long or too many.
    """
    changed = {name: labels[name] for name in sorted(labels) if labels[name]}
    _check_size(changed)
    for rule in rules:
        if not _ACTIONS[rule.action](changed, rule):
            return None
        _check_size(changed)
    return changed


def _check_size(labels: Labels) -> None:
    if len(labels) > MAX_RELABELED:
        raise ValueError(f"has more than {MAX_RELABELED} labels while it is relabelled")
    if sum(map(len, labels)) + sum(map(len, labels.values())) > MAX_CHARACTERS:
        raise ValueError(f"its labels have more than {MAX_CHARACTERS:,} characters")


def _replace(labels: Labels, rule: RelabelConfig) -> bool:
    found = _match(rule, _source(labels, rule))
    if found is not None:
        name = _expand(rule.target_label, found)
        if LABEL_NAME.fullmatch(name):
            _set(labels, name, _expand(rule.replacement, found))
    return True


def _keep(labels: Labels, rule: RelabelConfig) -> bool:
    return _match(rule, _source(labels, rule)) is not None


def _drop(labels: Labels, rule: RelabelConfig) -> bool:
    return not _keep(labels, rule)


def _keep_equal(labels: Labels, rule: RelabelConfig) -> bool:
    return labels.get(rule.target_label, "") == _source(labels, rule)


def _drop_equal(labels: Labels, rule: RelabelConfig) -> bool:
    return not _keep_equal(labels, rule)


def _hash_mod(labels: Labels, rule: RelabelConfig) -> bool:
    digest = hashlib.md5(_source(labels, rule).encode(), usedforsecurity=False).digest()
    _set(labels, rule.target_label, str(int.from_bytes(digest[8:], "big") % rule.modulus))
    return True


def _map_labels(labels: Labels, rule: RelabelConfig) -> bool:
    for name, value in sorted(labels.items()):  # of two for one name, the last counts
        if (found := _match(rule, name)) is not None:
            _set(labels, _expand(rule.replacement, found), value)
    return True


def _drop_labels(labels: Labels, rule: RelabelConfig) -> bool:
    for name in [*labels]:
        if _match(rule, name) is not None:
            del labels[name]
    return True


def _keep_labels(labels: Labels, rule: RelabelConfig) -> bool:
    for name in [*labels]:
        if _match(rule, name) is None:
            del labels[name]
    return True


def _lowercase(labels: Labels, rule: RelabelConfig) -> bool:
    _set(labels, rule.target_label, "".join(map(_lower, _source(labels, rule))))
    return True


def _uppercase(labels: Labels, rule: RelabelConfig) -> bool:
    _set(labels, rule.target_label, "".join(map(_upper, _source(labels, rule))))
    return True


_ACTIONS: Final[Mapping[str, Callable[[Labels, RelabelConfig], bool]]] = {
    "replace": _replace,
    "keep": _keep,
    "drop": _drop,
    "keepequal": _keep_equal,
    "dropequal": _drop_equal,
    "hashmod": _hash_mod,
    "labelmap": _map_labels,
    "labeldrop": _drop_labels,
    "labelkeep": _keep_labels,
    "lowercase": _lowercase,
    "uppercase": _uppercase,
}
"""Each changes the labels, and returns whether the target stays."""


def _source(labels: Labels, rule: RelabelConfig) -> str:
    return rule.separator.join([labels.get(name, "") for name in rule.source_labels])


def _set(labels: Labels, name: str, value: str) -> None:
    """Set a label; an empty value removes it."""
    labels.pop(name, None)
    if value:
        labels[name] = value


_compiled: Final = lru_cache(maxsize=1024)(compile_regex)


def _match(rule: RelabelConfig, text: str) -> Any:  # noqa: ANN401 - re2 has no types
    return _compiled(rule.regex).search(text)


def _expand(template: str, found: Any) -> str:  # noqa: ANN401 - re2 has no types
    """Replace the groups in a template; those that do not exist are empty."""
    if "$" not in template:
        return template

    def text(reference: re.Match[str]) -> str:
        if reference[1]:
            return "$"
        name = reference[2] or reference[3]
        number = int(name) if _NUMBER.fullmatch(name) else found.re.groupindex.get(name, -1)
        return found.group(number) or "" if 0 <= number <= found.re.groups else ""

    return _GROUP.sub(text, template)


def _lower(character: str) -> str:
    # Go maps one character to one character: for İ, it is the first of Python's two.
    return character.lower()[0]


def _upper(character: str) -> str:
    # For ß and the like, which become several characters in Python, Go changes nothing or less.
    upper = character.upper()
    if len(upper) == 1:
        return upper
    title = character.title()
    return title if len(title) == 1 else character
