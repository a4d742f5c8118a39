"""Tables, summary and documents, from values alone."""

import json
from typing import Any, cast

import pytest

from exporter.check.documents import documents
from exporter.check.examine import DeviceCheck
from exporter.check.report import summary, table
from exporter.clock.offset import Offset
from exporter.config import ModuleConfig
from exporter.devices.device import Device, DeviceTarget
from exporter.devices.health import diagnose
from exporter.fleet.client_factory import ClientFactory, read_client_settings
from exporter.vapix import errors
from exporter.vapix.certificate import Certificate
from exporter.vapix.connection import Session
from exporter.vapix.reading import NtpClientReading, Reading
from tests.support.devices import outcome

CLIENT = NtpClientReading(
    enabled=True,
    synced=True,
    servers_source="static",
    static_servers=("192.0.2.1",),
    offset_seconds=0.002,
)


def checkup(result: Reading | errors.DeviceError | None, **settings: Any) -> DeviceCheck:
    module = ModuleConfig.model_validate(settings.pop("module", {}))
    client = ClientFactory(read_client_settings(module)).client("192.0.2.9", cast("Session", None))
    name = settings.pop("name", "gate")
    made = DeviceCheck(
        Device(DeviceTarget(name, "192.0.2.9", {}, 60, 10), client), module, **settings
    )
    if result is not None:
        made.device.state.record(outcome(1_800_000_000.0, 0.0431, result))
        made.issues = diagnose(made.device.state, made.offset)
    return made


def reading(client: NtpClientReading | None, version: str | None = "1.5") -> Reading:
    return Reading(version, client, server_present=False)


def plain(made: DeviceCheck) -> dict[str, str]:
    return {name: piece.text for name, piece in table(made).rows}


def told(checkups: list[DeviceCheck]) -> list[str]:
    return ["".join(piece.text for piece in line) for line in summary(checkups)]


def test_a_device_that_was_not_reached_has_a_title_alone() -> None:
    made = checkup(None)
    assert "".join(piece.text for piece in table(made).title) == "gate (192.0.2.9): not checked"
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
            "does not say whether enabled, does not say whether synchronized",
        ),
    ],
)
def test_the_reading_is_told_in_words(changed: dict[str, Any], words: str) -> None:
    assert plain(checkup(reading(CLIENT._replace(**changed))))["NTP client"] == words


@pytest.mark.parametrize(
    ("changed", "servers"),
    [
        ({}, "192.0.2.1 (static)"),
        ({"static_servers": ()}, "none"),
        ({"nts_enabled": True, "nts_ke_servers": ("a", "b")}, "a, b (nts-ke)"),
        ({"servers_source": None}, None),
    ],
)
def test_the_servers_in_force_are_told_with_their_source(
    changed: dict[str, Any], servers: str | None
) -> None:
    assert plain(checkup(reading(CLIENT._replace(**changed)))).get("servers") == servers


def test_a_version_that_was_not_said_is_told_as_that() -> None:
    assert plain(checkup(reading(CLIENT, None)))["API version"] == "not said"


def test_the_clock_is_told_with_what_it_may_be_off_by() -> None:
    made = checkup(reading(CLIENT), offset=Offset(-1.8, 0.0003))
    assert plain(made)["clock"] == "-1.800 s ± 300.0 µs from this host's"
    assert plain(made)["trouble"] == "its clock is off"


@pytest.mark.parametrize(
    ("tls", "refusal", "words"),
    [
        ({}, None, "verified: signed by an authority of this system"),
        ({}, "certificate has expired", "not verified: certificate has expired"),
        ({"fingerprint_sha256": "ab" * 32}, None, "verified: it has the pinned fingerprint"),
        (
            {"insecure_skip_verify": True},
            None,
            "not verified: insecure_skip_verify takes any certificate",
        ),
        (
            {"insecure_skip_verify": True, "fingerprint_sha256": "ab" * 32},
            None,
            "verified: it has the pinned fingerprint",
        ),
    ],
)
def test_it_is_told_whether_the_certificate_was_verified_or_why_not(
    tls: dict[str, Any], refusal: str | None, words: str
) -> None:
    seen = Certificate("CN=x", "cd" * 32, refusal)
    made = checkup(reading(CLIENT), module={"tls_config": tls}, certificate=seen)
    rows = plain(made)
    assert (rows["TLS"], rows["certificate"], rows["fingerprint"]) == (words, "CN=x", "cd" * 32)
    [document] = documents([made])
    prefix = "verified: " if document["tls"]["verified"] else "not verified: "
    assert prefix + document["tls"]["why"] == words


def test_an_error_s_text_cannot_leave_its_row() -> None:
    rows = plain(checkup(errors.UnexpectedStatus("HTTP 503\n\x1b[2J", 503)))
    assert rows["trouble"] == r"http_status 503: HTTP 503\n\x1b[2J"


def test_the_summary_counts_outcomes_and_what_is_wrong() -> None:
    off = CLIENT._replace(enabled=False)
    made = [
        checkup(reading(CLIENT)),
        checkup(reading(off)),
        checkup(errors.PollTimeout("x")),
        checkup(reading(off)),
        checkup(None),
    ]
    assert told(made) == [
        "5 devices: 1 fine, 3 not fine, 1 not checked",
        "      2 NTP client disabled",
        "      1 timeout",
    ]
    assert told(made[2:3]) == ["1 device: 1 not fine"]


def test_documents_hold_nothing_that_is_not_known() -> None:
    [document] = json.loads(json.dumps(documents([checkup(None)])))
    unknown = {key for key, value in document.items() if value is None}
    assert unknown == {
        "seconds",
        "error",
        "tls",
        "authentication",
        "api_version",
        "client",
        "clock",
        "mismatches",
    }


def test_an_error_is_told_by_reason_code_and_words() -> None:
    [document] = documents([checkup(errors.Forbidden("HTTP 403: no", 403))])
    assert document["error"] == {"reason": "forbidden", "code": 403, "message": "HTTP 403: no"}
    assert [each["level"] for each in document["troubles"]] == ["bad"]
