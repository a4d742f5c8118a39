"""YAML to texts, and the environment into them."""

import pytest

from exporter.config.text import NotYaml, Tree, expand_variables, parse_yaml


@pytest.mark.parametrize(
    "text", ["0123", "1e5", "yes", "3", "1.10", "2026-11-22", "0x1F", "12:30:45"]
)
def test_a_scalar_stays_the_text_that_was_written(text: str) -> None:
    assert parse_yaml(f"a: {text}") == {"a": text}


@pytest.mark.parametrize("nothing", ["", "~", "null"])
def test_a_key_with_nothing_is_not_written(nothing: str) -> None:
    assert parse_yaml(f"a: {nothing}\nb: x") == {"b": "x"}


def test_a_quoted_null_is_a_text() -> None:
    assert parse_yaml("a: 'null'\nb: ''") == {"a": "null", "b": ""}


def test_anchors_and_merge_keys_work() -> None:
    tree = parse_yaml("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}")
    assert tree == {"x": {"a": "1", "b": "2"}, "y": {"a": "1", "b": "3"}}


def test_json_is_yaml() -> None:
    assert parse_yaml('{"a": [1, true, "x"]}') == {"a": ["1", "true", "x"]}


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("a: 1\nb: 2\na: 3", "line 3, column 1: 'a' is given twice"),
        ("a:\n  - b: 1\n    b: 2", "line 3, column 5: 'b' is given twice"),
        ("a: [1", "line 2, column 1: did not find expected"),
        ("a: !!python/object/apply:os.system [x]", "line 1, column 4: could not determine"),
        ("a: \x00", "not YAML"),
        ("[" * 5000, "not YAML|did not find"),
    ],
)
def test_what_is_no_yaml_is_refused_with_its_place(document: str, problem: str) -> None:
    with pytest.raises(NotYaml, match=problem):
        parse_yaml(document)


def expand(tree: Tree, **environ: str) -> tuple[Tree, list[tuple[str, str]]]:
    problems: list[tuple[str, str]] = []
    return expand_variables(tree, environ, problems), problems


def test_variables_and_dollars_are_replaced_everywhere() -> None:
    tree = {"a": ["${X}", {"b": "x-${X}-${Y}"}], "c": "$$5 $${X}", "d": "pa$word$"}
    expanded, problems = expand(tree, X="one", Y="two")
    assert problems == []
    assert expanded == {"a": ["one", {"b": "x-one-two"}], "c": "$5 ${X}", "d": "pa$word$"}


def test_what_a_variable_holds_is_not_expanded_again() -> None:
    assert expand({"a": "${X}"}, X="${Y} $$")[0] == {"a": "${Y} $$"}


def test_an_unset_variable_is_told_with_its_path_and_name() -> None:
    _, problems = expand({"devices": [{"labels": {"site": "${SITE} ${OTHER}"}}]}, OTHER="x")
    assert problems == [("devices[0].labels.site", "the environment variable SITE is not set")]


@pytest.mark.parametrize("broken", ["${", "${}", "${1A}", "${A B}", "${A"])
def test_a_broken_variable_is_told(broken: str) -> None:
    _, problems = expand({"a": broken})
    assert problems == [
        ("a", "${ is not followed by a variable's name and }; a literal ${ is written $${")
    ]
