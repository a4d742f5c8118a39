"""`check --watch`: rounds until interrupted, with the devices' clients and clocks kept."""

import csv
import io
import json
import re
import signal
from pathlib import Path

import pytest

from exporter.simulator.fleet import build_fleet
from exporter.simulator.time_server import SimulatedTimeServer
from tests.check.process import check_site
from tests.check.test_host_clock import site_with
from tests.support.command_process import running_command, site
from tests.support.terminal import CONTROL, at_terminal

TIME_LINE = re.compile(r"^[\d-]{10} [\d:]{8} UTC, every 1s, until Ctrl-C$", re.MULTILINE)


async def test_rounds_are_appended_until_ctrl_c_which_keeps_the_last_exit_code(
    tmp_path: Path,
) -> None:
    async with site(2, tmp_path, expect={}) as here:
        here.devices[1].fault = "unauthorized"
        words = ("check", f"--config.file={here.write_config()}", "--watch")
        async with running_command(*words) as run:
            await run.until(lambda: "1 with a problem" in run.out)
            here.devices[1].fault = None
            await run.until(lambda: "2 devices: 2 fine" in run.out)
            run.signal(signal.SIGINT)
    assert (run.code, run.err) == (0, "")
    rounds = TIME_LINE.split(run.out)
    assert rounds[0] == ""
    assert all(each.startswith("\nDEVICE ") for each in rounds[1:])


async def test_an_interrupted_round_is_not_printed_and_does_not_count(tmp_path: Path) -> None:
    async with site(2, tmp_path, timeout="1h", expect={}) as here:
        words = ("check", f"--config.file={here.write_config()}", "--watch=1s")
        async with running_command(*words) as run:
            await run.until(lambda: "2 devices: 2 fine" in run.out)
            here.devices[1].fault = "hang"
            seen = here.devices[1].requests.total
            await run.until(lambda: here.devices[1].requests.total > seen)
            run.signal(signal.SIGINT)
    assert (run.code, run.err) == (0, "")
    assert "not checked" not in run.out


async def test_ctrl_c_in_the_first_round_prints_what_there_is(tmp_path: Path) -> None:
    async with site(build_fleet(2, "fault:hang"), tmp_path, timeout="1h", expect={}) as here:
        words = ("check", f"--config.file={here.write_config()}", "--watch")
        async with running_command(*words) as run:
            await run.until(lambda: sum(each.requests.total for each in here.devices) == 2)
            run.signal(signal.SIGINT)
    assert run.out.endswith("\n2 devices: 2 not checked\n")
    assert run.code == 1


async def test_a_nonce_of_the_first_round_keeps_the_clock_precise(tmp_path: Path) -> None:
    async with site(1, tmp_path, expect={}) as here:
        words = ("check", f"--config.file={here.write_config()}", "--watch=1s", "--json")
        async with running_command(*words) as run:
            await run.until(lambda: run.out.count("\n]\n") >= 3)
            run.signal(signal.SIGINT)
        assert here.devices[0].requests.statuses[401] == 1, "the login is kept"
    decoder, rest, rounds = json.JSONDecoder(), run.out, []
    while rest.strip():
        document, end = decoder.raw_decode(rest.lstrip())
        rounds.append(document)
        rest = rest.lstrip()[end:]
    assert all(each[0]["clock"]["uncertainty_seconds"] < 0.25 for each in rounds)


async def test_csv_of_many_rounds_has_one_header_and_times(tmp_path: Path) -> None:
    async with site(2, tmp_path, expect={}) as here:
        words = ("check", f"--config.file={here.write_config()}", "--watch=1s", "--format=csv")
        async with running_command(*words) as run:
            await run.until(lambda: run.out.count("\n") >= 5)
            run.signal(signal.SIGINT)
    rows = list(csv.DictReader(io.StringIO(run.out)))
    assert [row["device"] for row in rows[:4]] == ["sim-00001", "sim-00002"] * 2
    assert rows[0]["time"] < rows[2]["time"]


async def test_a_terminal_is_drawn_anew_and_shows_the_worst_that_fit(tmp_path: Path) -> None:
    async with site(30, tmp_path, expect={}) as here:
        here.devices[20].fault = "unauthorized"
        file = f"--config.file={here.write_config()}"
        size = {"LINES": "16", "COLUMNS": "80"}
        async with at_terminal("check", file, "--watch=1s", environment=size) as terminal:
            await terminal.until(lambda: terminal.screen.count("\x1b[H\x1b[2J") == 2)
            terminal.process.send_signal(signal.SIGINT)
            assert await terminal.end() == 1
    window = terminal.screen.split("\x1b[H\x1b[2J")[1].partition("checking")[0]
    window = CONTROL.sub("", window)
    shown = re.findall(r"\b(DEVICE|sim-\d+) ", window)
    assert shown[:2] == ["DEVICE", "sim-00021"]
    assert re.search(r"… and \d+ more devices", window)
    assert window.count("\n") <= 15, "the bar and the cursor have their lines"


async def test_time_servers_are_not_asked_more_often_than_in_their_interval(
    tmp_path: Path,
) -> None:
    servers = [SimulatedTimeServer(offset_seconds=0.0) for _ in range(2)]
    async with site_with(servers, tmp_path, devices=2) as (here, _):
        words = ("check", f"--config.file={here.write_config()}", "--watch=1s")
        async with running_command(*words) as run:
            await run.until(lambda: run.out.count("(2 time servers)") >= 2)
            run.signal(signal.SIGINT)
    assert [each.requests for each in servers] == [1, 1]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (
            ["--watch", "sim-00001"],
            "argument --watch: 'sim-00001' is not a duration such as 30s, 1m30s or 500ms; "
            "a DEVICE stands before --watch, or after --watch=30s",
        ),
        (["--watch=500ms"], "argument --watch: must be at least 1s"),
    ],
)
async def test_a_wrong_interval_is_a_usage_error(
    words: list[str], problem: str, tmp_path: Path
) -> None:
    async with site(1, tmp_path, expect={}) as here:
        run = await check_site(here, *words)
        assert here.devices[0].requests.total == 0
    assert problem in run.err
    assert (run.code, run.out) == (2, "")
