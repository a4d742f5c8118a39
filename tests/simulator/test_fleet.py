import re
import resource
from collections import Counter
from typing import Any

import pytest

from exporter.simulator.faults import FAULTS, UnknownFaultError
from exporter.simulator.fleet import FleetError, build_fleet, raise_file_limit, serve_fleet
from exporter.simulator.scenarios import CAUSES, SCENARIOS, Member, UnknownScenarioError
from tests.simulator.conftest import START, ManualClock
from tests.simulator.raw_client import call, connect, log_in, trusting_context

INFO = call("getNTPInfo")


def test_a_healthy_fleet_has_no_faults_and_clocks_within_5_ms() -> None:
    fleet = build_fleet(200, host_nanoseconds=ManualClock())
    offsets = [device.clock.offset_seconds for device in fleet.devices]
    assert {device.fault for device in fleet.devices} == {None}
    assert max(map(abs, offsets)) <= 0.005
    assert len(set(offsets)) > 100


def test_a_fault_scenario_gives_every_device_that_fault() -> None:
    fleet = build_fleet(3, "fault:hang")
    assert [device.fault for device in fleet.devices] == ["hang"] * 3


def test_a_mixed_fleet_has_every_fault_in_turn() -> None:
    fleet = build_fleet(len(FAULTS) + 2, "mixed")
    states = [device.fault for device in fleet.devices]
    assert states == [None, *FAULTS, None]
    assert [member.labels["state"] for member in fleet.members][:2] == ["healthy", "not_synced"]


def test_the_demo_has_twenty_devices_some_with_faults() -> None:
    fleet = build_fleet(20, "demo")
    faults = {device.name: device.fault for device in fleet.devices if device.fault}
    assert faults == {
        "stairwell-1": "not_synced",
        "cafeteria": "client_disabled",
        "dock-2": "hang",
        "dock-4": "server_dead",
        "cold-store": "not_found",
        "gate": "no_servers",
        "till-2": "stepped",
    }
    assert fleet.device("garage-entry").login.password != "pass"
    assert fleet.device("dock-4").clock.offset_seconds == pytest.approx(-1.8, abs=0.01)
    assert {member.labels["site"] for member in fleet.members} == {"hq", "warehouse", "shop"}
    assert all(member.labels.keys() == {"site", "building"} for member in fleet.members)


def test_the_demo_device_with_a_dead_server_reports_a_good_time_offset() -> None:
    host = ManualClock()
    device = build_fleet(20, "demo", host_nanoseconds=host).device("dock-4")
    section = device.client.section(START)
    assert section["synced"] is True
    assert abs(float(str(section["timeOffset"]))) < 6


def test_a_bad_day_has_160_of_400_devices_broken_in_ten_ways_each_at_one_site() -> None:
    fleet = build_fleet(SCENARIOS["bad-day"].devices, "bad-day", host_nanoseconds=ManualClock())
    broken = Counter(map(cause_of, fleet.members))
    healthy = broken.pop(None)
    assert (len(fleet.members), healthy) == (400, 240)
    assert broken == {(cause.fault or cause.what, cause.site): 16 for cause in CAUSES}
    assert len(broken) == 10
    assert len({member.labels["site"] for member in fleet.members}) == 8
    ahead = {round(each.clock.offset_seconds) for each in fleet.devices if each.fault == "stepped"}
    assert ahead == {3}


def cause_of(member: Member) -> tuple[str, str] | None:
    """Return the fault of a device, or what else is wrong with it, and its site."""
    if member.device.login.password != "pass":
        return "the password was changed", member.labels["site"]
    if "nts_enabled" in member.expect:
        return "NTS is disabled against `expect`", member.labels["site"]
    return (member.device.fault, member.labels["site"]) if member.device.fault else None


def test_a_smaller_bad_day_has_every_cause() -> None:
    fleet = build_fleet(25, "bad-day")
    assert [member.labels["site"] for member in fleet.members[:10]] == [
        each.site for each in CAUSES
    ]
    assert all(cause_of(member) for member in fleet.members[:10])
    assert not any(cause_of(member) for member in fleet.members[10:])


async def test_a_bad_day_expects_the_time_servers_that_each_device_should_use() -> None:
    fleet = build_fleet(25, "bad-day")
    async with serve_fleet(fleet) as served:
        devices = served.exporter_config()["devices"]
        *alive, dead = served.time_servers
    for member, device in zip(fleet.members, devices, strict=True):
        expected = [dead] if member.uses_dead_servers else alive
        assert device["expect"]["static_servers"] == expected
        configured = member.device.client.configuration.static_servers
        assert configured == ([] if member.device.fault == "no_servers" else expected)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_device_names_and_macs_are_unique(scenario: str) -> None:
    fleet = build_fleet(100, scenario)
    assert len({device.name for device in fleet.devices}) == 100
    assert len({device.mac for device in fleet.devices}) == 100


def test_an_unknown_scenario_is_an_error_with_its_name() -> None:
    with pytest.raises(UnknownScenarioError, match="unknown scenario 'sunny'"):
        build_fleet(1, "sunny")
    with pytest.raises(UnknownFaultError, match="unknown fault 'rust'"):
        build_fleet(1, "fault:rust")


def test_the_password_is_not_in_the_repr() -> None:
    fleet = build_fleet(1, password="s3cret")
    assert "s3cret" not in repr(fleet)


@pytest.mark.parametrize("spread", ["port", "address", "shared"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_each_device_has_its_own_address(spread: str, scheme: str) -> None:
    fleet = build_fleet(3, scheme=scheme, auth="digest")
    tls = trusting_context() if scheme == "https" else None
    async with serve_fleet(fleet, host="127.3.2.1", spread=spread) as served:
        for address in served.addresses:
            async with await connect(address, tls) as connection:
                assert (await log_in(connection, INFO)).status == 200
    assert len(set(served.addresses)) == 3
    assert [device.requests.total for device in fleet.devices] == [2, 2, 2]
    hosts = {address.split(":")[0] for address in served.addresses}
    expected = {"127.3.2.1", "127.3.2.2", "127.3.2.3"} if spread != "port" else {"127.3.2.1"}
    assert hosts == expected
    if spread != "port":
        assert len({address.split(":")[1] for address in served.addresses}) == 1


async def test_a_shared_socket_closes_connections_to_other_addresses() -> None:
    async with serve_fleet(build_fleet(1), host="127.3.2.1", spread="shared") as served:
        port = served.addresses[0].split(":")[1]
        async with await connect(f"127.3.2.2:{port}") as connection:
            assert await connection.rest() == b""


async def test_ports_are_consecutive() -> None:
    async with serve_fleet(build_fleet(1)) as probe:
        free = int(probe.addresses[0].split(":")[1])
    # No other program uses this address, so the ports after a free one are free as well.
    async with serve_fleet(build_fleet(3), host="127.3.2.9", port=free) as served:
        assert served.addresses == [f"127.3.2.9:{free + index}" for index in range(3)]


@pytest.mark.parametrize("count", [2, 201])
async def test_devices_share_a_certificate_only_in_large_fleets(count: int) -> None:
    fleet = build_fleet(count, scheme="https")
    certificates = set()
    async with serve_fleet(fleet) as served:
        for address in (served.addresses[0], served.addresses[-1]):
            async with await connect(address, trusting_context()) as connection:
                tls = connection.writer.get_extra_info("ssl_object")
                certificates.add(tls.getpeercert(binary_form=True))
    assert len(certificates) == (2 if count == 2 else 1)


@pytest.mark.parametrize(
    ("count", "named", "message"),
    [
        (0, {}, "a fleet needs at least one device"),
        (3, {"port": 65_534}, "3 devices from port 65534 on go beyond port 65535"),
        (
            3,
            {"host": "127.255.255.254", "spread": "address"},
            "3 addresses from 127.255.255.254 on are not all loopback addresses",
        ),
        (1, {"host": "0.0.0.0", "spread": "shared"}, "1 addresses from 0.0.0.0 on are not all"),
    ],
)
async def test_a_fleet_with_too_few_addresses_is_an_error(
    count: int, named: dict[str, Any], message: str
) -> None:
    with pytest.raises(FleetError, match=re.escape(message)):
        async with serve_fleet(build_fleet(count), **named):
            pass


def test_too_few_open_files_are_an_error_with_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 1_000))
    with pytest.raises(FleetError, match="1000 devices need 1064 open files, the limit is 1000"):
        raise_file_limit(1_000)


async def test_the_address_of_a_device_is_found_by_its_name() -> None:
    async with serve_fleet(build_fleet(2)) as served:
        assert served.address("sim-00002") == served.addresses[1]


async def test_the_exporters_config_lists_the_fleet() -> None:
    async with serve_fleet(build_fleet(1, "demo")) as served:
        assert served.exporter_config() == {
            "global": {"interval": "10s", "timeout": "5s"},
            "modules": {
                "default": {"scheme": "http", "auth": {"username": "root", "password": "pass"}}
            },
            "devices": [
                {
                    "address": served.addresses[0],
                    "name": "lobby",
                    "labels": {"site": "hq", "building": "north"},
                }
            ],
            "time_servers": {"servers": served.time_servers, "interval": "16s"},
        }


async def test_the_exporters_config_skips_verification_and_doubles_dollars() -> None:
    fleet = build_fleet(1, scheme="https", password="${HOME}")
    async with serve_fleet(fleet) as served:
        module = served.exporter_config(interval="1s", timeout="1s")["modules"]["default"]
    assert module == {
        "scheme": "https",
        "auth": {"username": "root", "password": "$${HOME}"},
        "tls_config": {"insecure_skip_verify": True},
    }
