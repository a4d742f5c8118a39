"""Debian's Chromium without a window, for tests and for the pictures of the docs."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from tests.support.programs import find_program

_FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",  # root, as CI is, gets none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
    "--force-prefers-reduced-motion",
)


class Browser:
    """A window of Chromium; `driver` is Selenium's."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        self.driver.get(url)

    def size(self, width: int, height: int) -> None:
        """The page's room in CSS pixels; narrower than a window of Chromium gets."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", **metrics)

    def prefer(self, scheme: Literal["light", "dark"]) -> None:
        """The user's colour scheme."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.command("Emulation.setEmulatedMedia", features=[feature])

    def allow_scripts(self, *, allowed: bool) -> None:
        """Whether pages opened from now on may run scripts."""
        self.command("Emulation.setScriptExecutionDisabled", value=not allowed)

    def script(self, body: str, *arguments: object) -> Any:
        """What a function with that body returns in the page."""
        return self.driver.execute_script(body, *arguments)

    def complaints(self) -> list[str]:
        """What the console tells since it was asked: policy violations, errors, missing files."""
        lines: list[dict[str, str]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [line["message"] for line in lines]

    def accessibility_tree(self) -> list[dict[str, Any]]:
        """What a screen reader gets of the page: nodes with role and name."""
        nodes: list[dict[str, Any]] = self.command("Accessibility.getFullAXTree")["nodes"]
        return [node for node in nodes if not node["ignored"]]

    def photograph(self, file: Path, most_height: int) -> None:
        """The page as a PNG, to its end or that far."""
        end = min(self.script("return document.documentElement.scrollHeight"), most_height)
        width = self.script("return innerWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": end, "scale": 1}
        shot = self.command("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    def command(self, name: str, **parameters: object) -> dict[str, Any]:
        """A command of the DevTools protocol."""
        result: dict[str, Any] = self.driver.execute_cdp_cmd(name, parameters)
        return result


@contextmanager
def open_browser(profile: Path) -> Iterator[Browser]:
    """A browser with a profile of its own. Without one, tests are skipped, or fail in CI."""
    options = ChromeOptions()
    options.binary_location = find_program("chromium", "chromium")
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # Named, lest Selenium look for a driver on the network.
    service = ChromeService(find_program("chromedriver", "chromium-driver"))
    driver = Chrome(options, service)
    try:
        yield Browser(driver)
    finally:
        driver.quit()
