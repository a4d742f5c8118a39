import json
from typing import Any

import pytest

from exporter.simulator.api import MAXIMUM_BODY_BYTES
from exporter.simulator.ntp_client import OLD_FIRMWARE
from tests.simulator.conftest import Bench, BenchMaker, header

# Recorded from a device with AXIS OS 12.11.
FIELDS_12_11 = [
    "enabled",
    "NTSEnabled",
    "serversSource",
    "maxSupportedStaticServers",
    "staticServers",
    "advertisedServers",
    "staticNTSKEServers",
    "NTSKEServerCACerts",
    "synced",
    "timeToNextSync",
    "timeOffset",
    "minpoll",
    "maxpoll",
]


def error(document: Any) -> tuple[int, int | None]:
    return document["error"]["code"], document["error"].get("details", {}).get("subCode")


def raw(bench: Bench, body: bytes, **more: Any) -> Any:
    return json.loads(bench.reply(body, **more).body)


def test_get_info_returns_every_field_in_a_devices_order(bench: Bench) -> None:
    answer = bench.ask(context="abc")
    assert list(answer) == ["apiVersion", "context", "method", "data"]
    assert list(answer["data"]["client"]) == FIELDS_12_11


def test_a_healthy_client_is_enabled_and_synced(bench: Bench) -> None:
    client = bench.client()
    assert (client["enabled"], client["synced"], client["NTSEnabled"]) == (True, True, False)
    assert 0 <= client["timeToNextSync"] < 64
    assert abs(client["timeOffset"]) < 0.1
    assert (client["minpoll"], client["maxpoll"]) == (6, 10)


def test_old_firmware_has_no_nts_and_no_poll_intervals(make_bench: BenchMaker) -> None:
    bench = make_bench(firmware=OLD_FIRMWARE)
    assert list(bench.client()) == [
        name for name in FIELDS_12_11 if "NTS" not in name and "poll" not in name
    ]
    assert bench.ask("getSupportedVersions")["data"] == {"apiVersions": ["1.2"]}


def test_get_info_can_have_a_server_section(bench: Bench) -> None:
    bench.device.api.server_section = {"enabled": True}
    assert bench.ask()["data"]["server"] == {"enabled": True}


def test_context_is_echoed_only_if_sent(bench: Bench) -> None:
    assert bench.ask(context="")["context"] == ""
    assert "context" not in bench.ask()


def test_context_is_echoed_in_errors(bench: Bench) -> None:
    answer = bench.ask("noSuchMethod", context="abc")
    assert answer == {
        "apiVersion": "1.5",
        "context": "abc",
        "method": "noSuchMethod",
        "error": {"code": 4000, "message": "Method does not exist"},
    }


@pytest.mark.parametrize(
    ("asked", "answered"),
    [("1.0", "1.5"), ("1.5", "1.5"), ("1.6", 4001), ("2.0", 4001), ("0.9", 4001), ("x", 4001)],
)
def test_a_request_is_answered_with_the_highest_version_of_its_major(
    bench: Bench, asked: str, answered: str | int
) -> None:
    answer = bench.ask(version=asked)
    if isinstance(answered, str):
        assert answer["apiVersion"] == answered
    else:
        assert error(answer) == (answered, None)


def test_each_major_version_is_answered_separately(bench: Bench) -> None:
    bench.device.api.versions = ("1.0", "1.10", "1.9", "3.1")
    assert bench.ask(version="1.0")["apiVersion"] == "1.10"
    assert bench.ask(version="3.0")["apiVersion"] == "3.1"
    assert error(bench.ask(version="2.0")) == (4001, None)


def test_supported_versions_need_no_version_and_return_the_highest(bench: Bench) -> None:
    bench.device.api.versions = ("1.0", "2.4", "3.1")
    assert bench.document({"context": "abc", "method": "getSupportedVersions"}) == {
        "apiVersion": "3.1",
        "context": "abc",
        "method": "getSupportedVersions",
        "data": {"apiVersions": ["1.0", "2.4", "3.1"]},
    }


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/jsonx"])
def test_another_content_type_is_an_invalid_request(bench: Bench, content_type: str | None) -> None:
    assert error(raw(bench, b'{"method": "getNTPInfo"}', content_type=content_type)) == (2000, None)


@pytest.mark.parametrize("content_type", ["Application/JSON", "application/json; charset=utf-8"])
def test_content_types_ignore_case_and_parameters(bench: Bench, content_type: str) -> None:
    body = b'{"apiVersion": "1.0", "method": "getNTPInfo"}'
    assert "data" in raw(bench, body, content_type=content_type)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", 3000),
        (b"{", 3000),
        (b"\xff", 3000),
        (b"[" * 20_000, 3000),
        (b" " * MAXIMUM_BODY_BYTES + b"x", 2001),
        (b"[]", 2000),
        (b"{}", 4003),
        (b'{"method": "getNTPInfo"}', 4003),
        (b'{"method": 7, "apiVersion": "1.0"}', 4004),
    ],
)
def test_a_bad_request_returns_the_error_of_the_reference(
    bench: Bench, body: bytes, code: int
) -> None:
    reply = bench.reply(body)
    assert reply.status == 200
    assert error(json.loads(reply.body)) == (code, None)


def test_only_post_is_allowed(bench: Bench) -> None:
    reply = bench.reply(b"", method="GET")
    assert (reply.status, header(reply, "Allow")) == (405, "POST")


def test_other_paths_are_not_found(bench: Bench) -> None:
    reply = bench.reply(b"{}", target="/axis-cgi/param.cgi")
    assert (reply.status, header(reply, "Content-Type")[:9]) == (404, "text/html")


def test_the_content_type_of_responses_can_be_changed(bench: Bench) -> None:
    bench.device.content_type = "application/json;charset=utf8"
    assert header(bench.reply(b"{}"), "Content-Type") == "application/json;charset=utf8"
