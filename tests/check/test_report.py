"""Tables, summary and JSON objects of checked devices."""

import json
from dataclasses import replace
from typing import Any, cast

import pytest

from exporter.check.examine import DeviceCheck
from exporter.check.report import as_document, summary, table
from exporter.clock.offset import Offset
from exporter.config import DeviceConfig, ModuleConfig, Thresholds
from exporter.devices.device import Device, DeviceTarget
from exporter.devices.health import diagnose
from exporter.fleet.client_factory import ClientFactory, ModuleClients, read_client_settings
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
        "      1 timeout: gate",
    ]
    assert summary_lines(made[2:3]) == ["1 device: 1 with a problem"]


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
