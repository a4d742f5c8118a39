"""`configure` as an operator uses it: output, changes, exit codes."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from exporter.simulator.fleet import build_fleet
from exporter.simulator.ntp_client import OLD_FIRMWARE
from tests.support.command_process import GET, SET, asked, is_new, is_old, site
from tests.support.daemon_process import COMMAND, daemon_on


async def test_without_apply_it_shows_the_differences_and_changes_nothing(tmp_path: Path) -> None:
    async with site(2, tmp_path) as here:
        first, second = here.devices
        second.client.configure({"maxpoll": 12, "staticServers": ["10.0.0.2", "10.0.0.1"]}, 0)
        run = await here.configure("--dry-run")
        assert is_old(first)
        assert [asked(device) for device in here.devices] == [0, 0]
        assert asked(first, GET) == 1, "one request reads a device"
        addresses = here.served.addresses
    assert run.out == (
        f"sim-00001 ({addresses[0]}): different\n"
        "  maxpoll: 10 → 12\n"
        "  static_servers: 192.0.2.123, 192.0.2.124 → 10.0.0.1, 10.0.0.2\n"
        f"sim-00002 ({addresses[1]}): already right\n"
        "2 devices: 1 already right, 1 different\n"
        "Nothing was changed. Use --apply to change what differs.\n"
    )
    assert (run.err, run.code) == ("", 1)


async def test_apply_changes_devices_and_a_second_run_has_nothing_to_do(tmp_path: Path) -> None:
    async with site(2, tmp_path) as here:
        run = await here.configure("--apply", "--yes")
        assert all(is_new(device) for device in here.devices)
        again = await here.configure()
        each = await here.configure("--verbose")
        addresses = here.served.addresses
        assert [asked(device) for device in here.devices] == [1, 1]
    assert run.out.splitlines() == [
        "2 devices: different",
        "  maxpoll: 10 → 12",
        "  static_servers: 192.0.2.123, 192.0.2.124 → 10.0.0.1, 10.0.0.2",
        "    sim-00001, sim-00002",
        "2 devices: 2 different",
        "2 devices: set",
        "    sim-00001, sim-00002",
        "2 devices: 2 set",
        "Every device is as expected.",
    ]
    assert each.out.splitlines()[:2] == [
        f"sim-00001 ({addresses[0]}): already right",
        f"sim-00002 ({addresses[1]}): already right",
    ]
    assert (run.err, run.code) == ("", 0)
    assert again.out.endswith("2 devices: 2 already right\nEvery device is as expected.\n")
    assert again.code == 0


async def test_the_request_contains_the_whole_configuration(tmp_path: Path) -> None:
    async with site(1, tmp_path, expect={"maxpoll": 12}) as here:
        [device] = here.devices
        more = {"staticNTSKEServers": ["nts.example"], "NTSKEServerCACerts": ["ca"]}
        device.client.configure(more, 0)
        assert (await here.configure("--apply", "--yes")).code == 0
        [change] = [seen.request.body for seen in device.requests.recent if seen.api_method == SET]
    assert json.loads(change)["params"] == {
        "enabled": True,
        "NTSEnabled": False,
        "serversSource": "static",
        "staticServers": ["192.0.2.123", "192.0.2.124"],
        "minpoll": 6,
        "maxpoll": 12,
        **more,
    }


async def test_devices_are_selected_by_name_address_and_label(tmp_path: Path) -> None:
    async with site(3, tmp_path) as here:
        one, two, three = here.devices
        here.config["devices"][2]["labels"] = {"site": "hq"}
        named = await here.configure("--json", one.name, "--apply", here.served.addresses[1])
        assert named.code == 2, "it asks for confirmation"
        chosen = ["--apply", "--yes", "--json"]
        named = await here.configure(one.name, *chosen, here.served.addresses[1])
        assert named.results == {one.name: "set", two.name: "set"}
        assert three.requests.total == 0
        selected = await here.configure("--site=hq", *chosen)
        assert selected.results == {three.name: "set"}


USAGE_ERRORS = [
    (["sim-1"], "configure: no device has the name or address 'sim-1' (did you mean "),
    (["--site=nowhere"], "configure: no device matches site=nowhere; known values: simulated\n"),
    (["--selector=nowhere"], "argument --selector: 'nowhere' is not LABEL=VALUE\n"),
    (["--concurrency=0"], "argument --concurrency: '0' is not within 1 to 10000\n"),
    (["--config.file=missing.yaml"], "configure: missing.yaml: cannot be read: No such file"),
    (["--apply", "--dry-run"], "configure: use either --dry-run or --apply, not both\n"),
    (["--yes"], "configure: --yes needs --apply: without it nothing is changed\n"),
    (["--audit-log=x"], "configure: --audit-log needs --apply: without it nothing is changed\n"),
    (
        ["--apply"],
        "configure: --apply asks for confirmation, but there is no terminal: add --yes\n",
    ),
    (
        ["--apply", "--yes", "--audit-log=missing/audit"],
        "configure: missing/audit: cannot be opened: No such file or directory\n",
    ),
    (
        ["--apply", "--yes", "--audit-log=/dev/full"],
        "configure: /dev/full: not a regular file, so the audit log would be lost\n",
    ),
]


@pytest.mark.parametrize(("words", "problem"), USAGE_ERRORS, ids=lambda each: str(each)[:40])
async def test_usage_errors_are_reported_before_any_device_is_asked(
    words: list[str], problem: str, tmp_path: Path
) -> None:
    async with site(1, tmp_path) as here:
        run = await here.configure("--json", *words)
        assert here.devices[0].requests.total == 0
    assert problem in run.err
    assert (run.code, run.out) == (2, "")
    assert "Traceback" not in run.err


async def test_every_error_of_the_config_is_reported(tmp_path: Path) -> None:
    async with site(1, tmp_path, expect={"minpoll": 11, "maxpoll": 10}) as here:
        here.config["devices"][0]["adress"] = "x"
        run = await here.configure()
    assert "modules.default.expect: minpoll 11 exceeds maxpoll 10" in run.err
    assert "devices[0].adress: unknown key (did you mean address?)" in run.err
    assert run.code == 2


async def test_a_device_without_expect_is_not_asked(tmp_path: Path) -> None:
    async with site(2, tmp_path, expect={}) as here:
        here.config["devices"][0]["expect"] = {"maxpoll": 12}
        run = await here.configure("--json", "--apply", "--yes")
        assert here.devices[1].requests.total == 0
    assert run.results == {"sim-00001": "set", "sim-00002": "nothing_expected"}
    assert run.code == 0


async def test_expect_of_a_device_overrides_that_of_its_module(
    tmp_path: Path,
) -> None:
    async with site(1, tmp_path) as here:
        here.config["devices"][0]["expect"] = {"maxpoll": 11}
        run = await here.configure("--json")
    assert [each["wanted"] for each in run.documents["sim-00001"]["differences"]] == [
        11,
        ["10.0.0.1", "10.0.0.2"],
    ]


@pytest.mark.parametrize(
    ("expect", "reason"),
    [
        (
            {"static_servers": list("abcdef")},
            "not sent: static_servers: 6 servers, but the device supports 5",
        ),
        ({"minpoll": 11}, "not sent: minpoll: 11 exceeds maxpoll 10"),
    ],
)
async def test_a_change_that_the_device_cannot_accept_is_not_sent(
    expect: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    async with site(1, tmp_path, expect=expect) as here:
        run = await here.configure("--json", "--apply", "--yes")
        assert asked(here.devices[0]) == 0
    [document] = run.documents.values()
    assert (document["result"], document["reason"]) == ("refused", reason)
    assert document["differences"], "the refused differences are listed"
    assert run.code == 1


async def test_nts_is_not_sent_to_a_device_that_does_not_report_it(tmp_path: Path) -> None:
    async with site(1, tmp_path, expect={"nts_enabled": True}) as here:
        here.devices[0].client.firmware = OLD_FIRMWARE
        run = await here.configure("--apply", "--yes")
        assert asked(here.devices[0]) == 0
    assert (
        "refused: not sent: nts_enabled: not supported: the device does not report it\n"
        "  nts_enabled: not reported → true\n"
    ) in run.out


async def test_old_firmware_gets_the_parameters_that_it_supports(tmp_path: Path) -> None:
    async with site(1, tmp_path, expect={"static_servers": ["10.0.0.1"]}) as here:
        here.devices[0].client.firmware = OLD_FIRMWARE
        run = await here.configure("--apply", "--yes")
        assert here.devices[0].client.configuration.static_servers == ["10.0.0.1"]
    assert run.code == 0


async def test_300_devices_are_changed_in_one_command(tmp_path: Path) -> None:
    async with site(300, tmp_path) as here:
        started = time.monotonic()
        run = await here.configure("--apply", "--yes", f"--audit-log={here.audit_file}")
        took = time.monotonic() - started
        assert all(is_new(device) for device in here.devices)
        assert len(here.audit) == 600
    assert run.out.endswith("300 devices: 300 set\nEvery device is as expected.\n")
    assert (run.code, run.err) == (0, "")
    assert took < 30


async def test_the_concurrency_is_respected(tmp_path: Path) -> None:
    fleet = build_fleet(6, "fault:hang")
    async with site(fleet, tmp_path, timeout="1h") as here:
        async with here.configuring("--concurrency=2") as run:
            await run.until(lambda: sum(d.requests.total for d in here.devices) == 2)
            run.signal()
        assert sum(device.requests.total for device in here.devices) == 2
    assert run.code == 1


async def test_the_daemon_reports_compliance_at_the_next_poll(tmp_path: Path) -> None:
    async with site(2, tmp_path) as here:
        folder = tmp_path / "daemon"
        folder.mkdir()
        compliant = "axis_ntp_config_compliant"
        async with daemon_on(here.config, folder) as running:
            before = await running.ready()
            assert set(before.by_device(compliant).values()) == {0}
            run = await here.configure("--apply", "--yes", here.devices[0].name)
            assert run.code == 0
            after = await running.until(lambda now: max(now.by_device(compliant).values()) == 1)
            mismatches = after.all("axis_ntp_config_mismatch")
            polls = [found.by_device("axis_ntp_polls_total") for found in (before, after)]
    assert after.by_device(compliant) == {"sim-00001": 1, "sim-00002": 0}
    assert {labels["device"] for labels, _ in mismatches} == {"sim-00002"}
    assert set(after.by_device("axis_ntp_poll_failures_total").values()) == {0}
    assert polls[1]["sim-00001"] > polls[0]["sim-00001"]


async def test_discovered_devices_are_configured_and_a_failed_source_is_reported(
    tmp_path: Path,
) -> None:
    async with site(2, tmp_path) as here:
        moved = here.config["devices"].pop()
        (tmp_path / "more.json").write_text(
            json.dumps([{"targets": [moved["address"]], "labels": {"device": moved["name"]}}])
        )
        (tmp_path / "broken.json").write_text("{")
        here.config["file_sd_configs"] = [{"files": ["more.json", "broken.json"]}]
        run = await here.configure("--apply", "--yes", "--json")
        assert all(is_new(device) for device in here.devices)
    assert run.results == {"sim-00001": "set", "sim-00002": "set"}
    assert "broken.json: not JSON: expected a key in double quotes: line 1, column 2" in run.err
    assert run.err.splitlines()[-1] == (
        "configure: some devices could not be discovered, see `discovery` above"
    )
    assert run.code == 1, "a device that was not found may not comply"


async def test_a_failed_source_does_not_matter_for_named_devices(tmp_path: Path) -> None:
    async with site(1, tmp_path) as here:
        (tmp_path / "broken.json").write_text("{")
        here.config["file_sd_configs"] = [{"files": ["broken.json"]}]
        run = await here.configure("--apply", "--yes", "sim-00001")
    assert run.code == 0


async def test_without_any_expect_the_exit_code_is_1(tmp_path: Path) -> None:
    async with site(2, tmp_path, expect={}) as here:
        run = await here.configure()
    assert run.out.splitlines()[-1].startswith("Nothing was compared")
    assert run.code == 1


async def test_the_limit_on_open_files_applies_to_the_concurrency_only(
    tmp_path: Path,
) -> None:
    limited = tmp_path / "limited"
    limited.write_text(f'#!/bin/sh\nulimit -n 160\nexec {COMMAND} "$@"\n')
    limited.chmod(0o755)
    async with (
        site(200, tmp_path) as here,
        here.configuring("--json", command=limited) as run,
    ):
        pass
    assert set(run.results.values()) == {"different"}
