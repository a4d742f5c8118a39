"""What people are told: receives Alertmanager's webhooks, a path for each receiver."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiohttp import web

from tests.support.programs import LOOPBACK

Key = frozenset[tuple[str, str]]
"""An alert by all of its labels."""


class Told(NamedTuple):
    """One alert of one notification, as an operator reads it; `device` is empty for exporters'."""

    receiver: str
    alert: str
    severity: str
    device: str
    status: str


@dataclass(frozen=True)
class Notification:
    """One alert of one notification, and when it came (monotonic seconds)."""

    received: float
    receiver: str
    status: str
    labels: dict[str, str]

    @property
    def key(self) -> Key:
        return frozenset(self.labels.items())

    @property
    def told(self) -> Told:
        labels = self.labels
        device = labels.get("device", "")
        return Told(self.receiver, labels["alertname"], labels["severity"], device, self.status)


@dataclass
class Inbox:
    """Every notification so far, oldest first; filled by the loop, read by tests."""

    notifications: list[Notification] = field(default_factory=list)

    def since(self, start: float) -> Inbox:
        """What came after a moment (monotonic seconds)."""
        return Inbox([each for each in self.notifications if each.received >= start])

    def told(self) -> set[Told]:
        """What was told, repetitions left out."""
        return {each.told for each in self.notifications}

    def first(self, told: Told) -> float:
        """When it was first told."""
        return next(each.received for each in self.notifications if each.told == told)

    def firing(self) -> set[Key]:
        """The alerts that somebody was told of last as firing."""
        last = {(each.receiver, each.key): each.status for each in list(self.notifications)}
        return {key for (_, key), status in last.items() if status == "firing"}


@asynccontextmanager
async def receiving(inbox: Inbox) -> AsyncIterator[str]:
    """Receive while the context lasts; gives the URL before the receiver's name."""
    app = web.Application()
    app.router.add_post("/{receiver}", _handler(inbox))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    try:
        yield f"http://{LOOPBACK}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _handler(inbox: Inbox) -> Any:
    async def receive(request: web.Request) -> web.Response:
        message = await request.json()
        receiver = request.match_info["receiver"]
        inbox.notifications += _read(receiver, message["alerts"])
        return web.Response()

    return receive


def _read(receiver: str, alerts: Iterable[Any]) -> list[Notification]:
    now = time.monotonic()
    return [Notification(now, receiver, alert["status"], alert["labels"]) for alert in alerts]
