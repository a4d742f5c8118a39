"""Target groups of Prometheus's discovery, read as devices."""

import json
from typing import Any

import pytest
import yaml

from exporter.discovery.target_groups import MOST_LABELS, read_groups

PROMETHEUS_FILE: list[dict[str, Any]] = [
    {
        "targets": ["10.0.0.1", "10.0.0.2:8080", "[2001:db8::1]:443"],
        "labels": {"site": "hq", "__meta_rack": "7", "module": "http"},
    },
    {"targets": ["cam.example"], "labels": {"device": "gate", "floor": "1"}},
    {"targets": ["10.0.0.9"]},
]


@pytest.mark.parametrize("is_json", [True, False])
def test_a_file_written_for_prometheus_works_unchanged(is_json: bool) -> None:  # noqa: FBT001
    document = json.dumps(PROMETHEUS_FILE) if is_json else yaml.safe_dump(PROMETHEUS_FILE)
    entries, problems = read_groups(document, is_json=is_json)
    assert problems == ()
    assert [(e.address, e.label, e.module, e.labels) for e in entries] == [
        ("10.0.0.1", "10.0.0.1", "http", {"site": "hq"}),
        ("10.0.0.2:8080", "10.0.0.2:8080", "http", {"site": "hq"}),
        ("[2001:db8::1]:443", "[2001:db8::1]:443", "http", {"site": "hq"}),
        ("cam.example", "gate", "default", {"floor": "1"}),
        ("10.0.0.9", "10.0.0.9", "default", {}),
    ]


def test_a_label_that_yaml_reads_as_a_number_is_its_text() -> None:
    entries, _ = read_groups("[{targets: [a], labels: {floor: 007, on: yes}}]", is_json=False)
    assert entries[0].labels == {"floor": "007", "on": "yes"}


@pytest.mark.parametrize(("document", "is_json"), [("", False), ("[]", True), ("null", True)])
def test_an_empty_list_has_no_devices(document: str, is_json: bool) -> None:  # noqa: FBT001
    assert read_groups(document, is_json=is_json).entries == ()


def test_a_target_that_cannot_be_polled_is_left_out_and_told_and_the_others_stay() -> None:
    groups = [
        {"targets": ["http://10.0.0.1", "10.0.0.2"]},
        {"targets": ["10.0.0.3"], "labels": {"reason": "x"}},
        {"targets": ["10.0.0.4"], "labels": {"device": "x" * 501}},
        {"targets": ["/" * 100_000]},
    ]
    entries, problems = read_groups(json.dumps(groups), is_json=True)
    assert [entry.address for entry in entries] == ["10.0.0.2"]
    assert problems == (
        "target 'http://10.0.0.1': address: 'http://10.0.0.1' is not host, host:port or [v6]:port "
        "(http or https is the module's scheme)",
        "target '10.0.0.3': labels.reason: is a label that the exporter sets itself",
        "target '10.0.0.4': name: must have at most 500 bytes as UTF-8",
        f"target '{'/' * 100}': address: must have at most 500 bytes as UTF-8",
    )


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ('{"targets": ["a"]}', "must be a list"),
        ('[{"target": ["a"]}]', "[0].target: unknown key"),
        ('[{"targets": "a"}]', "[0].targets: must be a list"),
        ('[{"targets": [7]}]', "[0].targets[0]: must be a single text"),
        ('[{"targets": ["a"], "labels": {"x": 7}}]', "[0].labels.x: must be a single text"),
        ("{", "EOF while parsing an object at line 1 column 1"),
    ],
)
def test_what_is_no_list_of_groups_is_refused_with_its_path(document: str, problem: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its text is what counts
        read_groups(document, is_json=True)
    assert problem in str(caught.value)


def test_null_is_as_good_as_absent() -> None:
    document = '[{"targets": ["a"], "labels": null}, {"targets": null, "labels": {}}]'
    entries, problems = read_groups(document, is_json=True)
    assert ([entry.address for entry in entries], problems) == (["a"], ())


def test_a_password_in_a_target_is_not_told() -> None:
    _, problems = read_groups('[{"targets": ["root:s3cret@10.0.0.1"]}]', is_json=True)
    about = "must not contain a user name or password: put them into auth"
    assert problems == (f"a target: address: {about}",)


def test_of_many_wrong_targets_the_first_are_told_and_the_others_counted() -> None:
    groups = [{"targets": [f"x/{n}" for n in range(1000)]}]
    _, problems = read_groups(json.dumps(groups), is_json=True)
    assert len(problems) == 11
    assert problems[-1] == "990 targets more cannot be taken"


def test_a_group_has_so_many_labels_at_most() -> None:
    labels = {f"l{n}": "x" for n in range(MOST_LABELS + 1)}
    groups = [{"targets": ["a"], "labels": labels}]
    with pytest.raises(ValueError, match=r"^\[0\].labels: must have at most 64"):
        read_groups(json.dumps(groups), is_json=True)


def test_a_list_of_a_million_things_that_are_no_groups_is_told_in_a_line() -> None:
    with pytest.raises(ValueError, match=r"^\[0\]: must be a mapping$"):
        read_groups(json.dumps([1] * 1_000_000), is_json=True)
