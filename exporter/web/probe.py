"""Multi-target scraping: Prometheus finds devices at /discover and scrapes each at /probe."""

import asyncio
import json
import math
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from aiohttp import web

from exporter.clock.host import HostClock
from exporter.devices.device import Device, DeviceTarget
from exporter.fleet.registry import Fleet
from exporter.metrics.exposition import device_pieces
from exporter.polling.poller import Poller
from exporter.polling.schedule import early_poll_wait
from exporter.web.metrics_endpoint import Pieces

SCRAPE_TIMEOUT_HEADER: Final = "X-Prometheus-Scrape-Timeout-Seconds"
RESERVE_SECONDS: Final = 0.5
"""The part of Prometheus's scrape timeout that is reserved for sending the response."""


def render_target_groups(targets: Sequence[DeviceTarget]) -> str:
    """Return the devices in the format of Prometheus HTTP SD, with targets that /probe accepts.

    A target is the device's address, or its name if several devices share the address.
    """
    uses = Counter(target.address for target in targets)
    # One by one: json stops every other thread while it writes a list.
    groups = (
        json.dumps(
            {
                "targets": [target.address if uses[target.address] == 1 else target.name],
                "labels": {**target.labels, "device": target.name},
            }
        )
        for target in targets
    )
    return f"[{', '.join(groups)}]"


async def probe_device(
    request: web.Request, fleet: Fleet, poller: Poller, host: HostClock
) -> Pieces:
    """Return the series of the requested device; poll it first if its last poll is too old.

    Raises `HTTPBadRequest` without a target, `HTTPNotFound` for one that is not configured.
    """
    targets = request.query.getall("target", [])
    if len(targets) != 1 or not targets[0]:
        raise web.HTTPBadRequest(text="Name one target: /probe?target=NAME_OR_ADDRESS\n")
    device = fleet.find(targets[0])
    if device is None:
        raise web.HTTPNotFound(text="No device with this name or address is configured.\n")
    last = device.state.last_poll_steady
    if last is None or host.steady_seconds() - last >= device.target.interval_seconds:
        device = await _poll(device, poller, _poll_timeout_seconds(request, device))
    return partial(device_pieces, device, host.now())


async def poll_early(device: Device, poller: Poller, host: HostClock) -> None:
    """Make a device's next poll now, unless one was made early already; wait until it has ended.

    The device answers within its timeout; a poll that has to wait for others ends later.
    """
    target, now = device.target, host.steady_seconds()
    if early_poll_wait(device.state.next_poll_steady, target.interval_seconds, now):
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(target.timeout_seconds + RESERVE_SECONDS):
            await poller.poll_now(device)


def _poll_timeout_seconds(request: web.Request, device: Device) -> float:
    text = request.headers.get(SCRAPE_TIMEOUT_HEADER)
    if text is None:
        return device.target.timeout_seconds + RESERVE_SECONDS
    with suppress(ValueError):
        seconds = float(text)
        if math.isfinite(seconds) and seconds > 0:
            return max(seconds - RESERVE_SECONDS, seconds / 2)
    raise web.HTTPBadRequest(text=f"{SCRAPE_TIMEOUT_HEADER} must be a positive number of seconds\n")


async def _poll(device: Device, poller: Poller, timeout_seconds: float) -> Device:
    """Poll a device and return it; after a timeout, return a copy that is marked as unanswered."""
    try:
        async with asyncio.timeout(timeout_seconds):
            await poller.poll_now(device)
    except TimeoutError:
        return replace(device, state=device.state.as_unanswered())
    return device
