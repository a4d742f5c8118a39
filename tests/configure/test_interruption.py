"""After an interrupt each device has old or new settings; a second run completes the job."""

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
async def test_an_interrupt_completes_changes_in_progress_and_starts_no_other(
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
        "no change was sent: the device has its old settings"
    }
    assert run.code == 1
    assert "Traceback" not in run.err


async def test_a_second_run_completes_the_job(tmp_path: Path) -> None:
    async with site(build_fleet(DEVICES, "fault:set_hang"), tmp_path, timeout="4s") as here:
        async with here.configuring(*FLAGS) as run:
            await run.until(lambda: changing(here) == OPEN)
            run.signal()
        for device in here.devices:
            device.fault = None
        again = await here.configure(*FLAGS)
        assert all(is_new(device) for device in here.devices)
        assert {asked(device) for device in here.devices} == {1}, "no device is changed twice"
    done = {name: "already_right" for name, result in run.results.items() if result == "set"}
    assert again.results == {**dict.fromkeys(run.results, "set"), **done}
    assert again.code == 0


@SIGNALS
async def test_a_second_interrupt_quits_at_once_and_reports_uncertain_devices(
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
        "interrupted during the change: the device has its old or its new settings"
    }


async def test_the_text_output_shows_the_result_of_each_device(tmp_path: Path) -> None:
    async with site(build_fleet(3, "fault:set_hang"), tmp_path, timeout="1h") as here:
        flags = ("--apply", "--yes", "--verbose", "--concurrency=1")
        async with here.configuring(*flags) as run:
            await run.until(lambda: changing(here) == 1)
            run.signal()
            await run.until(lambda: "interrupt again" in run.err)
            run.signal()
        one, two, three = here.served.addresses
    assert run.out.splitlines()[-5:] == [
        f"sim-00001 ({one}): uncertain: "
        "interrupted during the change: the device has its old or its new settings",
        f"sim-00002 ({two}): not started: no change was sent: the device has its old settings",
        f"sim-00003 ({three}): not started: no change was sent: the device has its old settings",
        "3 devices: 2 not started, 1 uncertain",
        "Not finished: run the command again.",
    ]


async def test_the_first_signal_abandons_reading_and_nothing_is_changed(
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


async def test_an_interrupt_does_not_wait_for_a_device_that_is_read_again(tmp_path: Path) -> None:
    async with site(build_fleet(2, "fault:set_hang"), tmp_path, timeout="4s") as here:
        first, second = here.devices
        modules = here.config["modules"]
        modules["patient"] = {**modules["default"], "timeout": "1h"}
        here.config["devices"][1]["module"] = "patient"
        async with here.configuring("--json", "--apply", "--yes", "--concurrency=1") as run:
            await run.until(lambda: asked(first) == 1)
            # It was read once; now it hangs when it is read again before its change.
            second.fault = "hang"
            read_before = second.requests.total
            await run.until(lambda: second.requests.total > read_before)
            run.signal()
        assert is_old(second)
    assert run.results == {first.name: "set", second.name: "not_started"}


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_during_startup_is_a_failure(name: str) -> None:
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
