"""`check` with a config: which devices are fine, problems and advice, exit codes."""

import asyncio
import csv
import io
import re
import signal
from pathlib import Path

import pytest

from exporter.simulator.faults import FAULTS
from exporter.simulator.fleet import build_fleet
from tests.check.process import check, check_site, empty_folder
from tests.support.command_process import GET, SET, running_command, site
from tests.support.daemon_process import COMMAND
from tests.support.passwords import PASSWORD, assert_hidden

TIMEOUT_ADVICE = "Check device load and firewall, or raise the timeout."
PROBLEMS = {
    "not_synced": (
        "not synchronized",
        "Check that the device can reach its NTP servers, and that they respond.",
    ),
    "client_disabled": ("NTP client disabled", "Enable the device's NTP client."),
    "no_client_section": (
        "no NTP client",
        "Update the device's firmware: it reports no NTP client.",
    ),
    "stepped": (
        "its clock is off",
        "Check that its NTP client is enabled and its servers answer; if many devices are off, "
        "check this host's clock.",
    ),
    "no_servers": (
        "no servers configured",
        "Configure NTP servers on the device, or have its DHCP server name some.",
    ),
    "unauthorized": (
        "unauthorized 401",
        "Correct the username and password, or the account on the device.",
    ),
    "stale_every_request": (
        "unauthorized 401",
        "Restart the device; if that does not help, update its firmware.",
    ),
    "wrong_role_403": (
        "forbidden 403",
        "Give the account administrator rights, or wait: the device also blocks an address for some"
        " seconds after wrong logins, perhaps of another client.",
    ),
    "factory_new": ("unauthorized 401", "Set the device's first password in its web interface."),
    "not_found": (
        "unsupported 404",
        "Update the device's firmware: the NTP API needs AXIS OS 9.10 or newer.",
    ),
    "http_503": (
        "http_status 503",
        "Wait: the device is busy or starting, and is polled again.",
    ),
    "not_json": (
        "invalid_response",
        "Check that the address is that of an Axis device; if so, update it.",
    ),
    "hang": ("timeout", TIMEOUT_ADVICE),
    "slow_body": ("timeout", TIMEOUT_ADVICE),
    "drop": (
        "disconnected",
        "Check whether http and https are mixed up (`scheme`), or restart the device.",
    ),
    "api_error_1000": (
        "api_error 1000",
        "Restart the device; if that does not help, update its firmware.",
    ),
    "api_error_4002": (
        "forbidden 4002",
        "Give the account administrator rights on the device.",
    ),
}

NAMES = ["connection", "TLS", "login", "API version", "NTP client", "servers", "clock"]


def rows(out: str) -> list[tuple[str, str]]:
    """Return name and text of each row of the tables."""
    return re.findall(r"^  (\S.{0,10}?) {2,}(.*)$", out, re.MULTILINE)


async def test_a_fine_device_is_explained_and_the_exit_code_is_0(tmp_path: Path) -> None:
    async with site(1, tmp_path, expect={"maxpoll": 10}) as here:
        run = await check_site(here)
        assert here.devices[0].requests.api_methods[GET] == 1, "one request polls a device"
        assert here.devices[0].requests.api_methods[SET] == 0
        address = here.served.addresses[0]
    shown = rows(run.out)
    assert run.out.splitlines()[0] == f"sim-00001 ({address}): fine"
    assert [name for name, _ in shown] == [*NAMES, "settings"]
    values = dict(shown)
    assert re.fullmatch(r"http, responded in \d+ ms", values["connection"])
    assert (values["TLS"], values["login"], values["API version"]) == ("none", "digest", "1.5")
    assert re.fullmatch(r"enabled, synchronized, \S+ .s from its server", values["NTP client"])
    assert values["servers"] == "192.0.2.123, 192.0.2.124 (static)"
    assert re.fullmatch(r"[+-]\S+ .?s ± \S+ .?s from this host's", values["clock"])
    assert values["settings"] == "as expected"
    assert run.out.endswith("\n1 device: 1 fine\n")
    assert (run.err, run.code) == ("", 0)


async def test_each_problem_has_advice_and_the_exit_code_is_1(
    tmp_path: Path,
) -> None:
    fleet = build_fleet(1 + len(FAULTS), "mixed")
    async with site(fleet, tmp_path, timeout="2s", expect={}) as here:
        run = await check_site(here, "--json")
    found = {
        fault: [(each["what"], each["advice"]) for each in document["troubles"]]
        for fault, document in zip(["healthy", *FAULTS], run.documents.values(), strict=True)
    }
    assert {fault: found[fault] for fault in PROBLEMS} == {
        fault: [problem] for fault, problem in PROBLEMS.items()
    }
    for document in run.documents.values():
        assert document["checked"]
        assert document["fine"] == (not document["troubles"])
        assert {each["level"] for each in document["troubles"]} <= {
            "bad" if document["error"] else "warning"
        }
    assert found["healthy"] == []
    assert (run.err, run.code) == ("", 1)


async def test_a_problem_is_shown_with_its_error_and_counted(tmp_path: Path) -> None:
    async with site(3, tmp_path, expect={}) as here:
        for device in here.devices[1:]:
            device.fault = "unauthorized"
        run = await check_site(here, "--verbose")
        some = await check_site(here, "-v", "--only-problems")
        old_name = await check_site(here, "-v", "--only-troubles")
    assert run.out.count("  login        refused\n") == 2
    what, to_do = PROBLEMS["unauthorized"]
    message = f"{what}: HTTP 401: the device refused the username or password"
    assert rows(some.out)[-2:] == [("problem", message), ("what to do", to_do)]
    assert run.out.startswith("sim-00002 "), "the worst first"
    end = f"      2 unauthorized 401: sim-00002, sim-00003\n        {to_do}\n"
    assert run.out.endswith(f"\n3 devices: 1 fine, 2 with a problem\n{end}")
    assert "sim-00001" not in some.out
    assert some.out.endswith(f"\n3 devices: 1 fine, 2 with a problem\n{end}")
    assert (run.code, some.code) == (1, 1)
    assert old_name.out.endswith(some.out.splitlines()[-1] + "\n")
    assert "sim-00001" not in old_name.out


async def test_an_unknown_host_and_a_closed_port_are_explained(tmp_path: Path) -> None:
    async with site(2, tmp_path, expect={}) as here:
        here.config["devices"][0]["address"] = "nobody.invalid"
        here.config["devices"][1]["address"] = "127.0.0.1:1"
        run = await check_site(here, "--json")
    problems = [document["troubles"][0] for document in run.documents.values()]
    assert problems == [
        {
            "level": "bad",
            "what": "dns",
            "advice": "Correct the device's host name, or check the DNS server of this host.",
        },
        {
            "level": "bad",
            "what": "connect",
            "advice": "Check power and network of the device, and its address and scheme.",
        },
    ]
    assert run.code == 1


async def test_a_mismatch_with_expect_is_a_problem(tmp_path: Path) -> None:
    async with site(1, tmp_path, expect={"maxpoll": 12}) as here:
        run = await check_site(here)
        document = (await check_site(here, "--json")).documents["sim-00001"]
    assert rows(run.out)[-2:] == [
        ("problem", "not as expected: maxpoll"),
        (
            "what to do",
            "Run `axis-ntp-exporter configure` to see the differences, --apply to fix them.",
        ),
    ]
    assert document["mismatches"] == ["maxpoll"]
    assert run.code == 1


async def test_json_is_a_list_with_one_object_per_device(tmp_path: Path) -> None:
    async with site(2, tmp_path, expect={}) as here:
        run = await check_site(here, "--json", here.devices[0].name)
        address, labels = here.served.addresses[0], here.config["devices"][0]["labels"]
    [document] = run.documents.values()
    measured = {key: document.pop(key) for key in ("seconds", "client", "clock")}
    assert document == {
        "device": "sim-00001",
        "address": address,
        "labels": labels,
        "checked": True,
        "fine": True,
        "scheme": "http",
        "answered": True,
        "error": None,
        "tls": None,
        "authentication": "digest",
        "api_version": "1.5",
        "true_offset_seconds": None,
        "true_offset_uncertainty_seconds": None,
        "mismatches": None,
        "troubles": [],
    }
    assert 0 < measured["seconds"] < 5
    assert measured["client"]["active_servers"] == ["192.0.2.123", "192.0.2.124"]
    assert abs(measured["clock"]["seconds"]) < 0.5
    assert 0 < measured["clock"]["uncertainty_seconds"] < 0.5
    assert (run.err, run.code) == ("", 0)


async def test_several_devices_are_a_table_with_the_worst_first(tmp_path: Path) -> None:
    async with site(3, tmp_path, expect={}) as here:
        here.devices[1].fault = "client_disabled"
        here.devices[2].fault = "unauthorized"
        run = await check_site(here, COLUMNS="80")
        some = await check_site(here, "--only-problems", "--sort=name", COLUMNS="80")
    head, *table = run.out.splitlines()[:4]
    host, *_, first, _, second, _ = run.out.splitlines()[4:]
    assert head.split() == ["DEVICE", "ADDRESS", "STATE", "REPORTED", "MEASURED", "PROBLEM"]
    begins = [line.split()[:3] for line in table]
    names = zip(here.served.addresses, ["fine", "warning", "bad"], strict=True)
    expected = [[f"sim-0000{n}", *each] for n, each in enumerate(names, 1)]
    assert begins == expected[::-1]
    assert all(len(line) <= 80 for line in run.out.splitlines())
    assert host.startswith("this host's clock")
    assert first == "      1 NTP client disabled: sim-00002"
    assert second == "      1 unauthorized 401: sim-00003"
    assert [line.split()[:3] for line in some.out.splitlines()[1:3]] == expected[1:]
    assert (run.code, run.err) == (1, "")


async def test_csv_has_a_row_for_each_device_in_the_order_of_the_config(tmp_path: Path) -> None:
    async with site(2, tmp_path, expect={}) as here:
        here.devices[1].fault = "unauthorized"
        run = await check_site(here, "--format=csv")
        worst_first = await check_site(here, "--format=csv", "--sort=problem")
    found = list(csv.DictReader(io.StringIO(run.out)))
    assert [(row["device"], row["state"]) for row in found] == [
        ("sim-00001", "fine"),
        ("sim-00002", "bad"),
    ]
    assert abs(float(found[0]["measured_offset_seconds"])) < 1
    assert (found[1]["reason"], found[1]["code"]) == ("unauthorized", "401")
    assert found[0]["label_site"] == "simulated"
    assert worst_first.out.splitlines()[1].startswith("sim-00002,")
    assert (run.code, run.err) == (1, "")


async def test_json_may_be_asked_for_twice_but_no_second_format(tmp_path: Path) -> None:
    async with site(1, tmp_path, expect={}) as here:
        same = await check_site(here, "--json", "--format=json")
        other = await check_site(here, "--json", "--format=csv")
        assert here.devices[0].requests.api_methods[GET] == 1
    assert (same.code, list(same.documents)) == (0, ["sim-00001"])
    assert (other.code, other.out) == (2, "")
    assert other.err == "check: use either --json or --format=csv, not both\n"


USAGE_ERRORS = [
    (["sim-1"], "check: no device has the name or address 'sim-1' (did you mean "),
    (["--site=nowhere"], "check: no device matches site=nowhere; known values: simulated\n"),
    (["--concurrency=0"], "argument --concurrency: '0' is not within 1 to 10000\n"),
    (["--config.file=missing.yaml"], "check: missing.yaml: cannot be read: No such file"),
    (["--username=root"], "check: use either --config.file or flags such as --username, not both"),
]


@pytest.mark.parametrize(("words", "problem"), USAGE_ERRORS, ids=lambda each: str(each)[:40])
async def test_usage_errors_exit_with_2(words: list[str], problem: str, tmp_path: Path) -> None:
    async with site(1, tmp_path, expect={}) as here:
        run = await check_site(here, "--json", *words)
        assert here.devices[0].requests.total == 0
    assert problem in run.err
    assert (run.code, run.out) == (2, "")
    assert "Traceback" not in run.err


async def test_a_config_error_exits_with_2(tmp_path: Path) -> None:
    async with site(1, tmp_path, expect={}) as here:
        here.config["devices"][0]["adress"] = "x"
        run = await check_site(here)
    assert "devices[0].adress: unknown key (did you mean address?)" in run.err
    assert run.code == 2


async def test_a_failed_source_of_devices_exits_with_1(tmp_path: Path) -> None:
    async with site(1, tmp_path, expect={}) as here:
        (tmp_path / "broken.json").write_text("{")
        here.config["file_sd_configs"] = [{"files": ["broken.json"]}]
        run = await check_site(here)
        named = await check_site(here, "sim-00001")
    assert run.err.endswith("check: some devices could not be discovered, see `discovery` above\n")
    assert (run.code, named.code) == (1, 0)


async def test_an_interrupt_reports_the_results_so_far(tmp_path: Path) -> None:
    async with site(3, tmp_path, timeout="1h", expect={}) as here:
        here.devices[1].fault = "hang"
        file = f"--config.file={here.write_config()}"
        async with running_command("check", file, "--json", "--concurrency=1") as run:
            await run.until(lambda: here.devices[1].requests.total == 1)
            run.signal(signal.SIGINT)
        assert here.devices[2].requests.total == 0
    assert [each["checked"] for each in run.documents.values()] == [True, False, False]
    assert [each["fine"] for each in run.documents.values()] == [True, False, False]
    assert (run.err, run.code) == ("check: interrupted\n", 1)


async def test_the_concurrency_of_the_config_is_respected(tmp_path: Path) -> None:
    async with site(build_fleet(6, "fault:hang"), tmp_path, timeout="1h", expect={}) as here:
        here.config["global"]["concurrency"] = 2
        file = f"--config.file={here.write_config()}"
        async with running_command("check", file) as run:
            await run.until(lambda: sum(d.requests.total for d in here.devices) == 2)
            run.signal()
        assert sum(device.requests.total for device in here.devices) == 2
    assert "6 devices: 6 not checked" in run.out


async def test_a_large_fleet_is_checked_completely(tmp_path: Path) -> None:
    async with site(300, tmp_path, timeout="10s", expect={}) as here:
        here.devices[7].fault = "drop"
        run = await check_site(here)
    end = run.out.splitlines()[-3:]
    assert end[:2] == ["300 devices: 299 fine, 1 with a problem", "      1 disconnected: sim-00008"]
    assert run.code == 1


@pytest.mark.parametrize(("scheme", "auth"), [("http", "digest"), ("https", "basic")])
async def test_no_password_is_printed_whatever_fails(
    scheme: str, auth: str, tmp_path: Path
) -> None:
    fleet = build_fleet(1 + len(FAULTS), "mixed", password=PASSWORD, scheme=scheme, auth=auth)
    async with site(fleet, tmp_path, timeout="2s", expect={}) as here:
        runs = [await check_site(here, *words) for words in ([], ["--json"])]
        assert here.devices[0].requests.authorized, "the run must have used the password"
    assert_hidden(PASSWORD, [fleet], "".join(run.out + run.err for run in runs))


async def test_text_of_a_hostile_device_stays_on_its_line(tmp_path: Path) -> None:
    async with site(1, tmp_path, expect={}) as here:
        here.config["devices"][0]["name"] = "\x1b[2J\nline"
        here.devices[0].client.configuration.static_servers = ["[blink]x[/blink]\u202e", "b"]
        run = await check_site(here)
    assert run.out.startswith(r"\x1b[2J\nline (")
    assert not {c for c in run.out + run.err if not c.isprintable()} - {"\n"}


async def test_colors_and_progress_are_for_terminals_only(tmp_path: Path) -> None:
    async with site(1, tmp_path, expect={}) as here:
        run = await check_site(here, FORCE_COLOR="1", TTY_COMPATIBLE="1", TERM="xterm-256color")
    assert "\x1b" not in run.out + run.err
    assert run.err == ""


async def test_a_closed_pipe_causes_no_traceback(tmp_path: Path) -> None:
    async with site(40, tmp_path, expect={}) as here:
        words = f"{COMMAND} check --config.file={here.write_config()}"
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            f"{words} | true; echo ${{PIPESTATUS[0]}}",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert await process.communicate() == (
            b"1\n",
            b"axis-ntp-exporter: cannot write the output: Broken pipe\n",
        )


async def test_an_encoding_without_a_plus_minus_sign_is_supported(tmp_path: Path) -> None:
    async with site(1, tmp_path, expect={}) as here:
        run = await check_site(here, PYTHONIOENCODING="ascii")
    assert r" \xb1 " in run.out
    assert run.code == 0


async def test_a_new_user_without_config_and_arguments_gets_an_example(tmp_path: Path) -> None:
    run = await check(folder=empty_folder(tmp_path))
    assert run.err == (
        "check: there is no config.yaml; to check a device without a config:"
        " axis-ntp-exporter check 192.168.0.90 --username root\n"
        "To have a config, write one with `axis-ntp-exporter init`, or look at simulated devices"
        " first with `axis-ntp-exporter demo`.\n"
    )
    assert (run.code, run.out) == (2, "")
