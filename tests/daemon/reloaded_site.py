"""A daemon on simulated devices, for tests that change its config."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from exporter.simulator.fleet import SimulatedFleet, build_fleet, serve_fleet
from tests.daemon.series import in_flight
from tests.support.daemon_process import DaemonProcess, Scrape, daemon_on

SUCCESSFUL = "axis_ntp_exporter_config_last_reload_successful"
LOADED_AT = "axis_ntp_exporter_config_last_reload_success_timestamp_seconds"


class ReloadedSite:
    """A daemon on a simulated fleet, and its config."""

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
        return await self.running.reload(method)

    @property
    def resident_megabytes(self) -> float:
        """The resident memory of the daemon."""
        statm = Path(f"/proc/{self.running.process.pid}/statm").read_text()
        return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    @property
    def open_files(self) -> int:
        """The number of open file descriptors of the daemon."""
        return len([*Path(f"/proc/{self.running.process.pid}/fd").iterdir()])

    async def rest(self) -> Scrape:
        """Set the interval to an hour; return a scrape after the last poll has ended."""
        self.config["global"]["interval"] = "1h"
        await self.reload()
        return await self.running.until(lambda now: in_flight(now) == 0)


@asynccontextmanager
async def reloaded_site(
    folder: Path, count: int = 3, log_level: str = "info"
) -> AsyncIterator[ReloadedSite]:
    fleet = build_fleet(count, auth="digest")
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="200ms", timeout="5s")
        async with daemon_on(config, folder, f"--log.level={log_level}") as running:
            await running.ready()
            yield ReloadedSite(fleet, config, running, folder)


def name_of(number: int) -> str:
    """Return the name of the fleet's device of that number."""
    return f"sim-{number:05}"
