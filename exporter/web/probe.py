"""The multi-target door: Prometheus finds devices at /discover and scrapes each at /probe."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final

from aiohttp import web

from exporter.clock.host import HostClock
from exporter.devices.device import Device
from exporter.fleet.registry import Fleet
from exporter.metrics.exposition import Form, T, device_pieces
from exporter.polling.poller import Poller
from exporter.web.metrics_endpoint import Encoder, Pieces

SCRAPE_TIMEOUT_HEADER: Final = "X-Prometheus-Scrape-Timeout-Seconds"
RESERVE_SECONDS: Final = 0.5
"""What is kept of Prometheus's timeout for the way of the answer."""


def target_groups(devices: Sequence[Device]) -> list[dict[str, Any]]:
    """The devices in the format of HTTP discovery; the target is what /probe takes.

    That is the address, or the name where several devices have one address.
    """
    addresses = Counter(device.target.address for device in devices)
    return [_group(device, shared=addresses[device.target.address] > 1) for device in devices]


def _group(device: Device, *, shared: bool) -> dict[str, Any]:
    target = device.target
    at = target.name if shared else target.address
    return {"targets": [at], "labels": {**target.labels, "device": target.name}}


async def probed(request: web.Request, fleet: Fleet, poller: Poller, host: HostClock) -> Pieces:
    """The series of the device that is asked for, polled now unless that was done lately.

    Raises `HTTPBadRequest` without a target, `HTTPNotFound` for one that is not configured.
    """
    wanted = request.query.getall("target", [])
    if len(wanted) != 1 or not wanted[0]:
        raise web.HTTPBadRequest(text="Say which device: /probe?target=NAME_OR_ADDRESS\n")
    device = fleet.find(wanted[0])
    if device is None:
        raise web.HTTPNotFound(text="There is no device of that name or address.\n")
    if not _is_fresh(device, host):
        device = await _polled(device, poller, _seconds_left(request, device))
    return partial(_pieces, device, host)


def _is_fresh(device: Device, host: HostClock) -> bool:
    last = device.state.last_poll_unix
    return last is not None and host.now().unix_seconds - last < device.target.interval_seconds


def _seconds_left(request: web.Request, device: Device) -> float:
    said = request.headers.get(SCRAPE_TIMEOUT_HEADER)
    if said is None:
        return device.target.timeout_seconds + RESERVE_SECONDS
    with suppress(ValueError):
        seconds = float(said)
        if math.isfinite(seconds) and seconds > 0:
            return max(seconds - RESERVE_SECONDS, seconds / 2)
    raise web.HTTPBadRequest(text=f"{SCRAPE_TIMEOUT_HEADER} is no time in seconds\n")


async def _polled(device: Device, poller: Poller, seconds: float) -> Device:
    """The device after a poll; as one that does not answer, if that takes longer."""
    try:
        async with asyncio.timeout(seconds):
            await poller.poll_now(device)
    except TimeoutError:
        return replace(device, state=device.state.as_unanswered())
    return device


def _pieces(
    device: Device, host: HostClock, _encode: Encoder, *, openmetrics: bool, form: Form[T]
) -> Iterator[T]:
    yield from device_pieces(device, host.now(), openmetrics=openmetrics, form=form)
    if openmetrics:
        yield form(b"# EOF\n")
