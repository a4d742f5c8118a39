"""A daemon on simulated devices whose config a test rewrites."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from exporter.simulator.fleet import SimulatedFleet, build_fleet, serve_fleet
from tests.support.daemon_process import DaemonProcess, Scrape, daemon_on

POLLS = "axis_ntp_polls_total"


FAILURES = "axis_ntp_poll_failures_total"


UP = "axis_ntp_up"


SUCCESSFUL = "axis_ntp_exporter_config_last_reload_successful"


LOADED_AT = "axis_ntp_exporter_config_last_reload_success_timestamp_seconds"


class Site:
    """A daemon on a simulated fleet, and the config file that it is reloaded from."""

    def __init__(
        self, fleet: SimulatedFleet, config: dict[str, Any], running: DaemonProcess, folder: Path
    ) -> None:
        self.fleet = fleet
        self.config = config
        self.running = running
        self.folder = folder

    async def reload(self, method: str = "POST") -> tuple[int, str]:
        text = yaml.safe_dump(self.config)
        return await self.reload_text(text, method)

    async def reload_text(self, text: str, method: str = "POST") -> tuple[int, str]:
        (self.folder / "config.yaml").write_text(text)
        url = f"{self.running.url}/-/reload"
        async with self.running.session.request(method, url) as response:
            return response.status, await response.text()

    @property
    def resident_megabytes(self) -> float:
        """Memory that the daemon holds."""
        statm = Path(f"/proc/{self.running.process.pid}/statm").read_text()
        return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    @property
    def open_files(self) -> int:
        """How many file descriptors the daemon has open."""
        return len([*Path(f"/proc/{self.running.process.pid}/fd").iterdir()])

    async def rest(self) -> Scrape:
        """Poll every device no more for an hour; how things stand then."""
        self.config["global"]["interval"] = "1h"
        await self.reload()
        in_flight = "axis_ntp_exporter_polls_in_flight"
        return await self.running.until(lambda now: now.all(in_flight) == [({}, 0)])


@asynccontextmanager
async def site(folder: Path, count: int = 3) -> AsyncIterator[Site]:
    fleet = build_fleet(count, auth="digest")
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="200ms", timeout="5s")
        async with daemon_on(config, folder) as running:
            await running.ready()
            yield Site(fleet, config, running, folder)


def device(number: int) -> str:
    return f"sim-{number:05}"
