"""Interrupted, every device is old or new, and it is told which; running again finishes."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from exporter.simulator.fleet import build_fleet
from tests.support.command_process import CommandSite, asked, is_new, is_old, site

DEVICES = 8
OPEN = 3
FLAGS = ("--json", "--apply", "--yes", f"--concurrency={OPEN}")

SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])


def changing(here: CommandSite) -> int:
    return sum(asked(device) for device in here.devices)


@SIGNALS
async def test_interrupted_it_finishes_what_is_open_and_begins_nothing_more(
    number: signal.Signals, tmp_path: Path
) -> None:
    fleet = build_fleet(DEVICES, "fault:set_hang")
    async with site(fleet, tmp_path, timeout="4s") as here:
        async with here.configuring(*FLAGS) as run:
            await run.until(lambda: changing(here) == OPEN)
            run.signal(number)
        new = {device.name for device in here.devices if is_new(device)}
        old = {device.name for device in here.devices if is_old(device)}
        assert changing(here) == len(new) == OPEN
    assert len(new) + len(old) == DEVICES
    assert run.results == {**dict.fromkeys(new, "set"), **dict.fromkeys(old, "not_started")}
    assert {run.documents[name]["reason"] for name in old} == {
        "nothing was sent that changes it: it is as it was"
    }
    assert run.code == 1
    assert "Traceback" not in run.err


async def test_running_it_again_finishes_the_job(tmp_path: Path) -> None:
    async with site(build_fleet(DEVICES, "fault:set_hang"), tmp_path, timeout="4s") as here:
        async with here.configuring(*FLAGS) as run:
            await run.until(lambda: changing(here) == OPEN)
            run.signal()
        for device in here.devices:
            device.fault = None
        again = await here.configure(*FLAGS)
        assert all(is_new(device) for device in here.devices)
        assert {asked(device) for device in here.devices} == {1}, "nobody is changed twice"
    done = {name: "already_right" for name, result in run.results.items() if result == "set"}
    assert again.results == {**dict.fromkeys(run.results, "set"), **done}
    assert again.code == 0


@SIGNALS
async def test_interrupted_again_it_quits_at_once_and_tells_who_is_uncertain(
    number: signal.Signals, tmp_path: Path
) -> None:
    fleet = build_fleet(DEVICES, "fault:set_hang")
    async with site(fleet, tmp_path, timeout="1h") as here:
        async with here.configuring(*FLAGS, f"--audit-log={here.audit_file}") as run:
            await run.until(lambda: changing(here) == OPEN)
            run.signal(number)
            await run.until(lambda: "interrupt again to quit at once" in run.err)
            interrupted = time.monotonic()
            run.signal(number)
            await run.process.wait()
            assert time.monotonic() - interrupted < 15
        begun = {device.name for device in here.devices if asked(device)}
        assert {line["device"] for line in here.audit} == begun
        assert {line["event"] for line in here.audit} == {"intended"}
    results = {name: "uncertain" if name in begun else "not_started" for name in run.results}
    assert (run.results, run.code) == (results, 1)
    assert len(begun) == OPEN
    assert {run.documents[name]["reason"] for name in begun} == {
        "the change was under way when this ended: old or new is not known"
    }


async def test_a_person_is_told_which_devices_are_which(tmp_path: Path) -> None:
    async with site(build_fleet(3, "fault:set_hang"), tmp_path, timeout="1h") as here:
        flags = ("--apply", "--yes", "--concurrency=1")
        async with here.configuring(*flags) as run:
            await run.until(lambda: changing(here) == 1)
            run.signal()
            await run.until(lambda: "interrupt again" in run.err)
            run.signal()
        one, two, three = here.served.addresses
    assert run.out.splitlines()[-5:] == [
        f"sim-00001 ({one}): uncertain: "
        "the change was under way when this ended: old or new is not known",
        f"sim-00002 ({two}): not started: nothing was sent that changes it: it is as it was",
        f"sim-00003 ({three}): not started: nothing was sent that changes it: it is as it was",
        "3 devices: 2 not started, 1 uncertain",
        "Not finished: run it again.",
    ]


async def test_reading_is_given_up_at_the_first_signal_and_nothing_is_changed(
    tmp_path: Path,
) -> None:
    async with site(4, tmp_path, timeout="1h") as here:
        here.devices[2].fault = "hang"
        async with here.configuring("--json", "--apply", "--yes", "--concurrency=1") as run:
            await run.until(lambda: here.devices[2].requests.total == 1)
            run.signal()
        assert changing(here) == 0
    assert list(run.results.values()) == ["different", "different", "not_started", "not_started"]
    assert run.code == 1


async def test_a_device_that_hangs_before_it_is_changed_is_not_waited_for(tmp_path: Path) -> None:
    async with site(build_fleet(2, "fault:set_hang"), tmp_path, timeout="4s") as here:
        first, second = here.devices
        modules = here.config["modules"]
        modules["patient"] = {**modules["default"], "timeout": "1h"}
        here.config["devices"][1]["module"] = "patient"
        async with here.configuring("--json", "--apply", "--yes", "--concurrency=1") as run:
            await run.until(lambda: asked(first) == 1)
            # Read once already, it hangs when it is read again before its change.
            second.fault = "hang"
            read_before = second.requests.total
            await run.until(lambda: second.requests.total > read_before)
            run.signal()
        assert is_old(second)
    assert run.results == {first.name: "set", second.name: "not_started"}


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_interrupted_while_it_still_starts_it_is_not_done(name: str) -> None:
    signal_while_importing = (
        "import importlib, os, signal, time, exporter.cli as cli\n"
        f"stop = lambda _: os.kill(os.getpid(), signal.{name}) or time.sleep(9)\n"
        "importlib.import_module = stop\n"
        "cli.main(['configure'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", signal_while_importing], capture_output=True, check=False, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
