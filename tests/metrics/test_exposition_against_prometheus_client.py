"""prometheus-client as the oracle: whatever the states, the same samples, types and help."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.clock.http_time import ResponseTimes
from exporter.devices.device import Device
from exporter.devices.state import PollOutcome
from exporter.metrics.exposition import Exposition
from exporter.vapix.errors import UnexpectedStatus
from exporter.vapix.ntp_info import Reading
from tests.support.devices import outcome
from tests.support.exposed_devices import (
    NOW,
    device,
    exposed,
    read,
)
from tests.support.oracle import DeviceCollector
from tests.support.readings import ntp_client

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


@given(texts, texts, st.lists(texts, max_size=3, unique=True))
def test_any_text_as_name_label_or_server_reads_back_the_same(
    name: str, label: str, servers: list[str]
) -> None:
    client = ntp_client(servers_source="static", static_servers=tuple(servers))
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
        ntp_client,
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
    responses=st.just(()) | st.just((ResponseTimes(0, 1, "Thu, 01 Jan 1970 00:16:40 GMT"),)),
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
    named: list[tuple[str, dict[str, str]]], history: list[tuple[int, PollOutcome]]
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
        text = b"".join(exposition.pieces(NOW, openmetrics=openmetrics, form=bytes)).decode()
        ours = read_back(f"{text}# EOF\n" if openmetrics else text, openmetrics=openmetrics)
        assert ours == read_back(
            by_oracle(devices, openmetrics=openmetrics), openmetrics=openmetrics
        )
