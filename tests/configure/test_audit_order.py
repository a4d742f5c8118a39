"""Every change is on disk before it is sent to the device, or it is not sent."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from exporter.simulator.device import SimulatedDevice
from exporter.simulator.fleet import build_fleet
from exporter.simulator.ntp_client import SimulatedNtpClient
from tests.support.command_process import asked, is_old, site

COPYING_SYNCED_AUDIT = """#!{python}
# The command, keeping a copy of the audit log each time it is synced to disk.
import os
import shutil

fsync = os.fsync

def noted(descriptor):
    fsync(descriptor)
    path = os.readlink(f"/proc/self/fd/{{descriptor}}")
    if path == "{audit}":
        shutil.copyfile(path, path + ".new")
        os.replace(path + ".new", path + ".on-disk")

os.fsync = noted

from exporter.cli import main

main()
"""

WITH_FULL_DISK = """#!{python}
# The command on a disk with room for a few lines of the audit log.
import resource, signal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))

from exporter.cli import main

main()
"""


def script(folder: Path, text: str, **values: object) -> Path:
    command = folder / "command"
    command.write_text(text.format(python=sys.executable, **values))
    command.chmod(0o700)
    return command


def intended(file: Path, device: SimulatedDevice) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return [each for each in lines if (each["event"], each["device"]) == ("intended", device.name)]


class AuditReadingClient(SimulatedNtpClient):
    """An NTP client of a device that reads the audit log when it is changed."""

    seen: Callable[[], None]

    def configure(self, parameters: Mapping[str, object], host_nanoseconds: int) -> None:
        self.seen()
        super().configure(parameters, host_nanoseconds)


def read_audit_when_changed(
    device: SimulatedDevice, file: Path, seen: dict[str, list[dict[str, Any]]]
) -> None:
    client = AuditReadingClient(device.name, device.clock, device.client.firmware)
    client.seen = lambda: seen.update({device.name: intended(file, device)})
    device.client = device.api.client = client


async def test_the_line_is_on_disk_before_the_change_is_sent(tmp_path: Path) -> None:
    seen: dict[str, list[dict[str, Any]]] = {}
    async with site(12, tmp_path) as here:
        command = script(tmp_path, COPYING_SYNCED_AUDIT, audit=here.audit_file)
        on_disk = here.audit_file.with_name("audit.on-disk")
        for device in here.devices:
            read_audit_when_changed(device, on_disk, seen)
        words = ("--apply", "--yes", f"--audit-log={here.audit_file}")
        async with here.configuring(*words, command=command) as run:
            pass
    assert (run.code, run.err) == (0, "")
    assert {name: len(lines) for name, lines in seen.items()} == {
        device.name: 1 for device in here.devices
    }


async def test_lines_have_user_time_device_before_and_after(tmp_path: Path) -> None:
    async with site(1, tmp_path) as here:
        await here.configure("--apply", "--yes", f"--audit-log={here.audit_file}")
        address = here.served.addresses[0]
        first, second = here.audit
    assert (first["event"], second["event"]) == ("intended", "outcome")
    before = {
        "enabled": True,
        "nts_enabled": False,
        "servers_source": "static",
        "static_servers": ["192.0.2.123", "192.0.2.124"],
        "nts_ke_servers": [],
        "nts_ke_ca_certs": [],
        "minpoll": 6,
        "maxpoll": 10,
    }
    after = {**before, "static_servers": ["10.0.0.1", "10.0.0.2"], "maxpoll": 12}
    for line in (first, second):
        assert (line["device"], line["address"]) == ("sim-00001", address)
        assert (line["before"], line["after"]) == (before, after)
        assert line["time"].endswith("Z")
        assert line["user"]
    assert (second["result"], second["reason"]) == ("set", None)


async def test_the_configuration_read_back_is_recorded_too(tmp_path: Path) -> None:
    async with site(build_fleet(1, "fault:set_ignored"), tmp_path) as here:
        await here.configure("--apply", "--yes", f"--audit-log={here.audit_file}")
        first, second = here.audit
    assert first["after"]["maxpoll"] == 12
    assert second["after"] == second["before"] == first["before"]
    assert second["result"] == "read_back_different"


async def test_a_device_that_is_not_changed_is_not_recorded(tmp_path: Path) -> None:
    async with site(1, tmp_path, expect={"minpoll": 11}) as here:
        run = await here.configure("--apply", "--yes", f"--audit-log={here.audit_file}")
    assert (run.code, here.audit) == (1, [])


async def test_with_a_full_disk_no_device_is_changed(tmp_path: Path) -> None:
    async with site(4, tmp_path) as here:
        command = script(tmp_path, WITH_FULL_DISK, room=0)
        words = ("--json", "--apply", "--yes", f"--audit-log={here.audit_file}")
        async with here.configuring(*words, command=command) as run:
            pass
        assert all(is_old(device) and not asked(device) for device in here.devices)
    assert set(run.results.values()) == {"not_started"}
    assert run.err == f"configure: stopped: {here.audit_file}: cannot be written: File too large\n"
    assert run.code == 1


async def test_an_outcome_that_could_not_be_recorded_is_a_failure(
    tmp_path: Path,
) -> None:
    async with site(1, tmp_path) as here:
        command = script(tmp_path, WITH_FULL_DISK, room=800)
        words = ("--json", "--apply", "--yes", f"--audit-log={here.audit_file}")
        async with here.configuring(*words, command=command) as run:
            pass
    assert set(run.results.values()) == {"set"}
    assert run.code == 1


async def test_when_the_disk_fills_up_no_further_device_is_changed(tmp_path: Path) -> None:
    async with site(20, tmp_path) as here:
        command = script(tmp_path, WITH_FULL_DISK, room=5000)
        words = ("--json", "--apply", "--yes", "--concurrency=1")
        audit = f"--audit-log={here.audit_file}"
        async with here.configuring(*words, audit, command=command) as run:
            pass
        changed = [device for device in here.devices if not is_old(device)]
        lines = here.audit_file.read_text().splitlines()
        recorded = {json.loads(line)["device"] for line in lines[:-1]}
    assert 0 < len(changed) < 20
    assert {device.name for device in changed} <= recorded
    assert set(run.results.values()) == {"set", "not_started"}
    assert "cannot be written" in run.err
