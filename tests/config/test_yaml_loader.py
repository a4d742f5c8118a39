"""YAML to texts, and the environment into them."""

import pytest

from exporter.config.yaml_loader import Boolean, Tree, YamlError, expand_variables, parse_yaml

NOTHING_BEHIND = "a key in braces has nothing behind it: a text with a comma must be quoted"


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
        ("a: !!python/object/apply:os.system [x]", "line 1, column 4: a value that begins with !"),
        ("a: \x00", "not YAML"),
        ("[" * 5000, "nests deeper than 100 levels"),
    ],
)
def test_what_is_no_yaml_is_refused_with_its_place(document: str, problem: str) -> None:
    with pytest.raises(YamlError, match=problem):
        parse_yaml(document)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "&a [", "[{a: "])
def test_a_document_that_nests_without_end_is_refused(opening: str) -> None:
    with pytest.raises(YamlError, match="nests deeper than 100 levels"):
        parse_yaml(opening * 60_000)


def test_a_document_may_nest_a_hundred_levels_deep() -> None:
    parse_yaml("[" * 100 + "]" * 100)
    with pytest.raises(YamlError, match=r"^line 1, column 101: nests deeper than 100 levels$"):
        parse_yaml("[" * 101 + "]" * 101)


def test_aliases_cannot_nest_deeper_either() -> None:
    lines = ["- &a0 [x]", *(f"- &a{n} [*a{n - 1}]" for n in range(1, 101))]
    with pytest.raises(YamlError, match=r"^line 100, column 9: nests deeper than 100 levels$"):
        parse_yaml("\n".join(lines))


def test_an_alias_within_what_it_repeats_is_refused() -> None:
    with pytest.raises(YamlError, match="an alias of what has no anchor before it"):
        parse_yaml("&a [*a]")


@pytest.mark.parametrize("repeat", ["- &a{n} [*a{m}, *a{m}]", "- &a{n} {{<<: [*a{m}, *a{m}]}}"])
def test_aliases_that_repeat_without_end_are_refused(repeat: str) -> None:
    lines = ["- &a0 {x: y}", *(repeat.format(n=n, m=n - 1) for n in range(1, 60))]
    with pytest.raises(YamlError, match="aliases repeat over 1000000 values"):
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
def test_merging_goes_by_the_rules(document: str, tree: Tree) -> None:
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
        ("? [a]\n: b", "line 1, column 3: a key must be a single text"),
        ("x: &x [a]\n? *x\n: b", "line 2, column 3: a key must be a single text"),
        ("a: {<<: x}", "line 1, column 4: << must have a mapping or a list of them"),
        ("a: 1\n---\nb: 2", "line 2, column 1: a second document begins: a file holds one"),
        ("%YAML 3.0\n---\na", "line 1, column 1: found incompatible YAML document"),
        ("a: {x: 1, x: 2}", "line 1, column 11: a key is given twice"),
        ("a: {x: Pa,S3cret}", f"line 1, column 17: {NOTHING_BEHIND}"),
        ("a: {x: Pa, S3cret: }", f"line 1, column 20: {NOTHING_BEHIND}"),
    ],
)
def test_what_a_config_cannot_have_is_told_in_our_own_words(document: str, problem: str) -> None:
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


def test_word_for_word_nothing_and_what_is_true_or_false_stay_apart_from_texts() -> None:
    tree = parse_yaml('{a: , b: No, c: "no", d: y, f: nope}', verbatim=True)
    assert tree == {"a": None, "b": "No", "c": "no", "d": "y", "f": "nope"}
    assert isinstance(tree, dict)
    assert [key for key, value in tree.items() if isinstance(value, Boolean)] == ["b", "d"]
