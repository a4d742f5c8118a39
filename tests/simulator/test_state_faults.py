"""Faults that show in the API's data or in the clock."""

import json

import pytest

from exporter.simulator.api import MESSAGES
from exporter.simulator.faults import FAULTS, UnknownFaultError
from tests.simulator.conftest import START, Bench, BenchMaker, header, nonce_microseconds
from tests.simulator.raw_client import call, parameters
from tests.simulator.test_api import error


@pytest.fixture
def started(bench: Bench) -> Bench:
    bench.client()
    return bench


@pytest.mark.parametrize("fault", ["not_synced", "no_servers", "client_disabled"])
def test_a_client_that_never_synchronized_returns_zeros(started: Bench, fault: str) -> None:
    started.device.fault = fault
    started.host.advance(500)
    client = started.client()
    assert (client["synced"], client["timeToNextSync"], client["timeOffset"]) == (False, 0, 0.0)
    assert client["enabled"] is (fault != "client_disabled")
    assert bool(client["staticServers"]) is (fault != "no_servers")


def test_without_a_client_section_data_is_empty(bench: Bench) -> None:
    bench.device.fault = "no_client_section"
    assert bench.ask()["data"] == {}


def test_string_booleans_are_strings(bench: Bench) -> None:
    bench.device.fault = "string_booleans"
    client = bench.client()
    assert [client[n] for n in ("enabled", "NTSEnabled", "synced")] == ["true", "false", "true"]


def test_a_clock_drifts_from_the_moment_the_fault_is_set(started: Bench) -> None:
    started.host.advance(1_000)
    started.device.fault = "drifting"
    started.host.advance(1_000)
    assert started.device.clock.offset_seconds == pytest.approx(0.05)


def test_a_step_shows_in_the_date_but_not_yet_in_time_offset(started: Bench) -> None:
    before = header(started.reply(b""), "Date")
    started.device.fault = "stepped"
    assert (before, header(started.reply(b""), "Date")) == (
        "Tue, 14 Nov 2023 22:13:20 GMT",
        "Tue, 14 Nov 2023 22:13:23 GMT",
    )
    assert abs(started.client()["timeOffset"]) < 0.1


def test_a_dead_server_leaves_synced_true_and_time_offset_unchanged(started: Bench) -> None:
    before = started.client()
    started.device.fault = "server_dead"
    started.host.advance(86_400)
    after = started.client()
    assert (after["synced"], after["timeOffset"]) == (True, before["timeOffset"])
    assert 0 <= after["timeToNextSync"] < 64
    assert started.device.clock.offset_seconds == pytest.approx(4.32)


def test_a_client_with_a_dead_server_has_synchronized_once(make_bench: BenchMaker) -> None:
    assert make_bench(fault="server_dead").client()["synced"] is True


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_can_be_removed(started: Bench, fault: str) -> None:
    before = started.reply(call("getNTPInfo"))
    started.device.fault = fault
    started.device.fault = None
    after = started.reply(call("getNTPInfo"))
    changing = {"timeOffset", "timeToNextSync"}
    first, second = (json.loads(reply.body)["data"]["client"] for reply in (before, after))
    assert {k: v for k, v in first.items() if k not in changing} == {
        k: v for k, v in second.items() if k not in changing
    }
    assert before.headers == after.headers
    assert started.device.clock.drift_ppm == 0


def test_a_new_fault_replaces_the_old_one(bench: Bench) -> None:
    bench.device.fault = "client_disabled"
    bench.device.fault = "stepped"
    assert bench.client()["enabled"] is True
    assert bench.device.fault == "stepped"


def test_an_unknown_fault_is_an_error_and_the_old_one_stays(bench: Bench) -> None:
    bench.device.fault = "hang"
    with pytest.raises(UnknownFaultError, match="unknown fault 'huh'"):
        bench.device.fault = "huh"
    assert bench.device.fault == "hang"


@pytest.mark.parametrize("code", [code for code in MESSAGES if code != 4001])
def test_an_api_error_is_returned_for_every_method(bench: Bench, code: int) -> None:
    bench.device.fault = f"api_error_{code}"
    for method in ("getNTPInfo", "getSupportedVersions", "setNTPClientConfiguration"):
        reply = bench.reply(call(method, context="abc"))
        assert reply.status == (500 if code == 1000 else 200)
        document = json.loads(reply.body)
        assert document["context"] == "abc"
        assert document["error"] == {"code": code, "message": MESSAGES[code]}


def test_with_permanent_error_4001_only_version_2_is_supported(bench: Bench) -> None:
    bench.device.fault = "api_error_4001"
    assert error(bench.ask()) == (4001, None)
    assert bench.ask("getSupportedVersions")["data"] == {"apiVersions": ["2.0"]}


def test_the_version_can_be_negotiated(bench: Bench) -> None:
    bench.device.fault = "version_negotiation"
    assert error(bench.ask(version="1.0")) == (4001, None)
    (listed,) = bench.ask("getSupportedVersions")["data"]["apiVersions"]
    assert bench.ask(version=listed)["apiVersion"] == "1.5"


@pytest.mark.parametrize("sub_code", range(1, 10))
def test_a_set_error_has_its_sub_code_and_reading_works(bench: Bench, sub_code: int) -> None:
    bench.device.fault = f"set_error_subcode_{sub_code}"
    assert error(bench.set(enabled=False)) == (4004, sub_code)
    assert bench.client()["enabled"] is True


def test_an_ignored_change_is_confirmed_but_not_made(bench: Bench) -> None:
    bench.device.fault = "set_ignored"
    assert bench.set(enabled=False)["data"] == {}
    assert bench.client()["enabled"] is True
    assert error(bench.set(enabled="no")) == (4004, 1)


def test_a_late_change_is_confirmed_before_it_shows(bench: Bench) -> None:
    bench.device.fault = "set_late"
    assert bench.set(enabled=False)["data"] == {}
    bench.host.advance(1.9)
    assert bench.client()["enabled"] is True
    bench.host.advance(0.1)
    assert bench.client()["enabled"] is False


def test_set_unauthorized_rejects_every_request_after_the_first_change(
    make_bench: BenchMaker,
) -> None:
    bench = make_bench(auth="basic", fault="set_unauthorized")
    login = {"authorization": "Basic cm9vdDpwYXNz"}
    change = call("setNTPClientConfiguration", params={"enabled": False})
    assert bench.reply(call("getNTPInfo"), **login).status == 200
    assert bench.reply(change, **login).status == 401
    assert bench.reply(call("getNTPInfo"), **login).status == 401
    assert bench.device.client.configuration.enabled is True
    bench.device.fault = None
    assert bench.reply(call("getNTPInfo"), **login).status == 200


def test_a_foreign_nonce_contains_a_different_time_than_the_date(make_bench: BenchMaker) -> None:
    challenge = header(
        make_bench(auth="digest", fault="foreign_nonce").reply(b""), "WWW-Authenticate"
    )
    nonce = parameters(challenge)["nonce"]
    assert nonce_microseconds(nonce) == START // 1_000 + 3_600_000_000


@pytest.mark.parametrize(
    ("fault", "date"),
    [
        ("date_rfc850", "Tuesday, 14-Nov-23 22:13:20 GMT"),
        ("date_asctime", "Tue Nov 14 22:13:20 2023"),
        ("date_nonsense", "half past eight"),
    ],
)
def test_dates_can_have_other_formats(bench: Bench, fault: str, date: str) -> None:
    bench.device.fault = fault
    assert header(bench.reply(b""), "Date") == date


def test_a_date_can_be_missing(bench: Bench) -> None:
    bench.device.fault = "date_absent"
    assert "Date" not in dict(bench.reply(b"").headers)


@pytest.mark.parametrize(
    ("year_seconds", "date"),
    [
        (1, "Thu, 01 Jan 1970 00:00:01 GMT"),
        (4_294_967_296, "Sun, 07 Feb 2106 06:28:16 GMT"),
    ],
)
def test_the_date_is_right_far_from_now(bench: Bench, year_seconds: int, date: str) -> None:
    bench.device.clock.step(year_seconds - START // 1_000_000_000)
    assert header(bench.reply(b""), "Date") == date
