"""Devices that refuse, ignore, drop or hang during a change, and the results."""

from pathlib import Path

import pytest

from exporter.simulator.faults import FAULTS
from exporter.simulator.fleet import build_fleet
from tests.support.command_process import asked, is_new, is_old, site
from tests.support.passwords import PASSWORD, assert_hidden

SUBCODES = {
    1: "the invalid parameter is enabled",
    2: "the invalid parameter is serversSource",
    3: "the invalid parameter is staticServers or one of its values",
    4: "not described by the reference",
    5: "the invalid parameter is NTSEnabled",
    6: "the invalid parameter is staticNTSKEServers or one of its values",
    7: "the invalid parameter is minpoll, valid values range from 0 to 24",
    8: "the invalid parameter is maxpoll, valid values range from 0 to 24",
    9: "the invalid parameter is NTSKEServerCACerts or one of its values",
}


async def test_a_refused_parameter_is_explained_and_does_not_stop_other_devices(
    tmp_path: Path,
) -> None:
    async with site(10, tmp_path) as here:
        for number, device in enumerate(here.devices[:9], start=1):
            device.fault = f"set_error_subcode_{number}"
        run = await here.configure("--json", "--apply", "--yes")
        assert all(is_old(device) for device in here.devices[:9])
        assert is_new(here.devices[9])
    *refused, last = run.documents.values()
    assert {each["result"] for each in refused} == {"refused"}
    assert {number: each["reason"] for number, each in enumerate(refused, start=1)} == {
        number: f"API error 4004: Invalid parameter(s): {meaning} (subCode {number})"
        for number, meaning in SUBCODES.items()
    }
    assert {str(each["error"]) for each in refused} == {"{'reason': 'api_error', 'code': 4004}"}
    assert last["result"] == "set"
    assert run.code == 1


async def test_an_ignored_change_is_read_back_different(tmp_path: Path) -> None:
    async with site(build_fleet(1, "fault:set_ignored"), tmp_path) as here:
        run = await here.configure("--json", "--apply", "--yes")
        assert asked(here.devices[0]) == 1
    [document] = run.documents.values()
    assert document["result"] == "read_back_different"
    assert document["reason"] == "the device accepted the change; the settings did not change"
    assert document["differences_left"] == document["differences"]
    assert run.code == 1


async def test_a_delayed_change_is_waited_for(tmp_path: Path) -> None:
    async with site(build_fleet(1, "fault:set_late"), tmp_path) as here:
        run = await here.configure("--json", "--apply", "--yes")
        assert is_new(here.devices[0])
        assert asked(here.devices[0]) == 1
    assert list(run.results.values()) == ["set"]
    assert run.code == 0


async def test_a_device_that_disconnects_after_the_change_is_set(tmp_path: Path) -> None:
    async with site(build_fleet(1, "fault:set_drop"), tmp_path) as here:
        run = await here.configure("--json", "--apply", "--yes")
        assert is_new(here.devices[0])
    [document] = run.documents.values()
    assert document["result"] == "set"
    assert document["reason"] == (
        "the request failed: the device closed the connection before its response was complete"
        "; but the settings are as expected"
    )
    assert run.code == 0


async def test_a_device_that_never_confirms_the_change_is_set(tmp_path: Path) -> None:
    async with site(build_fleet(1, "fault:set_hang"), tmp_path, timeout="2s") as here:
        run = await here.configure("--json", "--apply", "--yes")
        assert is_new(here.devices[0])
    [document] = run.documents.values()
    assert document["result"] == "set"
    assert "timed out after 2 s" in document["reason"]
    assert run.code == 0


async def test_a_password_changed_meanwhile_is_a_refusal(tmp_path: Path) -> None:
    async with site(build_fleet(1, "fault:set_unauthorized"), tmp_path) as here:
        run = await here.configure("--json", "--apply", "--yes")
        assert is_old(here.devices[0])
        assert asked(here.devices[0]) == 0
    [document] = run.documents.values()
    assert (document["result"], document["error"]["reason"]) == ("refused", "unauthorized")
    assert document["reason"] == "HTTP 401: the device refused the username or password"
    assert run.code == 1


async def test_a_device_that_hangs_during_the_change_is_uncertain(tmp_path: Path) -> None:
    async with site(build_fleet(1, "fault:set_hang"), tmp_path, timeout="2s") as here:
        [device] = here.devices
        async with here.configuring("--json", "--apply", "--yes") as run:
            await run.until(lambda: asked(device) == 1)
            device.fault = "hang"
    [document] = run.documents.values()
    assert document["result"] == "uncertain"
    assert document["reason"].endswith(
        "reading back failed: timed out after 2 s waiting for the response"
    )
    assert run.code == 1


DEAD = {
    "hang": ("unreachable", "timeout"),
    "drop": ("unreachable", "disconnected"),
    "not_json": ("unreachable", "invalid_response"),
    "unauthorized": ("refused", "unauthorized"),
    "wrong_role_403": ("refused", "forbidden"),
    "not_found": ("refused", "unsupported"),
    "http_503": ("unreachable", "http_status"),
    "api_error_1000": ("refused", "api_error"),
    "no_client_section": ("refused", None),
}


async def test_devices_that_cannot_be_read_do_not_stop_the_others(tmp_path: Path) -> None:
    async with site(len(DEAD) + 1, tmp_path, timeout="2s") as here:
        for device, fault in zip(here.devices, DEAD, strict=False):
            device.fault = fault
        run = await here.configure("--json", "--apply", "--yes", "--concurrency=2")
        assert is_new(here.devices[-1])
        assert [asked(device) for device in here.devices] == [0] * len(DEAD) + [1]
    *dead, well = run.documents.values()
    found = {
        fault: (each["result"], each["error"] and each["error"]["reason"])
        for fault, each in zip(DEAD, dead, strict=True)
    }
    assert found == DEAD
    assert well["result"] == "set"


async def test_only_the_change_that_was_shown_is_made(tmp_path: Path) -> None:
    # The second device hangs, so that there is time between reading and changing the first one.
    # Meanwhile the first is changed by someone else.
    async with site(2, tmp_path, timeout="4s") as here:
        first, second = here.devices
        second.fault = "hang"
        async with here.configuring("--json", "--apply", "--yes") as run:
            await run.until(lambda: min(first.requests.authorized, second.requests.total) > 0)
            first.client.configure({"minpoll": 5}, 0)
        assert asked(first) == 0
    document = run.documents[first.name]
    assert (document["result"], document["reason"]) == (
        "refused",
        "not sent: the configuration has changed since it was read; run the command again",
    )


async def test_a_device_that_was_changed_meanwhile_is_already_right(tmp_path: Path) -> None:
    async with site(2, tmp_path, timeout="4s") as here:
        first, second = here.devices
        second.fault = "hang"
        async with here.configuring("--json", "--apply", "--yes") as run:
            await run.until(lambda: min(first.requests.authorized, second.requests.total) > 0)
            servers = ["10.0.0.1", "10.0.0.2"]
            first.client.configure({"maxpoll": 12, "staticServers": servers}, 0)
    assert run.results[first.name] == "already_right"


async def test_text_of_a_hostile_device_stays_on_its_line(tmp_path: Path) -> None:
    async with site(1, tmp_path) as here:
        hostile = ["a, b", "[blink]x[/blink]", "\x1b[2J"]
        here.devices[0].client.configuration.static_servers = hostile[:2]
        run = await here.configure()
        here.devices[0].client.configuration.static_servers = hostile
        unreadable = await here.configure()
    assert '  static_servers: "a, b", "[blink]x[/blink]" → 10.0.0.1, 10.0.0.2\n' in run.out
    assert "  static_servers: not reported → 10.0.0.1, 10.0.0.2\n" in unreadable.out
    assert "\x1b" not in run.out + run.err + unreadable.out + unreadable.err


@pytest.mark.parametrize(("scheme", "auth"), [("http", "digest"), ("https", "basic")])
async def test_no_password_is_printed_or_recorded_whatever_fails(
    scheme: str, auth: str, tmp_path: Path
) -> None:
    fleet = build_fleet(1 + len(FAULTS), "mixed", password=PASSWORD, scheme=scheme, auth=auth)
    everything = ["--concurrency=30", "--apply", "--yes", f"--audit-log={tmp_path / 'audit'}"]
    async with site(fleet, tmp_path, timeout="1s") as here:
        runs = [await here.configure(*words) for words in (["--json"], everything, ["--json"])]
        assert is_new(here.devices[0]), "the run must have used the password"
        output = "".join(run.out + run.err for run in runs) + here.audit_file.read_text()
    assert_hidden(PASSWORD, [fleet], output)


async def test_a_wrong_password_is_not_printed(tmp_path: Path) -> None:
    fleet = build_fleet(2, password="another")
    async with site(fleet, tmp_path) as here:
        password = PASSWORD.replace("$", "$$")
        here.config["modules"]["default"]["auth"]["password"] = password
        run = await here.configure("--apply", "--yes", "--verbose")
    assert run.out.count("HTTP 401: the device refused the username or password") == 2
    assert_hidden(PASSWORD, [fleet], run.out + run.err)
