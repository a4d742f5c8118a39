"""Tables, summary and JSON objects of checked devices."""

import json
from dataclasses import replace
from typing import Any, cast

import pytest

from exporter.check.examine import DeviceCheck
from exporter.check.report import as_document, host_clock_lines, summary, table
from exporter.clock.offset import Offset
from exporter.config import DeviceConfig, ModuleConfig, Thresholds
from exporter.devices.device import Device, DeviceTarget
from exporter.devices.health import diagnose
from exporter.fleet.client_factory import ClientFactory, ModuleClients, read_client_settings
from exporter.system.text import cell_width, folded
from exporter.time_servers.host_clock import HostClockNote
from exporter.vapix import errors
from exporter.vapix.connection import Session
from exporter.vapix.ntp_info import NtpClientReading, Reading
from exporter.vapix.tls import Certificate
from tests.support.devices import NOW, outcome
from tests.support.readings import ntp_client, replace_fields

CLIENT = ntp_client(
    enabled=True,
    synced=True,
    servers_source="static",
    static_servers=("192.0.2.1",),
    offset_seconds=0.002,
)


def make_check(result: Reading | errors.DeviceError | None, **settings: Any) -> DeviceCheck:
    module = ModuleConfig.model_validate(settings.pop("module", {}))
    clients = ModuleClients(ClientFactory(read_client_settings(module)))
    pin = clients.find_pin(DeviceConfig(address="192.0.2.9"))
    client = clients.factory.client("192.0.2.9", cast("Session", None), pin=pin)
    name = settings.pop("name", "gate")
    made = DeviceCheck(
        Device(DeviceTarget(name, "192.0.2.9", {}, 60, 10, module.scheme), client),
        module,
        **settings,
    )
    if result is not None:
        made.device.state.record(outcome(1_800_000_000.0, 0.0431, result))
        made.issues = diagnose(made.device.state, made.offset, NOW, Thresholds())
    return made


def reading(client: NtpClientReading | None, version: str | None = "1.5") -> Reading:
    return Reading(version, client, server_present=False)


def rows_of(made: DeviceCheck) -> dict[str, str]:
    return {name: span.text for name, span in table(made).rows}


def summary_lines(checks: list[DeviceCheck]) -> list[str]:
    return ["".join(span.text for span in line) for line in summary(checks, 120)]


def test_a_device_that_was_not_checked_has_only_a_title() -> None:
    made = make_check(None)
    assert "".join(span.text for span in table(made).title) == "gate (192.0.2.9): not checked"
    assert table(made).rows == ()
    assert not made.fine


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "enabled, synchronized, +2.000 ms from its server"),
        ({"synced": False, "offset_seconds": None}, "enabled, not synchronized"),
        ({"nts_enabled": True}, "enabled, synchronized, +2.000 ms from its server, NTS"),
        (
            {"enabled": None, "synced": None, "offset_seconds": None},
            "enabled or disabled not reported, synchronization not reported",
        ),
    ],
)
def test_the_reading_is_shown_in_words(changed: dict[str, Any], words: str) -> None:
    assert rows_of(make_check(reading(replace_fields(CLIENT, **changed))))["NTP client"] == words


@pytest.mark.parametrize(
    ("changed", "servers"),
    [
        ({}, "192.0.2.1 (static)"),
        ({"static_servers": ()}, "none"),
        ({"nts_enabled": True, "nts_ke_servers": ("a", "b")}, "a, b (nts-ke)"),
        ({"servers_source": None}, None),
    ],
)
def test_the_active_servers_are_shown_with_their_source(
    changed: dict[str, Any], servers: str | None
) -> None:
    assert rows_of(make_check(reading(replace_fields(CLIENT, **changed)))).get("servers") == servers


def test_a_missing_version_is_shown_as_not_reported() -> None:
    assert rows_of(make_check(reading(CLIENT, None)))["API version"] == "not reported"


def test_the_measured_offset_is_shown_with_its_uncertainty() -> None:
    made = make_check(reading(CLIENT), offset=Offset(-1.8, 0.0003))
    assert rows_of(made)["clock"] == "-1.800 s ± 0.300 ms from this host's"
    assert rows_of(made)["problem"] == "its clock is 1.8 s behind"


def test_the_true_offset_is_shown_and_in_json() -> None:
    made = make_check(reading(CLIENT), offset=Offset(-1.8, 0.0003), true_offset=Offset(0.2, 0.005))
    assert rows_of(made)["true offset"] == "+200.000 ms ± 5.000 ms from the time servers"
    assert as_document(made)["true_offset_seconds"] == 0.2
    assert as_document(made)["true_offset_uncertainty_seconds"] == 0.005


@pytest.mark.parametrize(
    ("tls", "refusal", "words"),
    [
        ({}, None, "verified: signed by a CA of this system"),
        ({}, "certificate has expired", "not verified: certificate has expired"),
        ({"fingerprint_sha256": "cd" * 32}, None, "verified: has the pinned fingerprint"),
        ({"fingerprint_sha256": "ab" * 32}, None, "not verified: another one is pinned"),
        (
            {"insecure_skip_verify": True},
            None,
            "not verified: insecure_skip_verify accepts any certificate",
        ),
        (
            {"insecure_skip_verify": True, "fingerprint_sha256": "cd" * 32},
            None,
            "verified: has the pinned fingerprint",
        ),
    ],
)
def test_the_report_shows_whether_the_certificate_was_verified_and_why(
    tls: dict[str, Any], refusal: str | None, words: str
) -> None:
    seen = Certificate("CN=x", "cd" * 32, refusal)
    made = make_check(reading(CLIENT), module={"tls_config": tls}, certificate=seen)
    rows = rows_of(made)
    assert (rows["TLS"], rows["certificate"], rows["fingerprint"]) == (words, "CN=x", "cd" * 32)
    document = as_document(made)
    prefix = "verified: " if document["tls"]["verified"] else "not verified: "
    assert prefix + document["tls"]["why"] == words


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        ("CN=\x1b[2J\n", r"CN=\x1b[2J\n"),
        ("CN=" + "x" * 9_999, "CN=" + "x" * 197 + "…"),
        ("CN=rootTr0ub4dor&3x9Zq, O=b", "CN=root<secret>, O=b"),
        ("CN=" + "x" * 195 + "Tr0ub4dor&3x9Zq", "CN=" + "x" * 195 + "<s…"),
    ],
)
def test_the_certificates_subject_is_printable_and_without_our_password(
    subject: str, shown: str
) -> None:
    seen = Certificate(subject, "cd" * 32)
    account = {"username": "root", "password": "Tr0ub4dor&3x9Zq"}
    made = make_check(reading(CLIENT), module={"auth": account}, certificate=seen)
    assert rows_of(made)["certificate"] == shown
    assert as_document(made)["tls"]["subject"] == shown


def test_the_text_of_an_error_stays_in_its_row() -> None:
    rows = rows_of(make_check(errors.UnexpectedStatus("HTTP 503\n\x1b[2J", 503)))
    assert rows["problem"] == r"http_status 503: HTTP 503\n\x1b[2J"


def test_the_summary_counts_outcomes_and_problems() -> None:
    off = replace_fields(CLIENT, enabled=False)
    made = [
        make_check(reading(CLIENT)),
        make_check(reading(off)),
        make_check(errors.PollTimeout("x")),
        make_check(reading(off)),
        make_check(None),
    ]
    assert summary_lines(made) == [
        "5 devices: 1 fine, 3 with a problem, 1 not checked",
        "      2 NTP client disabled: gate, gate",
        "        Enable the device's NTP client.",
        "      1 timeout: gate",
        "        Check device load and firewall, or raise the timeout.",
    ]
    assert summary_lines(made[2:3]) == ["1 device: 1 with a problem"]


def test_problems_with_different_remedies_are_counted_apart_and_each_is_said_once() -> None:
    made = [
        make_check(errors.Unauthorized("HTTP 401: x", 401), name="a"),
        make_check(errors.Unauthorized("HTTP 401: x", 401), name="b"),
        make_check(errors.FactoryNew("HTTP 401: x", 401), name="c"),
        make_check(errors.NonceAlwaysStale("HTTP 401: x", 401), name="d"),
        make_check(errors.TlsResponse("x"), name="e"),
        make_check(errors.RedirectToHttps("x", 301), name="f"),
        make_check(errors.RedirectToHttps("x", 301), name="g"),
        make_check(errors.RedirectToHttps("x", 301), name="h"),
    ]
    assert summary_lines(made)[1:] == [
        "      3 http_status 301, https only: f, g, h",
        "      1 invalid_response, https only: e",
        "        Set `scheme: https` in its module.",
        "      2 unauthorized 401: a, b",
        "        Correct the username and password, or the account on the device.",
        "      1 unauthorized 401, factory-new device: c",
        "        Set the device's first password in its web interface.",
        "      1 unauthorized 401, its own nonces refused: d",
        "        Restart the device; if that does not help, update its firmware.",
    ]


def test_no_line_of_advice_is_wider_than_the_terminal() -> None:
    made = [make_check(errors.HttpForbidden("HTTP 403: x", 403)) for _ in range(2)]
    shown = ["".join(span.text for span in line) for line in summary(made, 80)]
    assert shown[2:] == [
        "        Give the account administrator rights, or wait: the device also blocks",
        "        an address for some seconds after wrong logins, perhaps of another",
        "        client.",
    ]


def test_what_is_known_of_this_hosts_clock_is_folded() -> None:
    text = (
        "this host's clock is not verified: kernel says unsynchronized, no time_servers configured"
    )
    lines = host_clock_lines(HostClockNote(text, "warning"), [], 80)
    assert ["".join(span.text for span in line) for line in lines] == [
        "this host's clock is not verified: kernel says unsynchronized, no time_servers",
        "  configured",
    ]


def test_a_command_to_copy_is_not_folded() -> None:
    text = "If it is its own, run `a check --pin` with its name."
    assert list(folded(text, 30, "  ")) == [
        "If it is its own, run",
        "  `a check --pin` with its",
        "  name.",
    ]


@pytest.mark.parametrize("width", [8, 20, 80])
def test_a_folded_text_loses_no_word(width: int) -> None:
    text = "  time server 時計.example:123: no answer, " + "x" * 30
    lines = list(folded(text, width, "    "))
    assert " ".join(lines).split() == text.split()
    assert all(cell_width(line) <= width or len(line.split()) == 1 for line in lines)
    assert lines[0].startswith("  ")


def test_unknown_values_are_null_in_json() -> None:
    document = json.loads(json.dumps(as_document(make_check(None))))
    unknown = {key for key, value in document.items() if value is None}
    assert unknown == {
        "seconds",
        "error",
        "tls",
        "authentication",
        "api_version",
        "client",
        "clock",
        "true_offset_seconds",
        "true_offset_uncertainty_seconds",
        "mismatches",
    }


def test_an_error_has_reason_code_and_message_in_json() -> None:
    document = as_document(make_check(errors.Forbidden("HTTP 403: no", 403)))
    assert document["error"] == {"reason": "forbidden", "code": 403, "message": "HTTP 403: no"}
    assert [each["level"] for each in document["troubles"]] == ["bad"]


def test_the_scheme_is_the_devices_own_and_not_its_modules() -> None:
    made = make_check(reading(CLIENT))
    made.device.target = replace(made.device.target, scheme="http")
    assert as_document(made)["scheme"] == "http"
    assert rows_of(made)["connection"].startswith("http, ")
