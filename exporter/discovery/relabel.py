"""Relabel targets as Prometheus does. Pure.

The rules and their order are those of Prometheus's `model/relabel`: a label without a value does
not exist, regular expressions match the whole text, and groups are put in as Go's regexp does.
"""

import hashlib
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Final, TypeVar

from exporter.config.relabel import RelabelConfig, compile_regex
from exporter.config.types import LABEL_NAME

MAX_CHARACTERS: Final = 16_384
"""Of all labels of a target together, and of the labels that a rule joins: each rule reads them."""

MAX_RELABELED: Final = 128
"""Labels of a target, those that begin with two underscores included."""

_PART_CHARACTERS: Final = 16_384
"""How much the rules read before `pause` is called: well below a millisecond."""

_STEP_CHARACTERS: Final = 100
"""What a rule costs besides the text that it reads, in characters."""

_REMEMBERED: Final = 512
"""Texts of which a rule remembers the outcome: most labels of a fleet have few values."""

_REMEMBERED_CHARACTERS: Final = 100
"""Of a text, and of a template, that is remembered."""

_REMEMBERED_SETS: Final = 16
"""Sets of label names of which a rule remembers the outcome."""

_GROUP: Final = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))")
"""What Go's Expand replaces: `$$`, `${name}` and `$name`, with the longest possible name."""

_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,7}")

Names = tuple[str, ...]

_Template = list[str | int]
"""Literal text, and the numbers of groups."""

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class _Labels(dict[str, str]):
    """The labels of a target while it is relabelled."""

    characters = 0

    def put(self, name: str, value: str) -> None:
        """Set a label; an empty value removes it. Raises `ValueError` beyond the limits."""
        self.remove(name)
        if value:
            self[name] = value
            self.characters += len(name) + len(value)
            self._check_size()

    def remove(self, name: str) -> None:
        """Remove a label, if it is there."""
        if (before := self.pop(name, None)) is not None:
            self.characters -= len(name) + len(before)

    def _check_size(self) -> None:
        if len(self) > MAX_RELABELED:
            raise ValueError(f"has more than {MAX_RELABELED} labels while it is relabelled")
        if self.characters > MAX_CHARACTERS:
            raise ValueError(f"its labels have more than {MAX_CHARACTERS:,} characters")


_Step = Callable[[_Labels], bool]
"""Applies a rule to a target, and returns whether the target stays."""


def _never() -> None:
    """Do nothing between the parts of the work."""


class Relabeler:
    """Rules that are ready for many targets. `pause` is called between short parts of the work."""

    def __init__(self, rules: Sequence[RelabelConfig], pause: Callable[[], None] = _never) -> None:
        self._steps = [_MAKERS[rule.action](rule) for rule in rules]
        self._pause = pause
        self._read = 0

    def relabel(self, found: Mapping[str, str]) -> dict[str, str] | None:
        """Return a target's labels after all rules; `None` if one drops the target.

        Raises `ValueError` if the labels are too long or too many, and what `pause` raises.
        """
        labels = _Labels()
        for name in sorted(found):
            labels.put(name, found[name])
        for step in self._steps:
            self._read += labels.characters + _STEP_CHARACTERS
            if self._read > _PART_CHARACTERS:
                self._read = 0
                self._pause()
            if not step(labels):
                return None
        return labels


def _is_short(text: str) -> bool:
    return len(text) <= _REMEMBERED_CHARACTERS


def _remember(
    work: Callable[[K], T],
    is_worth_it: Callable[[K], bool],
    at_most: int = _REMEMBERED,
) -> Callable[[K], T]:
    """Return `work` with a memory of its last results: matching takes 20 times as long."""
    known: dict[K, T] = {}

    def recall(key: K) -> T:
        try:
            return known[key]
        except KeyError:
            result = work(key)
        if is_worth_it(key):
            if len(known) >= at_most:
                known.clear()
            known[key] = result
        return result

    return recall


def _for_all_names(work: Callable[[Names], T]) -> Callable[[Names], T]:
    """Remember the result for the last sets of label names: the targets of a fleet have few."""
    return _remember(work, lambda _: True, _REMEMBERED_SETS)


def _matcher(rule: RelabelConfig) -> Callable[[str], bool]:
    """Return whether the regular expression of a rule matches a text."""
    search = compile_regex(rule.regex, never_capture=True).search
    return _remember(lambda text: search(text.encode()) is not None, _is_short)


def _expander(rule: RelabelConfig, *templates: str) -> Callable[[str], Names | None]:
    """Return templates with the groups of a matching text; `None` for a text without a match."""
    regex = compile_regex(rule.regex)
    parsed = [_parse(template, regex) for template in templates]

    def expand(text: str) -> Names | None:
        found = regex.search(text.encode())
        return None if found is None else tuple(_fill(each, found) for each in parsed)

    are_short = _is_short("".join(templates))
    return _remember(expand, lambda text: are_short and _is_short(text))


def _replace(rule: RelabelConfig) -> _Step:
    source = _source(rule)
    expand = _expander(rule, rule.target_label, rule.replacement)

    def step(labels: _Labels) -> bool:
        expanded = expand(source(labels))
        if expanded is not None and LABEL_NAME.fullmatch(expanded[0]):
            labels.put(expanded[0], expanded[1])
        return True

    return step


def _keep(rule: RelabelConfig) -> _Step:
    source, matches = _source(rule), _matcher(rule)
    return lambda labels: matches(source(labels))


def _drop(rule: RelabelConfig) -> _Step:
    keep = _keep(rule)
    return lambda labels: not keep(labels)


def _keep_equal(rule: RelabelConfig) -> _Step:
    source, name = _source(rule), rule.target_label
    return lambda labels: labels.get(name, "") == source(labels)


def _drop_equal(rule: RelabelConfig) -> _Step:
    keep = _keep_equal(rule)
    return lambda labels: not keep(labels)


def _hash_mod(rule: RelabelConfig) -> _Step:
    def remainder(text: str) -> str:
        digest = hashlib.md5(text.encode(), usedforsecurity=False).digest()
        return str(int.from_bytes(digest[8:], "big") % rule.modulus)

    return _setter(rule, remainder)


def _setter(rule: RelabelConfig, change: Callable[[str], str]) -> _Step:
    """Return a step that sets the target label to its changed source."""
    source, name = _source(rule), rule.target_label

    def step(labels: _Labels) -> bool:
        labels.put(name, change(source(labels)))
        return True

    return step


def _map_labels(rule: RelabelConfig) -> _Step:
    expand = _expander(rule, rule.replacement)

    def find(names: Names) -> list[tuple[str, str]]:
        return sorted((name, to[0]) for name in names if (to := expand(name)) is not None)

    find_once = _for_all_names(find)

    def step(labels: _Labels) -> bool:
        values = [(to, labels[name]) for name, to in find_once(tuple(labels))]
        for name, value in values:  # of two for one name, the last counts
            labels.put(name, value)
        return True

    return step


def _drop_labels(rule: RelabelConfig) -> _Step:
    return _remover(rule, if_matches=True)


def _keep_labels(rule: RelabelConfig) -> _Step:
    return _remover(rule, if_matches=False)


def _remover(rule: RelabelConfig, *, if_matches: bool) -> _Step:
    matches = _matcher(rule)

    def find(names: Names) -> list[str]:
        return [name for name in names if matches(name) is if_matches]

    find_once = _for_all_names(find)

    def step(labels: _Labels) -> bool:
        for name in find_once(tuple(labels)):
            labels.remove(name)
        return True

    return step


def _lowercase(rule: RelabelConfig) -> _Step:
    return _setter(rule, lambda text: "".join(map(_lower, text)))


def _uppercase(rule: RelabelConfig) -> _Step:
    return _setter(rule, lambda text: "".join(map(_upper, text)))


_MAKERS: Final[Mapping[str, Callable[[RelabelConfig], _Step]]] = {
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
"""Each makes the step of a rule with this action."""


def _source(rule: RelabelConfig) -> Callable[[Mapping[str, str]], str]:
    """Return what joins the source labels of a rule. It raises `ValueError` beyond the limit."""
    names, separator = rule.source_labels, rule.separator
    if len(names) < 2:  # noqa: PLR2004 - nothing to join
        name = names[0] if names else ""
        return lambda labels: labels.get(name, "")

    def join(labels: Mapping[str, str]) -> str:
        text = separator.join([labels.get(name, "") for name in names])
        if len(text) > MAX_CHARACTERS:
            raise ValueError(f"a rule joins more than {MAX_CHARACTERS:,} characters of its labels")
        return text

    return join


def _parse(template: str, regex: Any) -> _Template:  # noqa: ANN401 - re2 has no types
    """Return the literal parts of a template and the groups between; others are empty."""
    parts: list[str | int] = []
    end = 0
    for reference in _GROUP.finditer(template):
        parts += [template[end : reference.start()], _group(reference, regex)]
        end = reference.end()
    return [part for part in [*parts, template[end:]] if part != ""]


def _group(reference: re.Match[str], regex: Any) -> str | int:  # noqa: ANN401 - re2 has no types
    if reference[1]:
        return "$"
    name = reference[2] or reference[3]
    number: int = int(name) if _NUMBER.fullmatch(name) else regex.groupindex.get(name, -1)
    return number if 0 <= number <= regex.groups else ""


def _fill(template: _Template, found: Any) -> str:  # noqa: ANN401 - re2 has no types
    return "".join(
        part if isinstance(part, str) else (found.group(part) or b"").decode() for part in template
    )


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
