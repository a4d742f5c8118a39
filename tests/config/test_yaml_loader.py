"""YAML documents become trees of strings, and variables are replaced in them."""

import pytest

from exporter.config.yaml_loader import Boolean, Tree, YamlError, expand_variables, parse_yaml

SECOND = "a second document begins: a file may contain only one"
NO_VALUE = "a key in braces has no value: a string with a comma must be quoted"


@pytest.mark.parametrize(
    "text", ["0123", "1e5", "yes", "3", "1.10", "2026-11-22", "0x1F", "12:30:45"]
)
def test_a_scalar_stays_the_string_that_was_written(text: str) -> None:
    assert parse_yaml(f"a: {text}") == {"a": text}


@pytest.mark.parametrize("nothing", ["", "~", "null"])
def test_a_key_without_a_value_counts_as_absent(nothing: str) -> None:
    assert parse_yaml(f"a: {nothing}\nb: x") == {"b": "x"}


def test_a_quoted_null_is_a_string() -> None:
    assert parse_yaml("a: 'null'\nb: ''") == {"a": "null", "b": ""}


def test_anchors_and_merge_keys_work() -> None:
    tree = parse_yaml("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}")
    assert tree == {"x": {"a": "1", "b": "2"}, "y": {"a": "1", "b": "3"}}


def test_json_is_yaml() -> None:
    assert parse_yaml('{"a": [1, true, "x"]}') == {"a": ["1", "true", "x"]}


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("a: 1\nb: 2\na: 3", "line 3, column 1: duplicate key 'a'"),
        ("a:\n  - b: 1\n    b: 2", "line 3, column 5: duplicate key 'b'"),
        ("a: [1", "line 2, column 1: did not find expected"),
        ("a: !!python/object/apply:os.system [x]", "line 1, column 4: a value that begins with !"),
        ("a: \x00", "not YAML"),
        ("[" * 5000, "nests deeper than 100 levels"),
    ],
)
def test_invalid_yaml_is_an_error_with_its_line_and_column(document: str, problem: str) -> None:
    with pytest.raises(YamlError, match=problem):
        parse_yaml(document)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "&a [", "[{a: "])
def test_an_endlessly_nested_document_is_an_error(opening: str) -> None:
    with pytest.raises(YamlError, match="nests deeper than 100 levels"):
        parse_yaml(opening * 60_000)


def test_a_document_may_nest_100_levels_deep() -> None:
    parse_yaml("[" * 100 + "]" * 100)
    with pytest.raises(YamlError, match=r"^line 1, column 101: nests deeper than 100 levels$"):
        parse_yaml("[" * 101 + "]" * 101)


def test_aliases_cannot_nest_deeper_than_100_levels() -> None:
    lines = ["- &a0 [x]", *(f"- &a{n} [*a{n - 1}]" for n in range(1, 101))]
    with pytest.raises(YamlError, match=r"^line 100, column 9: nests deeper than 100 levels$"):
        parse_yaml("\n".join(lines))


def test_an_alias_inside_its_own_anchor_is_an_error() -> None:
    with pytest.raises(YamlError, match="an alias without an anchor"):
        parse_yaml("&a [*a]")


@pytest.mark.parametrize("repeat", ["- &a{n} [*a{m}, *a{m}]", "- &a{n} {{<<: [*a{m}, *a{m}]}}"])
def test_aliases_that_multiply_values_are_an_error(repeat: str) -> None:
    lines = ["- &a0 {x: y}", *(repeat.format(n=n, m=n - 1) for n in range(1, 60))]
    with pytest.raises(YamlError, match="aliases repeat more than 1000000 values"):
        parse_yaml("\n".join(lines))


@pytest.mark.parametrize(
    ("document", "tree"),
    [
        ("w: &w {a: 1}\nx: &x {<<: *w, a: 2}\ny: {<<: *x, b: 3}", {"a": "2", "b": "3"}),
        ("w: &w {a: 1}\nx: &x {a: 2, b: 2}\ny: {<<: [*w, *x]}", {"a": "1", "b": "2"}),
        ("w: &w {a: 1}\ny: {<<: *w, a: ~}", {}),
        ("y: {'<<': {a: 1}}", {"<<": {"a": "1"}}),
        ("k: &k name\ny: {*k : 1}", {"name": "1"}),
    ],
)
def test_merge_keys_follow_the_rules_of_yaml(document: str, tree: Tree) -> None:
    found = parse_yaml(document)
    assert isinstance(found, dict)
    assert found["y"] == tree


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ('- !!int ""', "line 1, column 3: a value that begins with ! must be quoted"),
        ("- !!bool x", "line 1, column 3: a value that begins with ! must be quoted"),
        ("- !!timestamp x", "line 1, column 3: a value that begins with ! must be quoted"),
        ("- !<x> y", "line 1, column 3: a value that begins with ! must be quoted"),
        ("? [a]\n: b", "line 1, column 3: a key must be a string"),
        ("x: &x [a]\n? *x\n: b", "line 2, column 3: a key must be a string"),
        ("a: {<<: x}", "line 1, column 4: << needs a mapping or a list of mappings"),
        (
            "a: 1\n---\nb: 2",
            f"line 2, column 1: {SECOND}",
        ),
        ("%YAML 3.0\n---\na", "line 1, column 1: found incompatible YAML document"),
        ("a: {x: 1, x: 2}", "line 1, column 11: duplicate key"),
        ("a: {x: Pa,S3cret}", f"line 1, column 17: {NO_VALUE}"),
        ("a: {x: Pa, S3cret: }", f"line 1, column 20: {NO_VALUE}"),
    ],
)
def test_yaml_that_a_config_may_not_have_is_an_error_in_our_words(
    document: str, problem: str
) -> None:
    with pytest.raises(YamlError) as caught:
        parse_yaml(document)
    assert str(caught.value) == problem


TAB = "a tab in the indentation: YAML allows only spaces there"


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("a:\n\tb: c", f"line 2, column 1: {TAB}"),
        ("a:\n  b: c\n\td: e", f"line 3, column 1: {TAB}"),
        ("a: {{ host }}", "line 1, column 5: a value that begins with { must be quoted"),
        (
            "a: {b: 'S3cret' d}",
            "line 1, column 17: a } is missing, or a value that begins with { is not quoted",
        ),
        (
            "a: b\nc: \0",
            "line 2, column 4: not YAML: a NUL byte; the file is damaged or not UTF-8 text",
        ),
        ("a: \x07", "line 1, column 4: not YAML: the control character '\\x07' is not allowed"),
    ],
)
def test_a_usual_mistake_is_explained_in_a_sentence(document: str, problem: str) -> None:
    with pytest.raises(YamlError) as caught:
        parse_yaml(document)
    assert str(caught.value) == problem


def expand(tree: Tree, **environ: str) -> tuple[Tree, list[tuple[str, str]]]:
    problems: list[tuple[str, str]] = []
    return expand_variables(tree, environ, problems), problems


def test_variables_and_dollars_are_replaced_everywhere() -> None:
    tree = {"a": ["${X}", {"b": "x-${X}-${Y}"}], "c": "$$5 $${X}", "d": "pa$word$"}
    expanded, problems = expand(tree, X="one", Y="two")
    assert problems == []
    assert expanded == {"a": ["one", {"b": "x-one-two"}], "c": "$5 ${X}", "d": "pa$word$"}


def test_the_value_of_a_variable_is_not_expanded_again() -> None:
    assert expand({"a": "${X}"}, X="${Y} $$")[0] == {"a": "${Y} $$"}


def test_an_unset_variable_is_an_error_with_its_path_and_name() -> None:
    _, problems = expand({"devices": [{"labels": {"site": "${SITE} ${OTHER}"}}]}, OTHER="x")
    assert problems == [("devices[0].labels.site", "the environment variable SITE is not set")]


@pytest.mark.parametrize("broken", ["${", "${}", "${1A}", "${A B}", "${A"])
def test_a_malformed_variable_is_an_error(broken: str) -> None:
    _, problems = expand({"a": broken})
    assert problems == [
        ("a", "${ must be followed by a variable name and }; write $${ for a literal ${")
    ]


def test_verbatim_trees_distinguish_nulls_and_booleans_from_strings() -> None:
    tree = parse_yaml('{a: , b: No, c: "no", d: y, f: nope}', verbatim=True)
    assert tree == {"a": None, "b": "No", "c": "no", "d": "y", "f": "nope"}
    assert isinstance(tree, dict)
    assert [key for key, value in tree.items() if isinstance(value, Boolean)] == ["b", "d"]
