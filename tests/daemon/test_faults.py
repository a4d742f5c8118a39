"""Every fault of a simulated device, through the real daemon: the exposed error reason."""

from pathlib import Path

from exporter.simulator.faults import FAULTS
from exporter.simulator.fleet import build_fleet, serve_fleet
from exporter.simulator.scenarios import SCENARIOS
from tests.support.daemon_process import Scrape, daemon_on

NO_ERROR = None
"""The daemon polls such a device without an error."""

EXPECTED: dict[str, tuple[str, str] | None] = {
    "healthy": NO_ERROR,
    "not_synced": NO_ERROR,
    "client_disabled": NO_ERROR,
    "no_client_section": NO_ERROR,
    "drifting": NO_ERROR,
    "stepped": NO_ERROR,
    "server_dead": NO_ERROR,
    "string_booleans": NO_ERROR,
    "no_servers": NO_ERROR,
    "unauthorized": ("unauthorized", "401"),
    "stale_every_request": ("unauthorized", "401"),
    "wrong_role_403": ("forbidden", "403"),
    "factory_new": ("unauthorized", "401"),
    "close_after_401": NO_ERROR,
    "basic_before_digest": NO_ERROR,
    "foreign_nonce": NO_ERROR,
    "not_found": ("unsupported", "404"),
    "http_503": ("http_status", "503"),
    "redirect": ("http_status", "302"),
    "not_json": ("invalid_response", ""),
    "truncated_json": ("invalid_response", ""),
    "truncated_body": ("disconnected", ""),
    "wrong_shape": ("invalid_response", ""),
    "huge_body": ("invalid_response", ""),
    "slow_headers": ("timeout", ""),
    "slow_body": ("timeout", ""),
    "hang": ("timeout", ""),
    "drop": ("disconnected", ""),
    "date_rfc850": NO_ERROR,
    "date_asctime": NO_ERROR,
    "date_absent": NO_ERROR,
    "date_nonsense": NO_ERROR,
    "api_error_1000": ("api_error", "1000"),
    "api_error_2000": ("api_error", "2000"),
    "api_error_2001": ("api_error", "2001"),
    "api_error_3000": ("api_error", "3000"),
    "api_error_4000": ("unsupported", "4000"),
    "api_error_4001": ("unsupported", "4001"),
    "api_error_4002": ("forbidden", "4002"),
    "api_error_4003": ("api_error", "4003"),
    "api_error_4004": ("api_error", "4004"),
    "version_negotiation": NO_ERROR,
    **{f"set_error_subcode_{n}": NO_ERROR for n in range(1, 10)},
    "set_ignored": NO_ERROR,
    "set_late": NO_ERROR,
    "set_drop": NO_ERROR,
    "set_hang": NO_ERROR,
    "set_unauthorized": NO_ERROR,
}


def reasons(found: Scrape, metric: str) -> dict[str, tuple[str, str] | None]:
    errors: dict[str, tuple[str, str] | None] = dict.fromkeys(EXPECTED)
    for labels, value in found.all(metric):
        assert value >= 1
        assert errors[labels["state"]] is None, "one error at a time"
        errors[labels["state"]] = (labels["reason"], labels["code"])
    return errors


async def test_every_fault_is_exposed_with_its_reason(tmp_path: Path) -> None:
    assert set(EXPECTED) == {"healthy", *FAULTS}, "a fault without an expectation"
    fleet = build_fleet(len(EXPECTED), "mixed")
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="1s", timeout="1s")
        async with daemon_on(config, tmp_path) as running:
            found = await running.ready()
    assert reasons(found, "axis_ntp_last_error") == EXPECTED
    assert reasons(found, "axis_ntp_api_errors_total") == EXPECTED
    up = {labels["state"]: value for labels, value in found.all("axis_ntp_up")}
    assert up == {fault: float(error is NO_ERROR) for fault, error in EXPECTED.items()}


def test_the_mixed_scenario_has_every_fault() -> None:
    assert "mixed" in SCENARIOS
    members = build_fleet(1 + len(FAULTS), "mixed").members
    assert {member.labels["state"] for member in members} == {"healthy", *FAULTS}
