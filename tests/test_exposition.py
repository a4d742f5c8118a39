"""From states to samples: every series of the catalogue, and absent beats wrong."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.clock import SECOND_NS
from exporter.config import Expect
from exporter.device import Device, Target
from exporter.exposition import DEVICES_IN_A_PIECE, Exposition
from exporter.host_clock import HostTime
from exporter.labels import RESERVED_LABELS
from exporter.metrics import DEVICE_METRICS
from exporter.reading import NtpClientReading, Reading
from exporter.state import DeviceState, Outcome
from exporter.vapix.errors import DeviceError, PollTimeout, Unauthorized, UnexpectedStatus
from exporter.vapix.sighting import Sighting
from tests.oracle import DeviceCollector
from tests.outcomes import outcome

CLIENT = NtpClientReading(
    enabled=True,
    nts_enabled=False,
    servers_source="dhcp",
    static_servers_max=5,
    static_servers=("10.0.0.1",),
    advertised_servers=("10.0.0.2", "10.0.0.3"),
    nts_ke_servers=(),
    synced=True,
    time_to_next_sync_seconds=44.0,
    offset_seconds=-0.01234,
    minpoll=6,
    maxpoll=10,
)
OTHER = NtpClientReading(
    enabled=False,
    nts_enabled=True,
    servers_source="static",
    static_servers_max=4,
    static_servers=("10.0.0.4",),
    advertised_servers=(),
    nts_ke_servers=("10.0.0.5",),
    nts_ke_ca_certs=("ca",),
    minpoll=3,
    maxpoll=4,
    synced=None,
    time_to_next_sync_seconds=1.0,
    offset_seconds=2.0,
)
NOW = HostTime(steady_ns=60 * SECOND_NS, unix_ns=1060 * SECOND_NS)
MANY = 2 * DEVICES_IN_A_PIECE + 1
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def device(*results: Reading | DeviceError, name: str = "lobby", **labels: str) -> Device:
    state = DeviceState()
    for result in results:
        state.record(outcome(1000.0, 0.25, result))
    return Device(Target(name, "10.9.8.7", labels, 60, 10), Any, state)  # type: ignore[arg-type]


def exposed(*devices: Device, openmetrics: bool = False) -> str:
    exposition = Exposition()
    for each in devices:
        exposition.refresh(each)
    text = b"".join(exposition.pieces(NOW, openmetrics=openmetrics)).decode()
    return f"{text}# EOF\n" if openmetrics else text


def samples(*devices: Device) -> Samples:
    found: Samples = {}
    for family in parse_text(exposed(*devices)):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, f"{key} stands twice"
            found[key] = sample.value
    return found


def values(found: Samples, name: str) -> list[tuple[dict[str, str], float]]:
    return [(dict(labels), value) for (each, labels), value in found.items() if each == name]


def names(found: Samples) -> set[str]:
    return {name for name, _ in found}


def read(client: NtpClientReading | None, version: str | None = "1.5") -> Reading:
    return Reading(version, client, server_present=False)


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
def test_a_good_poll_gives_the_sample_with_the_devices_labels(name: str, value: float) -> None:
    found = samples(device(read(CLIENT), site="hq"))
    assert values(found, name) == [({"device": "lobby", "site": "hq"}, value)]


def test_servers_are_counted_by_source() -> None:
    found = samples(device(read(CLIENT)))
    counts = {labels["source"]: value for labels, value in values(found, "axis_ntp_servers")}
    assert counts == {"static": 1, "advertised": 2, "nts_ke": 0}


def test_every_server_is_named_with_whether_it_is_in_force() -> None:
    found = values(samples(device(read(CLIENT))), "axis_ntp_server_info")
    listed = {(label["server"], label["source"], label["active"]): value for label, value in found}
    assert listed == {
        ("10.0.0.1", "static", "false"): 1,
        ("10.0.0.2", "advertised", "true"): 1,
        ("10.0.0.3", "advertised", "true"): 1,
    }


def test_the_client_is_described() -> None:
    found = values(samples(device(read(CLIENT))), "axis_ntp_client_info")
    assert found == [({"device": "lobby", "servers_source": "dhcp", "api_version": "1.5"}, 1)]


def test_before_the_first_poll_only_the_counters_stand_at_zero() -> None:
    assert samples(device()) == {
        ("axis_ntp_clock_steps_total", frozenset({("device", "lobby")})): 0,
        ("axis_ntp_polls_total", frozenset({("device", "lobby")})): 0,
        ("axis_ntp_poll_failures_total", frozenset({("device", "lobby")})): 0,
    }


def test_what_the_device_did_not_say_has_no_sample() -> None:
    found = samples(device(read(NtpClientReading())))
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
    }


def test_without_a_client_section_its_series_are_absent() -> None:
    found = samples(device(read(None)))
    assert values(found, "axis_ntp_client_present") == [({"device": "lobby"}, 0)]
    assert "axis_ntp_client_info" not in names(found)


def test_after_a_failed_poll_the_readings_series_vanish_and_the_polls_stay() -> None:
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
    }
    assert values(found, "axis_ntp_up") == [({"device": "lobby"}, 0)]
    error = {"device": "lobby", "reason": "unauthorized", "code": "401"}
    assert values(found, "axis_ntp_last_error") == [(error, 1)]
    assert values(found, "axis_ntp_api_errors_total") == [(error, 1)]


def test_after_a_recovery_the_count_of_errors_stays_and_the_last_error_goes() -> None:
    found = samples(device(PollTimeout("late"), read(CLIENT)))
    error = {"device": "lobby", "reason": "timeout", "code": ""}
    assert values(found, "axis_ntp_api_errors_total") == [(error, 1)]
    assert "axis_ntp_last_error" not in names(found)


def test_a_deviating_device_names_the_parameters() -> None:
    subject = device()
    subject.state.expect = Expect.model_validate({"enabled": False, "minpoll": 6, "maxpoll": 9})
    subject.state.record(outcome(1000.0, 0.25, read(CLIENT)))
    found = samples(subject)
    assert values(found, "axis_ntp_config_compliant") == [({"device": "lobby"}, 0)]
    parameters = {lb["parameter"] for lb, _ in values(found, "axis_ntp_config_mismatch")}
    assert parameters == {"enabled", "maxpoll"}


def test_a_device_as_expected_is_compliant_until_a_poll_fails() -> None:
    subject = device()
    subject.state.expect = Expect.model_validate({"enabled": True})
    subject.state.record(outcome(1000.0, 0.25, read(CLIENT)))
    assert values(samples(subject), "axis_ntp_config_compliant") == [({"device": "lobby"}, 1)]
    assert "axis_ntp_config_mismatch" not in names(samples(subject))
    subject.state.record(outcome(1060.0, 0.25, PollTimeout("late")))
    assert "axis_ntp_config_compliant" not in names(samples(subject))


def test_without_an_expectation_there_is_no_compliance() -> None:
    assert "axis_ntp_config_compliant" not in names(samples(device(read(CLIENT))))


def test_the_labels_of_the_catalogue_are_reserved() -> None:
    own = {label for metric in DEVICE_METRICS for label in metric.labels}
    assert own | {"device"} <= RESERVED_LABELS


def test_names_follow_prometheus_conventions() -> None:
    for metric in DEVICE_METRICS:
        assert metric.name.startswith("axis_ntp_")
        assert (metric.kind == "counter") == metric.name.endswith("_total")
        assert metric.help.endswith(".")


texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


@given(texts, texts, st.lists(texts, max_size=3, unique=True))
def test_any_text_as_name_label_or_server_reads_back_the_same(
    name: str, label: str, servers: list[str]
) -> None:
    client = NtpClientReading(servers_source="static", static_servers=tuple(servers))
    subject = device(read(client), name=name, site=label)
    expected = {(name, label, server) for server in servers}
    for parse, openmetrics in ((parse_text, False), (parse_openmetrics, True)):
        families = parse(exposed(subject, openmetrics=openmetrics))
        read_back = {
            (each.labels["device"], each.labels["site"], each.labels["server"])
            for family in families
            for each in family.samples
            if each.name == "axis_ntp_server_info"
        }
        assert read_back == expected


readings = st.builds(
    Reading,
    api_version=st.none() | st.sampled_from(["1.0", "1.5"]),
    client=st.none()
    | st.builds(
        NtpClientReading,
        enabled=st.none() | st.booleans(),
        nts_enabled=st.none() | st.booleans(),
        servers_source=st.none() | st.sampled_from(["static", "dhcp", "other"]),
        static_servers_max=st.none() | st.integers(0, 100),
        static_servers=st.none() | st.lists(texts, max_size=3, unique=True).map(tuple),
        advertised_servers=st.none() | st.lists(texts, max_size=3, unique=True).map(tuple),
        nts_ke_servers=st.none() | st.lists(texts, max_size=3, unique=True).map(tuple),
        synced=st.none() | st.booleans(),
        time_to_next_sync_seconds=st.none() | st.floats(0, 1e6),
        offset_seconds=st.none() | st.floats(-1e9, 1e9),
        minpoll=st.none() | st.integers(0, 24),
        maxpoll=st.none() | st.integers(0, 24),
    ),
    server_present=st.booleans(),
)
faults = st.builds(UnexpectedStatus, st.just("x"), st.none() | st.integers(100, 599))
outcomes = st.builds(
    outcome,
    began_unix=st.floats(0, 4e9),
    seconds=st.floats(0, 100),
    result=readings | faults,
    began_steady=st.floats(0, 1e6),
    sightings=st.just(()) | st.just((Sighting(0, 1, "Thu, 01 Jan 1970 00:16:40 GMT"),)),
)
subjects = st.tuples(
    texts, st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), texts, max_size=2)
)


def by_oracle(devices: list[Device], *, openmetrics: bool) -> str:
    registry = CollectorRegistry()
    registry.register(DeviceCollector(devices, NOW))
    encode: Any = generate_openmetrics if openmetrics else generate_latest
    text: str = encode(registry).decode()
    return text


def read_back(text: str, *, openmetrics: bool) -> dict[str, object]:
    parse: Any = parse_openmetrics if openmetrics else parse_text
    return {
        family.name: (
            family.type,
            family.documentation,
            {(s.name, frozenset(s.labels.items())): s.value for s in family.samples},
        )
        for family in parse(text)
    }


@given(
    st.lists(subjects, max_size=3, unique_by=lambda each: each[0]),
    st.lists(st.tuples(st.integers(0, 2), outcomes), max_size=8),
)
def test_whatever_happens_to_devices_it_exposes_what_prometheus_client_would(
    named: list[tuple[str, dict[str, str]]], history: list[tuple[int, Outcome]]
) -> None:
    devices = [device(name=name, **labels) for name, labels in named if "name" not in labels]
    exposition = Exposition()
    for each in devices:
        exposition.refresh(each)
    for place, ended in history:
        if place < len(devices):
            devices[place].state.record(ended)
            exposition.refresh(devices[place])
    for openmetrics in (False, True):
        text = b"".join(exposition.pieces(NOW, openmetrics=openmetrics)).decode()
        ours = read_back(f"{text}# EOF\n" if openmetrics else text, openmetrics=openmetrics)
        assert ours == read_back(
            by_oracle(devices, openmetrics=openmetrics), openmetrics=openmetrics
        )


@pytest.mark.parametrize("field", NtpClientReading._fields)
def test_a_change_of_any_one_field_is_told(field: str) -> None:
    subject = device(read(CLIENT))
    exposition = Exposition()
    exposition.refresh(subject)
    changed = CLIENT._replace(**{field: getattr(OTHER, field)})
    assert changed != CLIENT
    subject.state.record(outcome(2000.0, 0.25, read(changed)))
    exposition.refresh(subject)
    assert b"".join(exposition.pieces(NOW, openmetrics=False)).decode() == exposed(subject)


def test_a_fleet_of_many_pieces_has_each_family_once_and_every_device() -> None:
    devices = [device(read(CLIENT), name=f"camera-{n}") for n in range(DEVICES_IN_A_PIECE * 2 + 1)]
    text = exposed(*devices)
    assert text.count("# TYPE axis_ntp_up gauge\n") == 1
    assert text.count("\naxis_ntp_up{") == len(devices)


def test_a_scrape_under_way_sees_one_state_of_a_device() -> None:
    subject = device(read(CLIENT))
    exposition = Exposition()
    exposition.refresh(subject)
    pieces = exposition.pieces(NOW, openmetrics=False)
    first = next(pieces) + next(pieces)
    subject.state.record(outcome(2000.0, 0.25, PollTimeout("late")))
    exposition.refresh(subject)
    text = (first + b"".join(pieces)).decode()
    assert 'axis_ntp_up{device="lobby"} 1.0' in text
    assert 'axis_ntp_polls_total{device="lobby"} 1.0' in text
    assert "axis_ntp_last_error" not in text


def test_each_of_many_devices_is_told_as_it_was_at_one_moment() -> None:
    seen = Sighting(0, 1, "Thu, 01 Jan 1970 00:16:40 GMT")
    exposition, devices = Exposition(), [device(name=f"d{n}") for n in range(MANY)]
    for each in devices:
        each.state.record(outcome(1000.0, 0.25, read(CLIENT), sightings=(seen,)))
        exposition.refresh(each)
    pieces = exposition.pieces(NOW, openmetrics=False)
    text = next(pieces)
    devices[-1].state.record(outcome(2000.0, 0.25, PollTimeout("late")))
    exposition.refresh(devices[-1])
    told = [
        line for line in (text + b"".join(pieces)).decode().splitlines() if f'"d{MANY - 1}"' in line
    ]
    told_down = any(line.startswith("axis_ntp_up{") and line.endswith(" 0.0") for line in told)
    told_clock = any(line.startswith("axis_ntp_clock_offset_seconds{") for line in told)
    assert told_down is not told_clock


def test_a_piece_is_a_thousand_devices_at_most() -> None:
    exposition = Exposition()
    for number in range(MANY):
        exposition.refresh(device(read(CLIENT), name=f"d{number}"))
    pieces = [*exposition.pieces(NOW, openmetrics=False)]
    assert max(piece.count(b'{device="') for piece in pieces) <= 3 * 1000
    assert len(pieces) > MANY / 1000 * len(DEVICE_METRICS) / 2


def test_an_offset_and_its_uncertainty_are_of_one_moment_whatever_comes_between() -> None:
    subject = device()
    seen = Sighting(0, 1, "Thu, 01 Jan 1970 00:16:40 GMT")
    subject.state.record(outcome(1000.0, 0.25, read(CLIENT), sightings=(seen,)))
    exposition = Exposition()
    exposition.refresh(subject)
    at_once = b"".join(exposition.pieces(NOW, openmetrics=False)).decode()
    text = ""
    for number, piece in enumerate(exposition.pieces(NOW, openmetrics=False)):
        text += piece.decode()
        later = Sighting(number * SECOND_NS, number * SECOND_NS + 1, "nonsense")
        subject.state.record(
            outcome(1060.0, 0.25, PollTimeout("late"), sightings=(later,) * (number % 2))
        )
    assert [line for line in text.splitlines() if "clock_offset" in line] == [
        line for line in at_once.splitlines() if "clock_offset" in line
    ]
