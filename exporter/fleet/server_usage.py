"""Count which time servers the devices use, a few devices at a time."""

import asyncio
import random
from typing import Final

from exporter.fleet.registry import Fleet
from exporter.time_servers.monitor import TimeServerMonitor
from exporter.time_servers.targets import Usage
from exporter.vapix.ntp_info import NTS_KE

_DEVICES_PER_STEP: Final = 20
_PAUSE_SECONDS: Final = 0.01
"""2,000 devices a second: a hundredth of a CPU, however many there are."""

_BETWEEN_PASSES_SECONDS: Final = 1.0


async def count_server_usage(fleet: Fleet, monitor: TimeServerMonitor) -> None:
    """Tell the monitor again and again which servers the devices use; until cancelled."""
    while True:
        await asyncio.sleep(_BETWEEN_PASSES_SECONDS)
        if monitor.rules.asks_any:
            monitor.set_usage(await _count(fleet, monitor.new_usage()))


async def _count(fleet: Fleet, usage: Usage) -> Usage:
    """Count the devices' servers.

    A pass begins anywhere: some hostile devices may name more servers than are counted, and should
    not always be the first. NTS devices are left out: their servers are those of NTS-KE (TCP 4460),
    which need not answer NTP.
    """
    devices = list(fleet)
    first = random.randrange(len(devices) or 1)  # noqa: S311 - no secret
    devices = devices[first:] + devices[:first]
    for start in range(0, len(devices), _DEVICES_PER_STEP):
        for device in devices[start : start + _DEVICES_PER_STEP]:
            settings = device.state.last_client.settings
            if settings.active_source != NTS_KE:
                usage.add(settings.active_servers or ())
        await asyncio.sleep(_PAUSE_SECONDS)
    return usage
