"""The reader of JSON lists reads what the json module reads, and refuses what it refuses."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.discovery.json_items import JsonItems

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def read(document: str) -> list[Any]:
    return list(JsonItems(document.encode(), lambda _values: None))


@given(st.lists(VALUES), st.sampled_from([None, 2, "\t"]), st.booleans())
def test_a_list_is_read_as_the_json_module_reads_it(
    items: list[Any],
    indent: int | str | None,
    ascii_only: bool,  # noqa: FBT001
) -> None:
    document = json.dumps(items, indent=indent, ensure_ascii=ascii_only)
    if "Infinity" not in document:
        assert read(document) == json.loads(document)


@given(st.text(alphabet='[]{},:"\\ntruefalsenull 0123.eE+-\n', max_size=20).map("[{}]".format))
@example('["a" "b"]')
@example("[1,]")
@example('{"a":1,}')
@example('["\n"]')
@example('["\\x"]')
@example("[01]")
@example("[] []")
@example("[-]")
def test_text_is_refused_if_the_json_module_refuses_it(document: str) -> None:
    try:
        expected = json.loads(document)
    except ValueError:
        with pytest.raises(ValueError, match=r"not JSON|must be a list"):
            read(document)
    else:
        assert read(document) == expected


def test_a_string_with_escapes_may_have_a_million_characters() -> None:
    text = "\n" * 500_000
    assert read(json.dumps([text])) == [text]
    with pytest.raises(ValueError, match=r"^not JSON: an invalid string, or one that does not end"):
        read(json.dumps(["\n" * 600_000]))


@pytest.mark.parametrize(
    "text", ["é", "\U0001f3e2" * 2000, "\n\U0001f3e2", "é\U0001f3e2\n" * 100_000]
)
def test_text_may_have_any_characters(text: str) -> None:
    assert read(json.dumps([text, "a"], ensure_ascii=False)) == [text, "a"]


@pytest.mark.parametrize("string", [b"\xff", b"\xc3", b"\\n\xff", b"a" * 5000 + b"\xff"])
def test_text_that_is_not_utf_8_is_refused(string: bytes) -> None:
    with pytest.raises(ValueError, match=r"^is not UTF-8 text$"):
        list(JsonItems(b'["%s"]' % string, lambda _values: None))


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(ValueError, match="nests deeper than 100 levels: line 1, column 101"):
        read("[" * 60_000)
