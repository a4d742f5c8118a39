"""From states to samples: every series of the catalogue, and none for a missing value."""

import re
from collections.abc import Callable
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.clock.host import HostTime
from exporter.clock.offset import SECOND_NS
from exporter.config import Expect
from exporter.config.types import RESERVED_LABELS
from exporter.metrics.catalogue import DEVICE_METRICS, IdentityMetric
from exporter.metrics.exposition import Exposition, shortest_texts
from exporter.vapix.errors import PollTimeout, Unauthorized
from exporter.vapix.identity import DeviceIdentity
from exporter.vapix.ntp_info import NtpSettings, NtpStatus
from tests.support.devices import outcome
from tests.support.exposed_devices import (
    CLIENT,
    NOW,
    OTHER,
    device,
    exposed,
    names,
    read,
    samples,
    values,
)
from tests.support.readings import ntp_client, replace_fields

IDENTITY = DeviceIdentity("B8A44F000001", 253402300799.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("axis_ntp_up", 1),
        ("axis_ntp_client_present", 1),
        ("axis_ntp_server_present", 0),
        ("axis_ntp_client_enabled", 1),
        ("axis_ntp_nts_enabled", 0),
        ("axis_ntp_synced", 1),
        ("axis_ntp_time_offset_seconds", -0.01234),
        ("axis_ntp_time_to_next_sync_seconds", 44),
        ("axis_ntp_poll_interval_min_seconds", 64),
        ("axis_ntp_poll_interval_max_seconds", 1024),
        ("axis_ntp_static_servers_max", 5),
        ("axis_ntp_active_servers", 2),
        ("axis_ntp_polls_total", 1),
        ("axis_ntp_poll_failures_total", 0),
        ("axis_ntp_consecutive_failures", 0),
        ("axis_ntp_last_poll_timestamp_seconds", 1000.25),
        ("axis_ntp_last_success_timestamp_seconds", 1000.25),
        ("axis_ntp_poll_duration_seconds", 0.25),
    ],
)
def test_a_successful_poll_exports_each_value_with_the_devices_labels(
    name: str, value: float
) -> None:
    found = samples(device(read(CLIENT), site="hq"))
    assert values(found, name) == [({"device": "lobby", "site": "hq"}, value)]


def test_servers_are_counted_by_source() -> None:
    found = samples(device(read(CLIENT)))
    counts = {labels["source"]: value for labels, value in values(found, "axis_ntp_servers")}
    assert counts == {"static": 1, "advertised": 2, "nts_ke": 0}


def test_each_server_has_a_sample_that_shows_whether_it_is_active() -> None:
    found = values(samples(device(read(CLIENT))), "axis_ntp_server_info")
    listed = {(label["server"], label["source"], label["active"]): value for label, value in found}
    assert listed == {
        ("10.0.0.1", "static", "false"): 1,
        ("10.0.0.2", "advertised", "true"): 1,
        ("10.0.0.3", "advertised", "true"): 1,
    }


def test_client_info_has_the_servers_source_and_the_api_version() -> None:
    found = values(samples(device(read(CLIENT))), "axis_ntp_client_info")
    assert found == [({"device": "lobby", "servers_source": "dhcp", "api_version": "1.5"}, 1)]


ADDRESSED = {("address", "10.9.8.7"), ("scheme", "https"), ("serial", "")}


def test_before_the_first_poll_there_are_only_counters_at_zero_and_the_address() -> None:
    assert samples(device()) == {
        ("axis_ntp_clock_steps_total", frozenset({("device", "lobby")})): 0,
        ("axis_ntp_polls_total", frozenset({("device", "lobby")})): 0,
        ("axis_ntp_poll_failures_total", frozenset({("device", "lobby")})): 0,
        ("axis_ntp_device_info", frozenset({("device", "lobby"), *ADDRESSED})): 1,
    }


def test_a_value_that_the_device_did_not_report_has_no_sample() -> None:
    found = samples(device(read(ntp_client())))
    assert names(found) == {
        "axis_ntp_up",
        "axis_ntp_client_present",
        "axis_ntp_server_present",
        "axis_ntp_client_info",
        "axis_ntp_clock_steps_total",
        "axis_ntp_polls_total",
        "axis_ntp_poll_failures_total",
        "axis_ntp_consecutive_failures",
        "axis_ntp_last_poll_timestamp_seconds",
        "axis_ntp_last_success_timestamp_seconds",
        "axis_ntp_poll_duration_seconds",
        "axis_ntp_device_info",
    }


def test_client_series_are_absent_without_a_client_section() -> None:
    found = samples(device(read(None)))
    assert values(found, "axis_ntp_client_present") == [({"device": "lobby"}, 0)]
    assert "axis_ntp_client_info" not in names(found)


def test_a_failed_poll_removes_the_reading_series_but_not_the_poll_series() -> None:
    found = samples(device(read(CLIENT), Unauthorized("HTTP 401", 401)))
    assert names(found) == {
        "axis_ntp_up",
        "axis_ntp_clock_steps_total",
        "axis_ntp_polls_total",
        "axis_ntp_poll_failures_total",
        "axis_ntp_api_errors_total",
        "axis_ntp_last_error",
        "axis_ntp_consecutive_failures",
        "axis_ntp_last_poll_timestamp_seconds",
        "axis_ntp_last_success_timestamp_seconds",
        "axis_ntp_poll_duration_seconds",
        "axis_ntp_device_info",
    }
    assert values(found, "axis_ntp_up") == [({"device": "lobby"}, 0)]
    error = {"device": "lobby", "reason": "unauthorized", "code": "401"}
    assert values(found, "axis_ntp_last_error") == [(error, 1)]
    assert values(found, "axis_ntp_api_errors_total") == [(error, 1)]


def test_after_a_recovery_the_error_count_stays_and_the_last_error_is_absent() -> None:
    found = samples(device(PollTimeout("late"), read(CLIENT)))
    error = {"device": "lobby", "reason": "timeout", "code": ""}
    assert values(found, "axis_ntp_api_errors_total") == [(error, 1)]
    assert "axis_ntp_last_error" not in names(found)


def test_each_parameter_that_differs_from_expect_has_a_sample() -> None:
    subject = device()
    subject.state.expect = Expect.model_validate({"enabled": False, "minpoll": 6, "maxpoll": 9})
    subject.state.record(outcome(1000.0, 0.25, read(CLIENT)))
    found = samples(subject)
    assert values(found, "axis_ntp_config_compliant") == [({"device": "lobby"}, 0)]
    parameters = {lb["parameter"] for lb, _ in values(found, "axis_ntp_config_mismatch")}
    assert parameters == {"enabled", "maxpoll"}


def test_a_device_that_meets_its_expect_is_compliant_until_a_poll_fails() -> None:
    subject = device()
    subject.state.expect = Expect.model_validate({"enabled": True})
    subject.state.record(outcome(1000.0, 0.25, read(CLIENT)))
    assert values(samples(subject), "axis_ntp_config_compliant") == [({"device": "lobby"}, 1)]
    assert "axis_ntp_config_mismatch" not in names(samples(subject))
    subject.state.record(outcome(1060.0, 0.25, PollTimeout("late")))
    assert "axis_ntp_config_compliant" not in names(samples(subject))


def test_compliance_is_absent_without_an_expect() -> None:
    assert "axis_ntp_config_compliant" not in names(samples(device(read(CLIENT))))


def test_the_labels_of_the_catalogue_are_reserved() -> None:
    reserving = [each for each in DEVICE_METRICS if not isinstance(each, IdentityMetric)]
    own = {label for metric in reserving for label in metric.labels}
    assert own | {"device"} <= RESERVED_LABELS


def test_the_identity_has_the_address_and_what_the_device_has_shown() -> None:
    subject = device(site="hq")
    shown = {"device": "lobby", "site": "hq", "address": "10.9.8.7", "scheme": "https"}
    found = samples(subject)
    assert values(found, "axis_ntp_device_info") == [({**shown, "serial": ""}, 1)]
    assert "axis_ntp_certificate_not_after_timestamp_seconds" not in names(found)
    subject.state.record(outcome(1000.0, 0.25, read(CLIENT))._replace(identity=IDENTITY))
    subject.state.record(outcome(1060.0, 0.25, PollTimeout("late")))
    found = samples(subject)
    assert values(found, "axis_ntp_device_info") == [({**shown, "serial": "B8A44F000001"}, 1)]
    assert values(found, "axis_ntp_certificate_not_after_timestamp_seconds") == [
        ({"device": "lobby", "site": "hq"}, 253402300799)
    ]


def test_the_identity_replaces_labels_of_the_device_with_the_same_names() -> None:
    subject = device(read(CLIENT), address="1 Main Street", serial="b8a44f000009", scheme="rtsp")
    [(labels, _)] = values(samples(subject), "axis_ntp_device_info")
    assert (labels["address"], labels["serial"], labels["scheme"]) == ("10.9.8.7", "", "https")
    [(labels, _)] = values(samples(subject), "axis_ntp_up")
    assert labels["address"] == "1 Main Street"


def test_the_identity_is_written_anew_only_when_it_has_changed() -> None:
    subject, exposition = device(read(CLIENT)), Exposition()
    exposition.refresh(subject)
    written: list[bytes] = []

    def form(text: bytes) -> bytes:
        written.append(text)
        return text

    def lines() -> list[bytes]:
        written.clear()
        list(exposition.pieces(NOW, openmetrics=False, form=form))
        return [line for line in written if line.startswith(b"axis_ntp_device_info{")]

    assert len(lines()) == 1
    subject.state.record(outcome(1060.0, 0.25, read(CLIENT)))
    exposition.refresh(subject)
    assert lines() == []
    subject.state.record(outcome(1120.0, 0.25, read(CLIENT))._replace(identity=IDENTITY))
    [line] = lines()
    assert b'serial="B8A44F000001"' in line
    subject.target = replace(subject.target, scheme="http")
    [line] = lines()
    assert b'scheme="http"' in line


def test_names_follow_prometheus_conventions() -> None:
    for metric in DEVICE_METRICS:
        assert metric.name.startswith("axis_ntp_")
        assert (metric.kind == "counter") == metric.name.endswith("_total")
        assert metric.help.endswith(".")


@pytest.mark.parametrize(
    ("part", "field"),
    [("settings", f.name) for f in fields(NtpSettings)]
    + [("status", f.name) for f in fields(NtpStatus)],
)
def test_a_change_of_any_single_field_is_exported(part: str, field: str) -> None:
    subject = device(read(CLIENT))
    exposition = Exposition()
    exposition.refresh(subject)
    changed = replace_fields(CLIENT, **{field: getattr(getattr(OTHER, part), field)})
    assert changed != CLIENT
    subject.state.record(outcome(2000.0, 0.25, read(changed)))
    exposition.refresh(subject)
    assert b"".join(exposition.pieces(NOW, openmetrics=False, form=bytes)).decode() == exposed(
        subject
    )


def test_a_scrape_after_changes_equals_a_first_scrape() -> None:
    fleet = [device(read(CLIENT), name=f"d{number}") for number in range(3)]
    exposition = Exposition()
    for each in fleet:
        exposition.refresh(each)

    def assert_equal() -> None:
        text = b"".join(exposition.pieces(NOW, openmetrics=False, form=bytes)).decode()
        assert text == exposed(*fleet)

    def poll(number: int) -> None:
        fleet[number].state.record(outcome(2000.0, 0.25, read(OTHER)))
        exposition.refresh(fleet[number])

    def replace_first() -> None:
        exposition.remove(fleet.pop(0))
        fleet.append(device(read(CLIENT), name="new"))
        exposition.refresh(fleet[-1])

    steps: list[Callable[[], None]] = [lambda: poll(1), lambda: poll(0), replace_first]
    assert_equal()
    for step in steps:
        step()
        assert_equal()
        assert_equal()


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_shortest_texts_equal_repr(values: list[float]) -> None:
    assert shortest_texts(values) == [repr(value) for value in values]


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-4, 9.9e-5, 1e-5, 1e15, 1e16, 123.0, 5e-324])
def test_shortest_texts_equal_repr_at_the_edges(value: float) -> None:
    assert shortest_texts([value, -value]) == [repr(value), repr(-value)]


def test_texts_of_settings_that_no_device_has_any_more_are_dropped() -> None:
    subject = device(read(CLIENT))
    exposition = Exposition()
    for number in range(50):
        client = replace_fields(CLIENT, static_servers=(f"10.0.0.{number}",))
        subject.state.record(outcome(2000.0 + number, 0.25, read(client)))
        exposition.refresh(subject)
    assert len(exposition._shared) == 1


def test_after_a_step_of_the_hosts_clock_every_time_is_right_at_the_next_scrape() -> None:
    subject = device(read(CLIENT))
    subject.state.next_poll_steady = 120.0
    exposition = Exposition()
    exposition.refresh(subject)
    for step in (0, 7200, -7200):
        now = HostTime(NOW.steady_ns, NOW.unix_ns + step * SECOND_NS)
        text = b"".join(exposition.pieces(now, openmetrics=False, form=bytes)).decode()
        times = re.findall(r"^axis_ntp_(\w+)_timestamp_seconds.* (\S+)$", text, re.MULTILINE)
        assert times == [
            ("time_offset_last_change", f"{1000.25 + step:.3f}"),
            ("last_poll", f"{1000.25 + step:.3f}"),
            ("last_success", f"{1000.25 + step:.3f}"),
            ("next_poll", f"{1120 + step:.3f}"),
        ]
