"""Targets are relabelled as Prometheus does it."""

import time
from typing import Any

import pytest
from pydantic import ValidationError

from exporter.config.relabel import MAX_TEXT_CHARACTERS, RelabelConfig
from exporter.discovery.relabel import MAX_CHARACTERS, Relabeler
from tests.discovery.relabel_cases import CASES, FOUND, Case, rule


def rules(*documents: dict[str, Any]) -> list[RelabelConfig]:
    return [RelabelConfig.model_validate(each) for each in documents]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rules_do_what_those_of_prometheus_do(case: Case) -> None:
    labels = Relabeler(rules(*case.rules)).relabel(FOUND)
    if labels is not None and "__address__" not in labels:
        labels = None
    if labels is None:
        assert case.expected is None
        return
    assert labels["__address__"] == case.address
    shown = {name: value for name, value in labels.items() if not name.startswith("__")}
    assert shown == case.expected


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (rule(sources=[""], to="x"), "must not be empty"),
        (rule(sources=["a"]), "action replace needs a `target_label`"),
        (rule(to="a-b"), "`target_label` 'a-b' is not a label name"),
        (rule(to="x", regex="("), "is not a regular expression of Prometheus (RE2): missing )"),
        (rule(to="x", regex=r"(a)\1"), "RE2 has no backreferences and no look-around"),
        (rule(to="x", regex="(?=a)"), "RE2 has no backreferences and no look-around"),
        (rule("hashmod", to="x"), "action hashmod needs a `modulus` of at least 1"),
        (rule("hashmod", to="$1", modulus=2), "'$1' is not a label name"),
        (rule("lowercase"), "action lowercase needs a `target_label`"),
        (rule("lowercase", to="x", with_="y"), "action lowercase takes no `replacement`"),
        (rule("labelmap", with_="a-b"), "`replacement` 'a-b' is not a label name"),
        (
            rule("keepequal", to="x", regex="y"),
            "action keepequal takes only `source_labels` and `target_label`: remove `regex`",
        ),
        (
            rule("labeldrop", sources=["x"], regex="y"),
            "action labeldrop takes only `regex`: remove `source_labels`",
        ),
        (rule("rename"), "Input should be"),
        (rule(to="x", with_="y" * 1_001), "String should have at most 1000 characters"),
        (rule(to="x", regex="y" * 100_001), "String should have at most 100000 characters"),
    ],
    ids=str,
)
def test_a_rule_that_prometheus_refuses_is_refused(document: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError) as refused:
        rules(document)
    assert problem in str(refused.value)


def test_labels_that_grow_without_end_are_refused() -> None:
    doubled = rules(*[rule(sources=["x"], to="x", with_="$1$1")] * 30)
    with pytest.raises(ValueError, match="its labels have more than 16,384 characters"):
        Relabeler(doubled).relabel({"__address__": "a", "x": "y"})


def test_labels_that_multiply_without_end_are_refused() -> None:
    doubled = rules(*[rule("labelmap", with_="x$1")] * 200)
    with pytest.raises(ValueError, match="has more than 128 labels"):
        Relabeler(doubled).relabel({"__address__": "a"})


def test_labels_that_are_joined_without_end_are_refused() -> None:
    joined = rules(rule(sources=["x"] * 64, to="y", regex="z"))
    with pytest.raises(ValueError, match="a rule joins more than 16,384 characters"):
        Relabeler(joined).relabel({"__address__": "a", "x": "y" * 300})


def test_rules_see_names_of_prometheus_3_as_they_are_listed() -> None:
    made = rules(
        rule(sources=["site.name"], to="site"),
        rule("labelmap", regex=r"n\.(.*)", with_="m_$1"),
        rule("labeldrop", regex=r"site\.name|n\..*"),
    )
    labels = Relabeler(made).relabel({"site.name": "hq", "n.a b": "1"})
    assert labels == {"site": "hq", "m_a b": "1"}


def test_a_rule_finds_the_same_however_many_texts_it_has_seen() -> None:
    made = rules(
        rule(sources=["x"], regex="(a.*)", to="y"),
        rule("labeldrop", regex="x"),
        rule("labelmap", regex="n(.*)", with_="m$1"),
    )
    relabeler = Relabeler(made)
    for n in range(2_000):
        text, name = f"a{n % 1_000}", f"n{n % 50}"
        labels = relabeler.relabel({"x": text, name: text})
        assert labels == {"y": text, name: text, f"m{n % 50}": text}


def test_a_long_relabelling_pauses_between_short_parts() -> None:
    pauses: list[None] = []
    made = rules(*[rule(sources=["x"], to="y")] * 100)
    Relabeler(made, lambda: pauses.append(None)).relabel({"x": "a" * 1_000})
    assert len(pauses) >= 5


def test_the_worst_target_costs_milliseconds_a_rule() -> None:
    labels = {"__address__": "a", "x": "a" * (MAX_CHARACTERS - 100)}
    nested = rules(*[rule(sources=["x"], regex="(a*)*(a*)*(a|aa)+b", to="y")] * 10)
    costs = []
    for _ in range(3):
        began = time.thread_time()
        Relabeler(nested).relabel(labels)
        costs.append(time.thread_time() - began)
    assert min(costs) < 0.1


@pytest.mark.parametrize("action", ["replace", "labelmap"])
def test_a_long_name_that_is_no_label_is_refused_at_once(action: str) -> None:
    name = "a" * (MAX_TEXT_CHARACTERS - 1) + "-"
    keys = {"to": name} if action == "replace" else {"with_": name}
    began = time.thread_time()
    with pytest.raises(ValidationError, match="is not a label name"):
        rules(rule(action, **keys))
    assert time.thread_time() - began < 0.1
