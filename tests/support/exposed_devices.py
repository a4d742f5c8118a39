"""Devices with readings, and their exposed series."""

from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.clock.host import HostTime
from exporter.clock.offset import SECOND_NS
from exporter.devices.device import Device
from exporter.metrics.exposition import Exposition
from exporter.vapix.errors import DeviceError
from exporter.vapix.ntp_info import NtpClientReading, Reading
from tests.support.devices import make_device, outcome
from tests.support.readings import ntp_client

CLIENT = ntp_client(
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


OTHER = ntp_client(
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


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def device(*results: Reading | DeviceError, name: str = "lobby", **labels: str) -> Device:
    made = make_device(name, address="10.9.8.7", labels=labels)
    for result in results:
        made.state.record(outcome(1000.0, 0.25, result))
    return made


def exposed(*devices: Device, openmetrics: bool = False) -> str:
    exposition = Exposition()
    for each in devices:
        exposition.refresh(each)
    text = b"".join(exposition.pieces(NOW, openmetrics=openmetrics, form=bytes)).decode()
    return f"{text}# EOF\n" if openmetrics else text


def samples(*devices: Device) -> Samples:
    found: Samples = {}
    for family in parse_text(exposed(*devices)):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, f"{key} is exposed twice"
            found[key] = sample.value
    return found


def values(found: Samples, name: str) -> list[tuple[dict[str, str], float]]:
    return [(dict(labels), value) for (each, labels), value in found.items() if each == name]


def names(found: Samples) -> set[str]:
    return {name for name, _ in found}


def read(client: NtpClientReading | None, version: str | None = "1.5") -> Reading:
    return Reading(version, client, server_present=False)
