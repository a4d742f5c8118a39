"""Takes the screenshots of the status pages for the docs: `make picture`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import yaml

from exporter import cli
from exporter.clock.offset import SECOND_NS
from exporter.config import parse_config
from exporter.config.yaml_loader import parse_yaml
from exporter.daemon import Settings, running
from exporter.evidence.times import format_rfc3339
from exporter.simulator.fleet import build_fleet, serve_fleet
from exporter.web.settings import WebSettings
from tests.evidence.simulated_day import HOUR, simulate
from tests.support.programs import LOOPBACK, enter_on_free_ports
from tests.support.prometheus import prometheus_on
from tests.web.pages.browser import open_browser

INTERVAL: Final = "5s"
SECONDS: Final = 320.0
"""How long the fleet is polled first, so that the chart has enough polls."""

MOMENT_SECONDS: Final = 13 * HOUR + 197.79
A4_PIXELS: Final = (794, 1123)


@asynccontextmanager
async def demo() -> AsyncIterator[str]:
    """Run the demo with more frequent polls; yields its URL."""
    async with serve_fleet(build_fleet(20, "demo")) as served:
        text = yaml.safe_dump(served.exporter_config(interval=INTERVAL))
        config = parse_config(parse_yaml(text), {}, Path())
        settings = Settings(WebSettings(((LOOPBACK, 0),)), load=lambda: config)
        async with running(config, settings) as urls:
            yield urls[0]


def take_evidence(profile: Path, folder: Path) -> None:
    """Take the page of `evidence --html`, of a real Prometheus that holds a simulated day."""
    day = simulate(seed=18, cameras=1)
    shown = format_rfc3339(day.shown_ns(day.cameras[0], MOMENT_SECONDS) // SECOND_NS * 10**6)
    with TemporaryDirectory() as scratch, ExitStack() as stack:
        day.write_blocks(Path(scratch))
        prometheus = enter_on_free_ports(stack, lambda: prometheus_on({}, Path(scratch)))
        url, page = f"http://{LOOPBACK}:{prometheus.port}", Path(scratch, "page.html")
        words = ["cam-0", f"--prometheus.url={url}", f"--shown={shown}", f"--html={page}"]
        cli.run(["evidence", *words])
        with open_browser(profile) as browser:
            browser.size(*A4_PIXELS)
            browser.open(page.as_uri())
            browser.screenshot(folder / "evidence.png", A4_PIXELS[1])


def take(url: str, profile: Path, folder: Path) -> None:
    """Take the fleet in light and a device in dark."""
    with open_browser(profile) as browser:
        browser.size(1600, 800)
        browser.open(url)
        browser.screenshot(folder / "status.png", 2200)
        browser.size(1200, 800)
        browser.prefer("dark")
        browser.open(f"{url}/device/dock-4")
        browser.screenshot(folder / "device.png", 1500)


async def main(folder: Path) -> None:
    """Take the screenshots once the fleet has been polled for a while."""
    with TemporaryDirectory() as profile:
        async with demo() as url:
            await asyncio.sleep(SECONDS)
            await asyncio.to_thread(take, url, Path(profile), folder)
    with TemporaryDirectory() as profile:
        await asyncio.to_thread(take_evidence, Path(profile), folder)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
