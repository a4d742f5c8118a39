"""Reads the items of a JSON list one by one.

The json module would build the tree of the whole document in one call: a document of `{}` takes
30 times its size, and no other thread runs meanwhile.
"""

import codecs
import json
import re
from collections.abc import Callable, Iterator
from json import decoder
from typing import Any, Final

from exporter.config.yaml_loader import MAX_NESTING

MAX_STRING_BYTES: Final = 1024 * 1024

_SPACES: Final = re.compile(r"[ \t\n\r]{0,65536}")
_PLAIN_STRING: Final = re.compile(r'"([^"\\\x00-\x1f]{0,4096})"')
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
"""Half of a character, as `\\ud800` writes it: no text in UTF-8 has it. Go replaces it too."""

_SCALAR: Final = re.compile(r"null|true|false|-?[0-9][0-9.eE+-]{0,400}")

_scan_string: Callable[[str, int], tuple[str, int]] = getattr(decoder, "scanstring")  # noqa: B009 - typeshed lacks it


class JsonItems:
    """The items of the list that a document in UTF-8 is; none if it is `null`.

    `spend` is called with the number of values before they are built; what it raises ends the
    reading. Numbers, true and false come as `float` and `bool`. Raises `ValueError`.
    """

    def __init__(self, document: bytes, spend: Callable[[int], None]) -> None:
        # One character per byte. With one emoji, the text would have four bytes per character, and
        # making it would hold up all threads for 0.2 s.
        self._document = document.removeprefix(codecs.BOM_UTF8).decode("latin-1")
        self._spend = spend
        self._position = 0

    def __iter__(self) -> Iterator[Any]:
        if self._peek() == "[":
            yield from self._items(1)
        elif self._value(0) is not None:
            raise ValueError("must be a list")
        if self._peek():
            raise self._error("more follows the list")

    def _peek(self) -> str:
        """Return the next character that is not a space; `""` at the end."""
        while True:
            end = _SPACES.match(self._document, self._position).end()  # type: ignore[union-attr]
            if end == self._position:
                return self._document[end : end + 1]
            self._position = end

    def _value(self, level: int) -> Any:  # noqa: ANN401 - whatever the document has
        self._spend(1)
        match self._peek():
            case '"':
                return self._string()
            case "[":
                return list(self._items(level + 1))
            case "{":
                return self._object(level + 1)
        return self._scalar()

    def _items(self, level: int) -> Iterator[Any]:
        if self._opens("]", level):
            yield self._value(level)
            while self._goes_on("]"):
                yield self._value(level)

    def _object(self, level: int) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        more = self._opens("}", level)
        while more:
            if self._peek() != '"':
                raise self._error("expected a key in double quotes")
            key = self._string()
            if self._peek() != ":":
                raise self._error("expected a colon")
            self._position += 1
            tree[key] = self._value(level)
            more = self._goes_on("}")
        return tree

    def _opens(self, closing: str, level: int) -> bool:
        """Go into a list or an object; return whether it has items."""
        if level > MAX_NESTING:
            raise self._error(f"nests deeper than {MAX_NESTING} levels")
        self._position += 1
        is_empty = self._peek() == closing
        self._position += is_empty
        return not is_empty

    def _goes_on(self, closing: str) -> bool:
        """Go past a comma and return `True`, or past the closing bracket."""
        found = self._peek()
        if found not in {",", closing}:
            raise self._error(f"expected a comma or {closing}")
        self._position += 1
        return found == ","

    def _string(self) -> str:
        if plain := _PLAIN_STRING.match(self._document, self._position):
            self._position = plain.end()
            return _utf8(plain[1])
        # A string that never ends must not be scanned to the end of the document.
        begin = self._position + 1
        for size in (4096, MAX_STRING_BYTES):
            source = _utf8(self._document[begin : begin + size], is_whole=False)
            try:
                text, length = _scan_string(source, 0)
            except json.JSONDecodeError:
                continue
            self._position = begin + len(source[:length].encode())
            return _LONE_SURROGATE.sub("\ufffd", text)
        raise self._error("an invalid string, or one that does not end")

    def _scalar(self) -> float | bool | None:
        if found := _SCALAR.match(self._document, self._position):
            self._position = found.end()
            try:
                value: float | bool | None = json.loads(found[0])
            except ValueError:
                raise self._error("an invalid number") from None
            return value
        raise self._error("expected a value")

    def _error(self, problem: str) -> ValueError:
        line = self._document.count("\n", 0, self._position) + 1
        column = self._position - self._document.rfind("\n", 0, self._position)
        return ValueError(f"not JSON: {problem}: line {line}, column {column}")


def _utf8(source: str, *, is_whole: bool = True) -> str:
    """Return the text of bytes that are one character each; the last one may be incomplete."""
    if source.isascii():
        return source
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(source.encode("latin-1"), is_whole)
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
