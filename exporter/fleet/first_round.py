"""Tell once how the first poll of all devices went."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final

import structlog

from exporter.fleet.registry import Fleet

_INTERVAL_SECONDS: Final = 0.5

_log = structlog.get_logger()


async def report_first_round(
    fleet: Fleet, has_ended: Callable[[], bool], explain_no_devices: Callable[[], str]
) -> None:
    """Wait until every device was polled once, then log how many answered and why others did not.

    Without devices, warn.
    """
    while not has_ended():  # noqa: ASYNC110 - it reads the state of every device
        await asyncio.sleep(_INTERVAL_SECONDS)
    if not len(fleet):
        _log.warning("config.no_devices", advice=explain_no_devices())
        return
    kinds = (device.state.last.kind for device in fleet)
    failed = Counter(kind.reason for kind in kinds if kind is not None)
    answered = len(fleet) - failed.total()
    by_reason = dict(failed.most_common())
    _log.info("polls.first_round_ended", devices=len(fleet), answered=answered, **by_reason)
