"""One browser for all tests of a worker; sites are served until a test ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from exporter.devices.device import Device
from exporter.vapix.errors import PollTimeout
from exporter.web import listener
from exporter.web.settings import WebSettings
from tests.support.background import event_loop, in_background
from tests.support.programs import LOOPBACK
from tests.web.pages.browser import Browser, open_browser
from tests.web.pages.site import app_of, fleet, polled

Site = Callable[..., str]


@pytest.fixture(scope="session")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The browser, started once because that takes a second."""
    with open_browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture
def browser(window: Browser) -> Browser:
    """The browser, reset as if it had just been started."""
    window.allow_scripts(allowed=True)
    window.prefer("light")
    window.size(1200, 900)
    window.open("about:blank")
    window.console_messages()
    return window


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop in another thread that serves while the tests block."""
    with event_loop() as running:
        yield running


@pytest.fixture
def serve(loop: asyncio.AbstractEventLoop) -> Iterator[Site]:
    """A function that serves devices and returns the URL."""
    with ExitStack() as stack:

        def start(*devices: Device, poller: Any = None) -> str:
            site = listener.serve(app_of(devices, poller), WebSettings(((LOOPBACK, 0),)))
            return stack.enter_context(in_background(loop, site))[0]

        yield start


@pytest.fixture
def pages(serve: Site) -> list[str]:
    """One page of each kind."""
    devices = fleet()
    for _ in range(3):
        polled(devices[0], PollTimeout("late"))
        polled(devices[2])
    base = serve(*devices)
    return [
        base,
        f"{base}/device/gate",
        f"{base}/device/camera-0",
        f"{base}/device/nobody",
        f"{base}/nothing",
    ]
