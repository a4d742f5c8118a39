"""From nothing to 200 devices that are up and verified by pin, with the installed command."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.simulator.device_state import DEFAULT_PASSWORD, DEFAULT_USERNAME
from exporter.simulator.fleet import SimulatedFleet, build_fleet, serve_fleet
from tests.daemon.series import UP
from tests.discovery.inventory import TOKEN, netbox_device, serving_inventory
from tests.recipes.page import sections
from tests.support.command_process import Run, running_command
from tests.support.daemon_process import DaemonProcess, Scrape, daemon
from tests.support.programs import LOOPBACK, free_port

DEVICES: Final = 200
NETWORK: Final = "127.21.0.0/24"


@dataclass
class Network:
    """200 https devices with self-signed certificates; the last one can get another one."""

    fleet: SimulatedFleet
    port: int

    @property
    def hosts(self) -> list[str]:
        return [f"127.21.0.{number}" for number in range(1, DEVICES + 1)]

    @property
    def addresses(self) -> list[str]:
        return [f"{host}:{self.port}" for host in self.hosts]

    @asynccontextmanager
    async def serving(self, members: slice) -> AsyncIterator[None]:
        """Serve some of the devices; each time, their certificates are new."""
        part = replace(self.fleet, members=self.fleet.members[members])
        host = self.hosts[members][0]
        async with serve_fleet(part, host=host, port=self.port, spread="address"):
            yield


class Story:
    """A user's folder, in which each command must succeed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._config = folder / "config.yaml"
        self._began = time.monotonic()

    async def run(self, *words: str, typed: str = "") -> Run:
        async with running_command(*words, typed=typed.encode(), folder=self.folder) as run:
            pass
        assert run.code == 0, f"{words}:\n{run.out}{run.err}"
        return run

    async def init(self) -> None:
        """Make the folder, with an interval that does not let the test wait for a minute."""
        username = f"--username={DEFAULT_USERNAME}"
        await self.run("init", username, typed=f"{DEFAULT_PASSWORD}\n")
        text = self._config.read_text()
        assert text.count("interval: 60s") == 1
        self._config.write_text(text.replace("interval: 60s", "interval: 5s"))

    def add(self, text: str) -> None:
        with self._config.open("a", encoding="utf-8") as opened:
            opened.write(text)

    async def pin(self) -> None:
        """Trust the certificates that the devices have now."""
        run = await self.run("check", "--pin", "--yes")
        assert f"{DEVICES} devices: {DEVICES} new\n" in run.out

    def print_time(self) -> None:
        """Print how long it took: it depends on the machine, so nothing is asserted."""
        took = time.monotonic() - self._began
        sys.stdout.write(f"{took:.1f} s from `init` until {DEVICES} devices were up\n")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[DaemonProcess]:
        flags = (f"--config.file={self._config}", f"--web.listen-address={LOOPBACK}:0")
        async with daemon("run", *flags) as started:
            yield started

    async def assert_nothing_is_skipped(self, running: DaemonProcess) -> None:
        """No certificate check is turned off, in the file and in the config in force."""
        assert "insecure_skip_verify" not in self._config.read_text()
        _, page = await running.get("/config")
        assert "insecure_skip_verify: true" not in page


@asynccontextmanager
async def network() -> AsyncIterator[tuple[Network, AsyncExitStack]]:
    """Serve all devices; closing the stack ends the last one."""
    devices = Network(build_fleet(DEVICES, scheme="https"), free_port())
    async with devices.serving(slice(DEVICES - 1)), AsyncExitStack() as last:
        await last.enter_async_context(devices.serving(slice(DEVICES - 1, DEVICES)))
        yield devices, last


async def play(story: Story, devices: Network, last: AsyncExitStack, site: str) -> None:
    """Run the daemon: all devices are up, and one with a new certificate is refused."""
    await story.pin()
    check = await story.run("run", "--config.check")
    assert f"valid, {DEVICES} devices ({DEVICES} from " in check.out
    async with story.running() as running:
        now = await running.until(lambda now: sum(now.by_device(UP).values()) == DEVICES)
        story.print_time()
        assert len(now.by_device(UP)) == DEVICES
        assert {labels["site"] for labels, _ in now.all(UP)} == {site}
        await running.logs(f"polls.first_round_ended devices={DEVICES} answered={DEVICES}")
        await story.assert_nothing_is_skipped(running)
        await last.aclose()
        before = devices.fleet.devices[-1].requests.total
        async with devices.serving(slice(DEVICES - 1, DEVICES)):
            now = await running.until(lambda now: refused(now) != [])
            assert refused(now) == [devices.addresses[-1]]
            assert devices.fleet.devices[-1].requests.total == before
        assert sum(now.by_device(UP).values()) == DEVICES - 1


def refused(now: Scrape) -> list[str]:
    """The addresses of the devices whose certificate is refused."""
    names = {labels["device"] for labels, _ in now.all("axis_ntp_last_error", reason="tls")}
    infos = now.all("axis_ntp_device_info")
    return [labels["address"] for labels, _ in infos if labels["device"] in names]


async def test_devices_that_find_has_found(tmp_path: Path) -> None:
    async with network() as (devices, last):
        story = Story(tmp_path)
        await story.init()
        words = (f"--ports={devices.port}", "--label=site=hq", "--output=devices/hq.yaml")
        await story.run("find", NETWORK, *words)
        await play(story, devices, last, "hq")


async def test_devices_that_netbox_lists(tmp_path: Path) -> None:
    async with network() as (devices, last), AsyncExitStack() as stack:
        listed = [netbox_device(f"Cam {n}", host) for n, host in enumerate(devices.hosts)]
        story = Story(tmp_path)
        await story.init()
        (tmp_path / "netbox-token").write_text(f"{TOKEN}\n")
        netbox = await stack.enter_async_context(serving_inventory(tmp_path, targets=listed))
        netbox.ca_file.rename(tmp_path / "private-ca.pem")
        story.add(netbox_section(netbox.port, devices.port))
        await play(story, devices, last, "hq")


def netbox_section(port: int, device_port: int) -> str:
    """The recipe's section; only the ports differ, because those of the test are free ones."""
    section: dict[str, Any] = yaml.safe_load(sections()["NetBox"].blocks["yaml"])
    [server], rules = section["http_sd_configs"], section["relabel_configs"]
    server["url"] = server["url"].replace("netbox.example", f"localhost:{port}")
    assert rules[0]["target_label"] == "__address__"
    rules[0]["replacement"] = f"$1:{device_port}"
    return yaml.safe_dump(section)
