"""Debian's Chromium, headless, for tests and for the pictures of the docs."""

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
    "--no-sandbox",  # CI runs as root, for which Chromium has no sandbox
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
        """Set the size of the page in CSS pixels; it may be narrower than a Chromium window."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", **metrics)

    def prefer(self, scheme: Literal["light", "dark"]) -> None:
        """Set the user's colour scheme."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.command("Emulation.setEmulatedMedia", features=[feature])

    def allow_scripts(self, *, allowed: bool) -> None:
        """Set whether pages opened from now on may run scripts."""
        self.command("Emulation.setScriptExecutionDisabled", value=not allowed)

    def script(self, body: str, *arguments: object) -> Any:
        """Run a function with this body in the page and return its result."""
        return self.driver.execute_script(body, *arguments)

    def console_messages(self) -> list[str]:
        """Return new messages of the console: policy violations, errors, missing files."""
        lines: list[dict[str, str]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [line["message"] for line in lines]

    def accessibility_tree(self) -> list[dict[str, Any]]:
        """Return the nodes that a screen reader gets, with role and name."""
        nodes: list[dict[str, Any]] = self.command("Accessibility.getFullAXTree")["nodes"]
        return [node for node in nodes if not node["ignored"]]

    def screenshot(self, file: Path, max_height: int) -> None:
        """Save the page as a PNG, cut off at `max_height`."""
        end = min(self.script("return document.documentElement.scrollHeight"), max_height)
        width = self.script("return innerWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": end, "scale": 1}
        shot = self.command("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    def command(self, name: str, **parameters: object) -> dict[str, Any]:
        """Send a command of the DevTools protocol and return its result."""
        result: dict[str, Any] = self.driver.execute_cdp_cmd(name, parameters)
        return result


@contextmanager
def open_browser(profile: Path) -> Iterator[Browser]:
    """Start a browser with a new profile. Without Chromium, tests are skipped, or fail in CI."""
    options = ChromeOptions()
    options.binary_location = find_program("chromium", "chromium")
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # Given explicitly, or Selenium would search for a driver on the network.
    service = ChromeService(find_program("chromedriver", "chromium-driver"))
    driver = Chrome(options, service)
    try:
        yield Browser(driver)
    finally:
        driver.quit()
