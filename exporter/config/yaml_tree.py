"""From the events of a YAML document to a tree of mappings, lists and texts.

Not PyYAML's own composer and constructor: one calls itself for each level of a document, in C,
where a deep one ends the process; the other raises whatever a tag brings about and quotes what is
written, which may be a password. Here a level is a place in a list, and no problem quotes a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NamedTuple

import yaml

Tree = dict[str, Any] | list[Any] | str | None

DEEPEST_NESTING: Final = 100

Mark = Any
"""A place in a document; libyaml's has a type of its own."""

MOST_REPEATED_VALUES: Final = 1_000_000
"""Values that aliases may repeat: twenty lines that each repeat the last twice make a million."""

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_MERGE: Final = "\0<<"
"""The merge key, told from a quoted `"<<"`: no key of ours has a NUL in it."""


_BOOLEANS: Final = re.compile(
    "|".join(
        f"{word}|{word.title()}|{word.upper()}"
        for word in ("true", "false", "yes", "no", "on", "off", "y", "n")
    )
)


class Boolean(str):
    """What YAML takes for true or false, as it was written; a quoted `"true"` is none."""

    __slots__ = ()


class YamlError(Exception):
    """What YAML allows and a config cannot have; `mark` says where."""

    def __init__(self, problem: str, mark: Mark) -> None:
        super().__init__(problem)
        self.mark = mark


class _Node(NamedTuple):
    """What an anchor names: a tree, how many values it has, and how deep it nests."""

    tree: Tree
    size: int = 1
    depth: int = 0


@dataclass(slots=True)
class _Open:
    """A list or a mapping whose end has not come; a mapping's keys and values take turns."""

    event: yaml.CollectionStartEvent
    is_mapping: bool
    values: list[Any] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    size: int = 1
    depth: int = 1

    @property
    def wants_key(self) -> bool:
        return self.is_mapping and len(self.values) % 2 == 0

    def add(self, node: _Node, mark: Mark) -> None:
        self.values.append(node.tree)
        self.marks.append(mark)
        self.size += node.size
        self.depth = max(self.depth, node.depth + 1)


class Builder:
    """Takes the events of one document in; `tree` is what they made."""

    def __init__(self, *, verbatim: bool) -> None:
        self.tree: Tree = None
        self._verbatim = verbatim
        self._open: list[_Open] = []
        self._anchors: dict[str | None, _Node] = {}
        self._repeated = 0
        self._documents = 0

    def take_all(self, events: Iterable[yaml.Event]) -> Tree:
        """The tree of a whole document. Raises `Misfit`."""
        for event in events:
            if (take := self._TAKERS.get(type(event))) is not None:
                take(self, event)
        return self.tree

    def _document(self, event: yaml.DocumentStartEvent) -> None:
        self._documents += 1
        if self._documents > 1:
            raise YamlError("a second document begins: a file holds one", event.start_mark)

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        _refuse_tag(event)
        self._put(event, _Node(self._text(event)))

    def _text(self, event: yaml.ScalarEvent) -> str | None:
        value: str = event.value
        if not event.implicit[0]:  # it is quoted
            return value
        if self._open and self._open[-1].wants_key:
            return _MERGE if value == "<<" else value
        if not value and not self._verbatim and self._is_in_braces():
            # The rest of a password with a comma in it looks so: it is neither dropped nor shown.
            raise YamlError(
                "a key in braces has nothing behind it: a text with a comma must be quoted",
                event.start_mark,
            )
        if value in _NULLS:
            return None
        return Boolean(value) if self._verbatim and _BOOLEANS.fullmatch(value) else value

    def _is_in_braces(self) -> bool:
        """Whether the value that comes is of a mapping in one line, `{…}`."""
        return any(each.is_mapping and each.event.flow_style for each in self._open[-1:])

    def _alias(self, event: yaml.AliasEvent) -> None:
        node = self._anchors.get(event.anchor)
        if node is None:
            raise YamlError(
                "an alias of what has no anchor before it: a value that begins with * must be "
                "quoted",
                event.start_mark,
            )
        self._repeated += node.size
        if self._repeated > MOST_REPEATED_VALUES:
            raise YamlError(f"aliases repeat over {MOST_REPEATED_VALUES} values", event.start_mark)
        self._check_depth(event, node.depth)
        self._put(event, node)

    def _start(self, event: yaml.CollectionStartEvent) -> None:
        _refuse_tag(event)
        self._check_depth(event, 1)
        if self._open and self._open[-1].wants_key:
            raise YamlError("a key must be a single text", event.start_mark)
        self._open.append(_Open(event, isinstance(event, yaml.MappingStartEvent)))

    def _end(self, _: yaml.CollectionEndEvent) -> None:
        ended = self._open.pop()
        tree = self._mapping(ended) if ended.is_mapping else ended.values
        self._put(ended.event, _Node(tree, ended.size, ended.depth))

    def _put(self, event: yaml.NodeEvent, node: _Node) -> None:
        if event.anchor is not None and not isinstance(event, yaml.AliasEvent):
            self._anchors[event.anchor] = node
        if not self._open:
            self.tree = node.tree
        elif self._open[-1].wants_key and not isinstance(node.tree, str):
            raise YamlError("a key must be a single text", event.start_mark)
        else:
            self._open[-1].add(node, event.start_mark)

    def _check_depth(self, event: yaml.NodeEvent, more: int) -> None:
        if len(self._open) + more > DEEPEST_NESTING:
            raise YamlError(f"nests deeper than {DEEPEST_NESTING} levels", event.start_mark)

    def _mapping(self, ended: _Open) -> dict[str, Any]:
        own: dict[str, Any] = {}
        for key, value, mark in zip(
            ended.values[::2], ended.values[1::2], ended.marks[::2], strict=True
        ):
            if key in own:
                raise YamlError(_given_twice(key, ended.event), mark)
            own[key] = value
        made = _merged(own.pop(_MERGE), ended.event) | own if _MERGE in own else own
        return made if self._verbatim else {k: v for k, v in made.items() if v is not None}

    # Functions, not bound methods: a builder that knew itself would wait for the collector.
    _TAKERS: ClassVar[Mapping[type[yaml.Event], Callable[[Builder, Any], None]]] = {
        yaml.DocumentStartEvent: _document,
        yaml.ScalarEvent: _scalar,
        yaml.AliasEvent: _alias,
        yaml.SequenceStartEvent: _start,
        yaml.MappingStartEvent: _start,
        yaml.SequenceEndEvent: _end,
        yaml.MappingEndEvent: _end,
    }


def _refuse_tag(event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
    if event.tag is not None:
        raise YamlError("a value that begins with ! must be quoted", event.start_mark)


def _given_twice(key: str, mapping: yaml.CollectionStartEvent) -> str:
    # A password that begins with { is a mapping in one line, if nobody quotes it.
    return (
        "a key is given twice" if mapping.flow_style or key == _MERGE else f"{key!r} is given twice"
    )


def _merged(sources: object, mapping: yaml.CollectionStartEvent) -> dict[str, Any]:
    """What `<<` brings in: of one mapping, or of several, the first going before the next."""
    merged: dict[str, Any] = {}
    for source in sources if isinstance(sources, list) else [sources]:
        if not isinstance(source, dict):
            raise YamlError("<< must have a mapping or a list of them", mapping.start_mark)
        for key, value in source.items():
            merged.setdefault(key, value)
    return merged


def events_of(document: str) -> Iterator[yaml.Event]:
    """The events of a document. Raises `yaml.YAMLError` on the way."""
    # libyaml reads the file of a big fleet ten times faster; PyYAML may come without it.
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    events: Iterator[yaml.Event] = yaml.parse(document, Loader=loader)
    return events
