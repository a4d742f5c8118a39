"""Reads a YAML document as a tree of mappings, lists and strings.

Every scalar stays a string, exactly as written, such as a label `0123` or a password `1e5`: the
schema converts it. A key without a value (`key:`, `~`, `null`) counts as absent.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

import yaml

from exporter.config.errors import MAX_PROBLEMS

_Event = Any
_Mark = Any
"""A place in a document. Its type differs between libyaml and PyYAML."""

Tree = dict[str, Any] | list[Any] | str | None

MAX_NESTING: Final = 100

MAX_REPEATED_VALUES: Final = 1_000_000
"""Values that aliases may repeat. Each line `&b [*a, *a]` doubles them: 20 lines make a million."""

_SEARCHED_AT_ONCE: Final = 2**20
MAX_VALUES: Final = 2_000_000
"""Values of a document that is read as a tree: 40 for each device of the largest fleet."""

MAX_SCALAR_CHARACTERS: Final = 1_000_000
"""Characters of a key or value. A longer one costs other threads 100 ms each time it is quoted."""

_MERGE: Final = "\0<<"
"""The merge key. A quoted `"<<"` is an ordinary key; no key of ours contains a NUL."""

_TOO_DEEP: Final = f"nests deeper than {MAX_NESTING} levels"
_TOO_DEEP_FOR_LIBYAML: Final = "exceeded maximum nesting depth"
"""What libyaml says at 1,000 levels since PyYAML 6.0.4: it reads ahead of what we have counted."""

_NO_LIST: Final = "is empty: an empty list is []"

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})

_BOOLEANS: Final = frozenset(
    spelling
    for word in ("true", "false", "yes", "no", "on", "off", "y", "n")
    for spelling in (word, word.title(), word.upper())
)

_QUOTED: Final = re.compile(r"""(['"]).*\w.*\1""")
"""Text of the document that PyYAML quotes without libyaml. It may be part of a password."""

_VARIABLE: Final = re.compile(r"\$(?:\$|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}|(?P<broken>\{))")


class Boolean(str):
    """An unquoted scalar that YAML reads as true or false, as it was written."""

    __slots__ = ()


class YamlError(ValueError):
    """Not YAML, or more of YAML than a config may use; `str()` says where, and quotes no value.

    `problem` does not say where; `place` is `line:column`, or empty if unknown.
    """

    def __init__(self, problem: str, mark: _Mark | None = None) -> None:
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        super().__init__(f"{where}{problem}")
        self.problem = problem
        self.place = f"{mark.line + 1}:{mark.column + 1}" if mark else ""


def parse_yaml(document: str, *, verbatim: bool = False) -> Tree:
    """Return the tree of a YAML (or JSON) document. Raises `YamlError`.

    With `verbatim`, a key without a value has `None` instead of being absent, and an unquoted
    `true` is a `Boolean`, unlike a quoted one.
    """
    try:
        return _Composer(document, verbatim=verbatim, spend=_spender()).compose_document()
    except yaml.YAMLError as error:
        raise _yaml_error(error, document) from None


def _spender() -> Callable[[int], None]:
    left = MAX_VALUES

    def spend(values: int) -> None:
        nonlocal left
        left -= values
        if left < 0:
            raise YamlError(f"has more than {MAX_VALUES:,} values, which is the limit")

    return spend


def iter_yaml_items(document: str, spend: Callable[[int], None]) -> Iterator[Tree]:
    """Yield the items of the list that a document is, without the tree of the whole document.

    `spend` is called with the number of values before they are built; what it raises ends the
    reading. Raises `ValueError`, also for an empty document: its writer may have failed. A `null`,
    as Go writes it, has no items.
    """
    try:
        yield from _Composer(document, verbatim=False, spend=spend).compose_items()
    except yaml.YAMLError as error:
        raise _yaml_error(error, document) from None


def _yaml_error(error: yaml.YAMLError, document: str) -> YamlError:
    if isinstance(error, yaml.MarkedYAMLError):
        return YamlError(_explained(error, document), error.problem_mark)
    return _unreadable(document) or YamlError("not YAML: cannot be read")


def _explained(error: yaml.MarkedYAMLError, document: str) -> str:
    """Return the parser's problem, in our words if it is one of the usual mistakes."""
    problem, mark = error.problem or error.context or "not YAML", error.problem_mark
    if problem == _TOO_DEEP_FOR_LIBYAML:
        return _TOO_DEEP
    # Not a list of all lines: a document of 60 MB may have as many.
    end = len(document) if mark is None else mark.index + 1
    line = document[document.rfind("\n", 0, end - 1) + 1 : end]
    if mark is not None and "\t" in line and not line[:-1].strip():
        return "a tab in the indentation: YAML allows only spaces there"
    if "'}'" in problem:
        return "a } is missing, or a value that begins with { is not quoted"
    return _QUOTED.sub("…", problem)


class _Character(NamedTuple):
    """A place in a document, as PyYAML's marks."""

    line: int
    column: int


def _unreadable(document: str) -> YamlError | None:
    """Return an error for the first character that YAML does not allow."""
    # Part by part: a search keeps all other threads waiting.
    for start in range(0, len(document), _SEARCHED_AT_ONCE):
        part = document[start : start + _SEARCHED_AT_ONCE]
        if found := yaml.reader.Reader.NON_PRINTABLE.search(part):
            return _forbidden(found[0], document, start + found.start())
    return None


def _forbidden(character: str, document: str, index: int) -> YamlError:
    line, column = document.count("\n", 0, index), index - document.rfind("\n", 0, index) - 1
    place = _Character(line, column)
    if character == "\0":
        return YamlError("not YAML: a NUL byte; the file is damaged or not UTF-8 text", place)
    return YamlError(f"not YAML: the control character {character!a} is not allowed", place)


def find_lines(document: str) -> Mapping[str, int]:
    """Return the line of each path in a document that `parse_yaml` accepts.

    What an alias repeats has no line of its own.
    """
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    events: Iterator[_Event] = iter(yaml.parse(_Parts(document), Loader=loader))
    lines: dict[str, int] = {}

    def visit(event: _Event, path: str) -> None:
        lines.setdefault(path, event.start_mark.line + 1)
        index = 0
        while type(event) in _COLLECTIONS and type(inner := next(events)) not in _ENDS:
            if type(event) is yaml.MappingStartEvent:
                inside = f"{path}.{getattr(inner, 'value', '')}".lstrip(".")
                lines[inside] = inner.start_mark.line + 1
                inner = next(events)
            else:
                inside = f"{path}[{index}]"
            visit(inner, inside)
            index += 1

    for event in events:
        if type(event) in _COLLECTIONS:
            visit(event, "")
    return lines


_COLLECTIONS: Final = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_ENDS: Final = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


class _Parts:
    """A document as a stream: between its parts, other threads can run while libyaml parses."""

    def __init__(self, document: str) -> None:
        self._document = document
        self._position = 0

    def read(self, size: int = 16_384, /) -> str:
        part = self._document[self._position : self._position + size]
        self._position += size
        return part


class _Anchored(NamedTuple):
    """A tree with an anchor: how many values it has, and how many levels it nests."""

    tree: Tree
    values: int
    levels: int


_ToText = Callable[[yaml.ScalarEvent], str | None]


class _Composer:
    """Composes the tree of one document from the events of PyYAML's parser.

    PyYAML's own composers don't serve: libyaml's recurses in C for each level, so that a deep
    document ends the process, and both quote parts of the document, which may be a password.
    """

    def __init__(self, document: str, *, verbatim: bool, spend: Callable[[int], None]) -> None:
        # libyaml reads the config of a large fleet ten times faster, but PyYAML may lack it.
        loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self._next_event: Callable[[], Any] = yaml.parse(_Parts(document), Loader=loader).__next__
        self._spend = spend
        self._verbatim = verbatim
        self._anchors: dict[str, _Anchored] = {}
        self._values = 0
        self._repeated_values = 0
        self._deepest_level = 0

    def compose_document(self) -> Tree:
        """Return the tree. Raises `YamlError` or `yaml.YAMLError`."""
        self._next_event()  # StreamStartEvent
        if type(self._next_event()) is yaml.StreamEndEvent:
            return None
        tree = self._compose(self._next_event(), 0, self._text)
        self._end_document()
        return tree

    def compose_items(self) -> Iterator[Tree]:
        """Yield the items of the list that the document is. Raises as `compose_document`."""
        self._next_event()  # StreamStartEvent
        if type(self._next_event()) is yaml.StreamEndEvent:
            raise ValueError(_NO_LIST)
        event = self._next_event()
        if type(event) is yaml.ScalarEvent and not event.value:
            raise ValueError(_NO_LIST)
        if type(event) is yaml.SequenceStartEvent:
            while type(item := self._next_event()) is not yaml.SequenceEndEvent:
                yield self._compose(item, 1, self._text)
        elif self._compose(event, 0, self._text) is not None:
            raise ValueError("must be a list")
        self._end_document()

    def _end_document(self) -> None:
        self._next_event()  # DocumentEndEvent
        event = self._next_event()
        if type(event) is not yaml.StreamEndEvent:
            problem = "a second document begins: a file may contain only one"
            raise YamlError(problem, event.start_mark)

    def _compose(self, event: _Event, level: int, to_text: _ToText) -> Tree:
        """Return the tree of the node that starts with `event`, within `level` collections."""
        if type(event) is yaml.AliasEvent:
            return self._repeat(event, level)
        if event.tag is not None:
            raise YamlError("a value that begins with ! must be quoted", event.start_mark)
        if event.anchor is not None:
            return self._remember(event, level, to_text)
        return self._content(event, level, to_text)

    def _content(self, event: _Event, level: int, to_text: _ToText) -> Tree:
        self._values += 1
        self._spend(1)
        if type(event) is yaml.ScalarEvent:
            if len(event.value) > MAX_SCALAR_CHARACTERS:
                problem = f"a value has more than {MAX_SCALAR_CHARACTERS:,} characters"
                raise YamlError(f"{problem}, which is the limit", event.start_mark)
            return to_text(event)
        self._descend(event, level + 1)
        if type(event) is yaml.MappingStartEvent:
            return self._mapping(event, level + 1)
        items = []
        while type(item := self._next_event()) is not yaml.SequenceEndEvent:
            items.append(self._compose(item, level + 1, self._text))
        return items

    def _descend(self, event: _Event, level: int) -> None:
        if level > MAX_NESTING:
            raise YamlError(_TOO_DEEP, event.start_mark)
        self._deepest_level = max(self._deepest_level, level)

    def _remember(self, event: _Event, level: int, to_text: _ToText) -> Tree:
        values, deepest = self._values, self._deepest_level
        self._deepest_level = level
        tree = self._content(event, level, to_text)
        levels = self._deepest_level - level
        self._anchors[event.anchor] = _Anchored(tree, self._values - values, levels)
        self._deepest_level = max(deepest, self._deepest_level)
        return tree

    def _repeat(self, event: _Event, level: int) -> Tree:
        anchored = self._anchors.get(event.anchor)
        if anchored is None:
            problem = "an alias without an anchor: a value that begins with * must be quoted"
            raise YamlError(problem, event.start_mark)
        self._values += anchored.values
        self._spend(anchored.values)
        self._repeated_values += anchored.values
        if self._repeated_values > MAX_REPEATED_VALUES:
            problem = f"aliases repeat more than {MAX_REPEATED_VALUES} values"
            raise YamlError(problem, event.start_mark)
        self._descend(event, level + anchored.levels)
        return anchored.tree

    def _mapping(self, start: yaml.MappingStartEvent, level: int) -> dict[str, Any]:
        to_text = self._text_in_braces if start.flow_style else self._text
        tree: dict[str, Any] = {}
        while type(event := self._next_event()) is not yaml.MappingEndEvent:
            if start.flow_style and type(event) is yaml.MappingStartEvent:  # {{ host }}
                raise YamlError("a value that begins with { must be quoted", event.start_mark)
            key = self._key(event, level)
            if key in tree:
                # An unquoted password that begins with { is a mapping in braces.
                shown = "" if start.flow_style or key == _MERGE else f" {key!r}"
                raise YamlError(f"duplicate key{shown}", event.start_mark)
            tree[key] = self._compose(self._next_event(), level, to_text)
        if _MERGE in tree:
            tree = _merged(tree.pop(_MERGE), start) | tree
        return tree if self._verbatim else {k: v for k, v in tree.items() if v is not None}

    def _key(self, event: _Event, level: int) -> str:
        is_text = type(event) in (yaml.ScalarEvent, yaml.AliasEvent)
        key = self._compose(event, level, _key_text) if is_text else None
        if not isinstance(key, str):
            raise YamlError("a key must be a string", event.start_mark)
        return key

    def _text(self, event: yaml.ScalarEvent) -> str | None:
        value: str = event.value
        if not event.implicit[0]:  # quoted
            return value
        if value in _NULLS:
            return None
        return Boolean(value) if self._verbatim and value in _BOOLEANS else value

    def _text_in_braces(self, event: yaml.ScalarEvent) -> str | None:
        if not event.value and event.implicit[0] and not self._verbatim:
            # The rest of an unquoted password with a comma looks like this: do not drop it.
            problem = "a key in braces has no value: a string with a comma must be quoted"
            raise YamlError(problem, event.start_mark)
        return self._text(event)


def _key_text(event: yaml.ScalarEvent) -> str:
    value: str = event.value
    return _MERGE if value == "<<" and event.implicit[0] else value


def _merged(sources: Tree, start: yaml.MappingStartEvent) -> dict[str, Any]:
    """Return what `<<` adds: one mapping, or several of which the first to have a key wins."""
    merged: dict[str, Any] = {}
    for source in sources if isinstance(sources, list) else [sources]:
        if not isinstance(source, dict):
            raise YamlError("<< needs a mapping or a list of mappings", start.start_mark)
        merged = source | merged
    return merged


def count_values(tree: Tree) -> int:
    """Return the number of values within a tree."""
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return len(inner) + sum(count_values(each) for each in inner if isinstance(each, dict | list))


def expand_variables(
    tree: Tree, environ: Mapping[str, str], problems: list[tuple[str, str]], path: str = ""
) -> Tree:
    """Return `tree` with `${NAME}` replaced from `environ` and `$$` by a dollar.

    Not in `relabel_configs`, where `${1}` is a group of a regular expression, as in Prometheus.
    Appends what cannot be replaced to `problems`, as (path, problem); not much more than
    `MAX_PROBLEMS`.
    """
    if isinstance(tree, dict):
        return {
            key: value
            if path == "" and key == "relabel_configs"
            else expand_variables(value, environ, problems, f"{path}.{key}".lstrip("."))
            for key, value in tree.items()
        }
    if isinstance(tree, list):
        return [
            expand_variables(value, environ, problems, f"{path}[{index}]")
            for index, value in enumerate(tree)
        ]
    if isinstance(tree, str) and "$" in tree:
        found = ((path, problem) for problem in _variable_problems(tree, environ))
        problems.extend(islice(found, max(0, MAX_PROBLEMS + 1 - len(problems))))
        return _VARIABLE.sub(
            lambda found: environ.get(found["name"], "") if found["name"] else "$", tree
        )
    return tree


def _variable_problems(text: str, environ: Mapping[str, str]) -> Iterator[str]:
    for found in _VARIABLE.finditer(text):
        name = found["name"]
        if found["broken"]:
            yield "${ must be followed by a variable name and }; write $${ for a literal ${"
        elif name is not None and name not in environ:
            yield f"the environment variable {name} is not set"
        elif name is not None and not _is_utf8(environ[name]):
            yield f"the environment variable {name} is not UTF-8 text"


def _is_utf8(text: str) -> bool:
    # Bytes of the environment that are not UTF-8 arrive as lone surrogates.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
