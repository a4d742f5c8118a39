"""Target groups of Prometheus's discovery: read as devices, and accepted or refused."""

import json
import threading
import tracemalloc
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.config import DeviceConfig, parse_config
from exporter.config.relabel import RelabelConfig
from exporter.discovery import target_groups
from exporter.discovery.target_groups import (
    MAX_LABELS,
    AcceptedTargets,
    GroupReader,
    RefreshFailed,
    Source,
    Targets,
    accept_targets,
    failed,
)
from exporter.discovery.target_groups import read_groups as read_document

PROMETHEUS_FILE: list[dict[str, Any]] = [
    {
        "targets": ["10.0.0.1", "10.0.0.2:8080", "[2001:db8::1]:443"],
        "labels": {"site": "hq", "__meta_rack": "7", "module": "http"},
    },
    {"targets": ["cam.example"], "labels": {"device": "gate", "floor": "1"}},
    {"targets": ["10.0.0.9"]},
]


def read_groups(document: str, *, is_json: bool, stop: threading.Event | None = None) -> Targets:
    return read_document(document.encode(), is_json=is_json, stop=stop)


@pytest.mark.parametrize("is_json", [True, False])
def test_a_file_written_for_prometheus_works_unchanged(is_json: bool) -> None:  # noqa: FBT001
    document = json.dumps(PROMETHEUS_FILE) if is_json else yaml.safe_dump(PROMETHEUS_FILE)
    devices, problems = read_groups(document, is_json=is_json)
    assert problems == ()
    assert [(d.address, d.label, d.module, d.labels) for d in devices] == [
        ("10.0.0.1", "10.0.0.1", "http", {"site": "hq"}),
        ("10.0.0.2:8080", "10.0.0.2:8080", "http", {"site": "hq"}),
        ("[2001:db8::1]:443", "[2001:db8::1]:443", "http", {"site": "hq"}),
        ("cam.example", "gate", "default", {"floor": "1"}),
        ("10.0.0.9", "10.0.0.9", "default", {}),
    ]


@pytest.mark.parametrize("is_json", [True, False])
def test_a_name_that_only_prometheus_3_allows_stays_under_its_escaped_name(
    is_json: bool,  # noqa: FBT001
) -> None:
    labels = {
        "site.name": "hq",
        "1st": "a",
        "a:b": "c",
        "Straße 7": "d",
        "__meta.x": "e",
        "ok": "f",
    }
    groups = [{"targets": ["a"], "labels": labels}]
    document = json.dumps(groups) if is_json else yaml.safe_dump(groups, allow_unicode=True)
    (device,), problems = read_groups(document, is_json=is_json)
    assert problems == ()
    expected = {"site_name": "hq", "_st": "a", "a_b": "c", "Stra_e_7": "d", "ok": "f"}
    assert device.labels == expected


def test_two_names_that_become_the_same_are_a_problem_of_the_target() -> None:
    groups = [{"targets": ["a"], "labels": {"site.name": "x", "site-name": "y"}}]
    devices, problems = read_groups(json.dumps(groups), is_json=True)
    same = "'site.name' and 'site-name' both become the name 'site_name'"
    assert (devices, problems) == ((), (f"target 'a': labels: {same}",))


def test_a_number_in_yaml_is_a_label_with_its_text() -> None:
    devices, _ = read_groups("[{targets: [a], labels: {floor: 007, on: yes}}]", is_json=False)
    assert devices[0].labels == {"floor": "007", "on": "yes"}


@pytest.mark.parametrize(("document", "is_json"), [("null", False), ("[]", True), ("null", True)])
def test_an_empty_list_has_no_devices(document: str, is_json: bool) -> None:  # noqa: FBT001
    assert read_groups(document, is_json=is_json).devices == ()


def test_an_invalid_target_is_left_out_with_its_problem_and_the_others_stay() -> None:
    groups = [
        {"targets": ["http://10.0.0.1", "10.0.0.2"]},
        {"targets": ["10.0.0.3"], "labels": {"reason": "x"}},
        {"targets": ["10.0.0.4"], "labels": {"device": "x" * 501}},
        {"targets": ["/" * 100_000]},
    ]
    devices, problems = read_groups(json.dumps(groups), is_json=True)
    assert [device.address for device in devices] == ["10.0.0.2"]
    assert problems == (
        "target 'http://10.0.0.1': address: is a URL: write host, host:port or [v6]:port here, and "
        "`scheme: http` in its module",
        "target '10.0.0.3': labels.reason: is a label that the exporter sets itself",
        "target '10.0.0.4': name: must be at most 500 bytes long in UTF-8",
        f"target '{'/' * 100}': address: must be at most 500 bytes long in UTF-8",
    )


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ('{"targets": ["a"]}', "must be a list"),
        ('[{"target": ["a"]}]', "[0].target: unknown key"),
        ('[{"targets": "a"}]', "[0].targets: must be a list"),
        ('[{"targets": [7]}]', "[0].targets[0]: must be a string"),
        ('[{"targets": ["a"], "labels": {"x": 7}}]', "[0].labels.x: must be a string"),
        ("{", "not JSON: expected a key in double quotes: line 1, column 2"),
    ],
)
def test_a_document_that_is_not_a_list_of_groups_is_refused_with_the_path_of_the_problem(
    document: str, problem: str
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its text is what counts
        read_groups(document, is_json=True)
    assert problem in str(caught.value)


def test_null_means_empty() -> None:
    document = '[{"targets": ["a"], "labels": null}, {"targets": null, "labels": {}}]'
    devices, problems = read_groups(document, is_json=True)
    assert ([device.address for device in devices], problems) == (["a"], ())


def test_a_password_in_a_target_is_not_shown() -> None:
    _, problems = read_groups('[{"targets": ["root:s3cret@10.0.0.1"]}]', is_json=True)
    about = "must not contain a user name or password: put them into auth"
    assert problems == (f"a target: address: {about}",)


def test_the_first_ten_invalid_targets_are_reported_and_the_others_counted() -> None:
    groups = [{"targets": [f"x/{n}" for n in range(1000)]}]
    _, problems = read_groups(json.dumps(groups), is_json=True)
    assert len(problems) == 11
    assert problems[-1] == "990 more targets are invalid"


def test_a_group_with_too_many_labels_is_refused() -> None:
    labels = {f"l{n}": "x" for n in range(MAX_LABELS + 1)}
    groups = [{"targets": ["a"], "labels": labels}]
    with pytest.raises(ValueError, match=r"^\[0\].labels: must have at most 64"):
        read_groups(json.dumps(groups), is_json=True)


def test_a_list_of_a_million_invalid_groups_is_one_problem() -> None:
    with pytest.raises(ValueError, match=r"^\[0\]: must be a mapping$"):
        read_groups(json.dumps([1] * 1_000_000), is_json=True)


def list_of(item: str, count: int, within: str = "[%s]") -> str:
    return within % ",".join([item] * count)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (list_of("{}", 200_000), "has more than 100000 target groups, which is the limit"),
        (list_of('{"targets":["a"]}', 100_001), "has more than 100000 target groups"),
        (list_of('"a"', 200_000, '[{"targets":[%s]}]'), "a group has more than 100000 targets"),
        (list_of("{}", 200_000, '[{"targets":[%s]}]'), "a group has more than 100000 targets"),
        (list_of(list_of('"a"', 50_001, '{"targets":[%s]}'), 2), "lists more than 100000 targets"),
    ],
    ids=["empty groups", "groups", "targets of a group", "lists of a group", "targets"],
)
@pytest.mark.parametrize("is_json", [True, False])
def test_a_document_beyond_a_limit_is_refused_with_the_limit(
    document: str,
    problem: str,
    is_json: bool,  # noqa: FBT001
) -> None:
    with pytest.raises(ValueError, match=problem):
        read_groups(document, is_json=is_json)


def test_a_hundred_thousand_targets_are_accepted() -> None:
    document = list_of('"10.0.0.1"', 100_000, '[{"targets":[%s]}]')
    assert len(read_groups(document, is_json=True).devices) == 100_000


HOSTILE_SIZE = 500_000
HOSTILE = {
    "empty groups": list_of("{}", HOSTILE_SIZE // 3),
    "empty lists": list_of("[]", HOSTILE_SIZE // 3, '[{"targets":[%s]}]'),
    "keys": "[{" + ",".join(f'"{n:07d}":0' for n in range(HOSTILE_SIZE // 12)) + "}]",
    "labels": '[{"labels":{' + ",".join(f'"{n:07d}":0' for n in range(HOSTILE_SIZE // 12)) + "}}]",
    "a string": '["%s"]' % ("a" * HOSTILE_SIZE),
    "escapes": '["%s"]' % ("\\n" * (HOSTILE_SIZE // 2)),
    "a number": "[%s]" % ("1" * HOSTILE_SIZE),
    "nothing": " " * HOSTILE_SIZE,
}


@pytest.mark.parametrize("document", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("is_json", [True, False])
def test_reading_takes_at_most_ten_times_the_documents_size(
    document: str,
    is_json: bool,  # noqa: FBT001
) -> None:
    tracemalloc.start()
    try:
        with suppress(ValueError):
            read_groups(document, is_json=is_json)
        _now, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The document itself is the tenth. The values up to the limit take some MB in any document.
    assert peak_bytes < 9 * len(document) + 8_000_000


def test_reading_ends_soon_after_it_was_told_to_stop() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(ValueError, match="the exporter is stopping"):
        read_groups('[{"targets": ["a"]}]', is_json=True, stop=stop)


def test_a_document_is_read_again_only_if_it_changed() -> None:
    reader, texts = GroupReader(), [b'[{"targets": ["a"]}]', b'[{"targets": ["b"]}]']
    first, same, other = (reader.read(FIRST, texts[n], is_json=True) for n in (0, 0, 1))
    assert first is same
    assert [each.address for each in other.devices] == ["b"]
    reader.forget_except(())
    assert reader.read(FIRST, texts[1], is_json=True) is not other


CONFIG = parse_config({"devices": [{"address": "10.0.0.1", "name": "lobby"}]}, {}, Path())
FIRST, SECOND = Source("file", "a.yaml"), Source("http", "http://sd.example")


def device_config(address: str, **more: str) -> DeviceConfig:
    return DeviceConfig.model_validate({"address": address, **more})


def test_names_are_taken_by_the_config_first_then_by_the_sources_in_their_order() -> None:
    found = {
        FIRST: (device_config("a", name="gate"), device_config("b", name="lobby")),
        SECOND: (device_config("c", name="gate"), device_config("d")),
    }
    accepted = accept_targets(CONFIG, found)
    assert [each.address for each in accepted.devices] == ["a", "d"]
    assert accepted.refused == {
        FIRST: ("target 'b': the name 'lobby' is already used in the config",),
        SECOND: ("target 'c': the name 'gate' is already used in a.yaml",),
    }


def test_a_target_with_an_unknown_module_is_refused() -> None:
    accepted = accept_targets(CONFIG, {FIRST: (device_config("a", module="axis"),)})
    assert accepted.devices == ()
    assert accepted.refused == {
        FIRST: ("target 'a': there is no module 'axis'; the only module is default",)
    }


def test_targets_with_the_same_problem_share_a_line() -> None:
    config = parse_config(
        {"modules": {"default": {"tls_config": {"pins_file": "pins.yaml"}}}}, {}, Path()
    )
    labels = {"__scheme__": "http"}
    hosts = [f"127.44.{2 + n // 256}.{n % 256}" for n in range(1, 401)]
    groups = [
        {"targets": hosts, "labels": labels},
        {"targets": ["a", "b", "c"], "labels": {"module": "axis"}},
        {"targets": ["d", "e", "d", "e"]},
    ]
    devices, _ = read_groups(json.dumps(groups), is_json=True)
    accepted = accept_targets(config, {FIRST: devices})
    no_https, no_module, twice = accepted.refused[FIRST]
    assert no_https == (
        "400 targets (127.44.2.1, 127.44.2.2, …): module 'default' needs https, and `__scheme__` "
        "is http: add a module with `scheme: http` to the config file, and the label "
        "`module: NAME` to the targets"
    )
    assert no_module.startswith("3 targets (a, b, …): there is no module 'axis'")
    assert twice == "2 targets (d, e): their names are already used in a.yaml"
    assert accepted.counts == {FIRST: 2}


def test_invalid_targets_with_the_same_problem_share_a_line() -> None:
    groups = [
        {"targets": [f"h{n}" for n in range(500)], "labels": {"reason": "x"}},
        {"targets": [f"x/{n}" for n in range(20)]},
        {"targets": ["k", "l"], "labels": {"reason": "x"}},
        {"targets": ["root:pass@a", "root:pass@b"], "labels": {"reason": "x"}},
    ]
    _, problems = read_groups(json.dumps(groups), is_json=True)
    assert problems[0] == (
        "502 targets (h0, h1, …): labels.reason: is a label that the exporter sets itself"
    )
    assert (len(problems), problems[-1]) == (11, "13 more targets are invalid")
    assert "pass" not in "".join(problems)


LONG = "\x1b]0;" + "x" * 1_000_000


def test_a_problem_of_a_document_has_300_printable_characters_at_most() -> None:
    documents = [{"targets": [], LONG: 1}, {"targets": ["a"], "labels": {LONG: 7}}]
    for group in documents:
        with pytest.raises(ValueError, match="x") as caught:
            read_groups(json.dumps([group]), is_json=True)
        assert is_short(str(RefreshFailed(str(caught.value))))
        assert is_short(failed(FIRST, str(caught.value)).problems[0])


def test_a_problem_of_a_target_has_300_printable_characters_at_most() -> None:
    labels = {f"a.{LONG}": "x"}
    groups = [{"targets": ["a"], "labels": labels}, {"targets": ["/" * 290]}]
    _, problems = read_groups(json.dumps(groups), is_json=True)
    assert len(problems) == 2
    assert all(is_short(each) for each in problems)
    assert problems[1].endswith("is not host, host:port or [v6]:port")


def test_a_problem_of_a_refused_target_has_300_printable_characters_at_most() -> None:
    found = (device_config("a", module=LONG), device_config("b", name="\x1b" * 500))
    accepted = accept_targets(CONFIG, {FIRST: found, SECOND: found[1:]})
    for problem in (accepted.refused[FIRST][0], accepted.refused[SECOND][0]):
        assert is_short(problem)
    assert accepted.refused[SECOND][0].endswith("is already used in a.yaml")


def is_short(problem: str) -> bool:
    return len(problem) <= 300 and problem.isprintable()


def test_a_target_that_is_listed_twice_is_accepted_once() -> None:
    accepted = accept_targets(CONFIG, {FIRST: (device_config("a"), device_config("a"))})
    assert len(accepted.devices) == 1
    assert len(accepted.refused[FIRST]) == 1


COPY = RelabelConfig.model_validate({"source_labels": ["__meta_x"], "target_label": "x"})


def listed(*values: str) -> bytes:
    groups = [{"targets": [f"h{n}"], "labels": {"__meta_x": v}} for n, v in enumerate(values)]
    return json.dumps(groups).encode()


def test_only_the_targets_of_a_document_that_have_changed_are_relabelled_again() -> None:
    reader = GroupReader([COPY])
    before = reader.read(FIRST, listed("a", "b", ""), is_json=True).devices
    after = reader.read(FIRST, listed("a", "c", ""), is_json=True).devices
    assert [each.labels.get("x") for each in after] == ["a", "c", None]
    assert [new is old for new, old in zip(after, before, strict=True)] == [True, False, True]


def test_a_target_that_is_listed_twice_is_two_devices_however_often_it_was_read() -> None:
    reader, document = GroupReader([COPY]), listed("a")
    reader.read(FIRST, document, is_json=True)
    twice = document[:-1] + b"," + document[1:]
    first, second = reader.read(FIRST, twice, is_json=True).devices
    assert first == second
    assert first is not second


def test_what_a_source_may_cost_is_limited_and_the_next_refresh_goes_on() -> None:
    reader = GroupReader([COPY] * 100, limit_seconds=0.0)
    document = listed(*"abcdefgh" * 10)
    with pytest.raises(ValueError, match="relabelling takes more than 0 s of processor time"):
        reader.read(FIRST, document, is_json=True)
    done = len(reader._last[FIRST].known)
    assert 0 < done < 80
    with pytest.raises(ValueError, match="use fewer or simpler rules"):
        reader.read(FIRST, document, is_json=True)
    assert len(reader._last[FIRST].known) > done
    reader._limit_seconds = 60.0
    assert len(reader.read(FIRST, document, is_json=True).devices) == 80


def test_relabelling_ends_soon_after_it_was_told_to_stop() -> None:
    reader = GroupReader([COPY] * 100)
    reader.stop.set()
    with pytest.raises(ValueError, match="the exporter is stopping"):
        reader.read(FIRST, listed(*"abc"), is_json=True)


def test_one_document_is_read_at_a_time() -> None:
    first, second = GroupReader([COPY]), GroupReader([COPY])
    with target_groups._one_at_a_time:
        thread = threading.Thread(target=lambda: first.read(FIRST, listed("a"), is_json=True))
        thread.start()
        while not first.is_busy:
            thread.join(0.001)
        assert not second.is_busy
        assert FIRST not in first._last
    thread.join()
    assert len(first._last[FIRST].targets.devices) == 1
    assert not first.is_busy


NETBOX = [
    {
        "targets": ["10.0.0.7"],
        "labels": {"__meta_netbox_name": "cam-7", "__meta_netbox_site_slug": "hq"},
    },
    {"targets": ["10.0.0.8"], "labels": {"__meta_netbox_name": "nvr-1"}},
    {"targets": ["10.0.0.9"], "labels": {"source": "cmdb"}},
]


def relabeled(*rules: dict[str, Any]) -> Targets:
    made = [RelabelConfig.model_validate(rule) for rule in rules]
    reader = GroupReader(made)
    source = Source("http", "https://netbox.example/api")
    return reader.read(source, json.dumps(NETBOX).encode(), is_json=True)


def test_rules_make_devices_of_labels_that_are_not_kept() -> None:
    devices, problems = relabeled(
        {"source_labels": ["__meta_netbox_name"], "target_label": "device"},
        {"regex": "__meta_netbox_(.*)_slug", "action": "labelmap"},
        {"source_labels": ["__meta_url"], "target_label": "from"},
        {
            "source_labels": ["__address__"],
            "regex": "(.*8)",
            "target_label": "__address__",
            "replacement": "$1:8080",
        },
        {"regex": "source", "action": "labeldrop"},
    )
    url = "https://netbox.example/api"
    assert problems == ()
    assert [(each.address, each.label, each.labels) for each in devices] == [
        ("10.0.0.7", "cam-7", {"from": url, "site": "hq"}),
        ("10.0.0.8:8080", "nvr-1", {"from": url}),
        ("10.0.0.9", "10.0.0.9", {"from": url}),
    ]


def test_a_target_that_a_rule_drops_is_no_problem() -> None:
    keep = {"source_labels": ["__meta_netbox_name"], "regex": "cam-.*", "action": "keep"}
    devices, problems = relabeled(keep)
    assert ([each.address for each in devices], problems) == (["10.0.0.7"], ())


def test_a_target_that_a_rule_makes_invalid_is_named_as_it_was_listed() -> None:
    drop = {"regex": "source", "action": "labeldrop"}
    spoil = {"target_label": "__address__", "replacement": "no address"}
    devices, problems = relabeled(drop, spoil)
    assert devices == ()
    [problem] = problems
    assert problem.startswith("3 targets (10.0.0.7, 10.0.0.8, …): address: ")


def test_a_target_whose_labels_grow_without_end_is_left_out() -> None:
    double = {"source_labels": ["x"], "target_label": "x", "replacement": "$1$1"}
    devices, problems = relabeled({"target_label": "x", "replacement": "y"}, *[double] * 30)
    assert devices == ()
    same = "its labels have more than 16,384 characters"
    assert problems == (f"3 targets (10.0.0.7, 10.0.0.8, …): {same}",)


def test_labels_set_the_scheme_and_the_times_of_a_target() -> None:
    labels = {"__scheme__": "http", "__scrape_interval__": "5m", "__scrape_timeout__": "20s"}
    groups = [{"targets": ["a"], "labels": labels}, {"targets": ["b"]}]
    (own, plain), problems = read_groups(json.dumps(groups), is_json=True)
    assert problems == ()
    settings = own.settings_of_its_own
    assert (settings.scheme, settings.interval, settings.timeout) == ("http", 300.0, 20.0)
    assert own.labels == {}
    assert type(plain) is DeviceConfig


def test_a_target_with_an_invalid_setting_is_left_out() -> None:
    groups = [{"targets": ["a"], "labels": {"__scheme__": "ftp"}}]
    devices, problems = read_groups(json.dumps(groups), is_json=True)
    assert devices == ()
    assert problems == ("target 'a': settings.__scheme__: must be one of 'http' or 'https'",)


ANCHORS: Mapping[str, dict[str, Any]] = {
    "a fingerprint": {"fingerprint_sha256": "ab" * 32},
    "a CA": {"ca_file": "ca.pem"},
    "pins": {"pins_file": "pins.yaml"},
}


@pytest.mark.parametrize(
    ("scheme", "tls"),
    [*(("auto", tls) for tls in ANCHORS.values()), ("digest", ANCHORS["pins"]), ("basic", {})],
)
def test_a_source_cannot_move_a_target_of_an_https_module_with_an_account_to_http(
    scheme: str, tls: dict[str, Any]
) -> None:
    auth = {"scheme": scheme, "username": "u", "password": "p"}
    module = {"auth": auth, "tls_config": tls}
    source, accepted = accept_labelled(module, {"__scheme__": "http"})
    assert accepted.devices == ()
    assert "needs https" in accepted.refused[source][0]


@pytest.mark.parametrize(
    "module",
    [
        {},
        {"auth": {"username": "u", "password": "p"}},
        {"scheme": "http", "auth": {"username": "u", "password": "p"}},
        {"scheme": "http", "tls_config": {"ca_file": "ca.pem"}},
    ],
    ids=["no account", "the CAs of this system", "an http module", "an http module with a CA"],
)
def test_a_source_may_choose_http_where_no_account_is_at_stake(module: dict[str, Any]) -> None:
    source, accepted = accept_labelled(module, {"__scheme__": "http"})
    assert (len(accepted.devices), accepted.refused[source]) == (1, ())


@pytest.mark.parametrize("tls", ANCHORS.values(), ids=ANCHORS)
def test_a_source_cannot_replace_what_a_module_trusts(tls: dict[str, Any]) -> None:
    label = {"__fingerprint_sha256__": "cd" * 32}
    source, accepted = accept_labelled({"tls_config": tls}, label)
    assert accepted.devices == ()
    assert accepted.refused[source] == (
        "target 'a': __fingerprint_sha256__ must not replace what `tls_config` of module "
        "'default' trusts",
    )


@pytest.mark.parametrize(
    ("module", "labels"),
    [({}, {"__scheme__": "http"}), ({"scheme": "http"}, {})],
    ids=["by label", "by module"],
)
def test_a_source_cannot_pin_a_certificate_of_a_target_over_http(
    module: dict[str, Any], labels: dict[str, str]
) -> None:
    labels = {**labels, "__fingerprint_sha256__": "cd" * 32}
    source, accepted = accept_labelled(module, labels)
    assert accepted.devices == ()
    [problem] = accepted.refused[source]
    assert problem.endswith("__fingerprint_sha256__ needs https: plain HTTP has no certificate")


@pytest.mark.parametrize("tls", [{}, {"insecure_skip_verify": True}])
def test_a_source_may_pin_a_certificate_where_the_module_trusts_no_own(
    tls: dict[str, Any],
) -> None:
    _, accepted = accept_labelled({"tls_config": tls}, {"__fingerprint_sha256__": "cd" * 32})
    [device] = accepted.devices
    assert device.settings_of_its_own.fingerprint_sha256 == b"\xcd" * 32


def accept_labelled(
    module: dict[str, Any], labels: dict[str, str]
) -> tuple[Source, AcceptedTargets]:
    config = parse_config({"modules": {"default": module}}, {}, Path())
    groups = [{"targets": ["a"], "labels": labels}]
    source = Source("file", "devices.json")
    devices, _ = read_groups(json.dumps(groups), is_json=True)
    return source, accept_targets(config, {source: devices})


@pytest.mark.parametrize("text", [r"\ud800", r"a\udfffb", r"\udc00\ud83d"])
def test_half_a_character_is_replaced_as_go_does(text: str) -> None:
    document = f'[{{"targets": ["a"], "labels": {{"s": "{text}"}}}}]'
    (device,), problems = read_groups(document, is_json=True)
    assert problems == ()
    assert "\ufffd" in device.labels["s"]
    device.labels["s"].encode()


def test_half_a_character_in_yaml_reaches_no_label() -> None:
    try:
        devices, _ = read_groups('- {targets: [a], labels: {s: "\\ud800"}}', is_json=False)
    except ValueError:
        return
    for device in devices:
        device.labels["s"].encode()


def test_a_document_cannot_say_that_it_is_another_file() -> None:
    rule = {"source_labels": ["__meta_url"], "target_label": "from"}
    reader = GroupReader([RelabelConfig.model_validate(rule)])
    document = b'[{"targets": ["a"], "labels": {"__meta_url": "https://other.example/"}}]'
    targets = reader.read(Source("http", "https://real.example/"), document, is_json=True)
    assert targets.devices[0].labels == {"from": "https://real.example/"}
