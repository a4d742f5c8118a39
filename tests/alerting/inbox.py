"""Receives Alertmanager's notifications as webhooks or as texts, with one path per receiver."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiohttp import web

from tests.support.programs import LOOPBACK

Key = frozenset[tuple[str, str]]
"""All labels of an alert."""


class Notice(NamedTuple):
    """The part of a notification that tests compare; `device` is empty for alerts of exporters."""

    receiver: str
    alert: str
    severity: str
    device: str
    status: str


@dataclass(frozen=True)
class Notification:
    """One alert of one notification, and when it was received (monotonic seconds)."""

    received: float
    receiver: str
    status: str
    labels: dict[str, str]

    @property
    def key(self) -> Key:
        return frozenset(self.labels.items())

    @property
    def notice(self) -> Notice:
        labels = self.labels
        device = labels.get("device", "")
        return Notice(self.receiver, labels["alertname"], labels["severity"], device, self.status)


@dataclass(frozen=True)
class Text:
    """One notification as a person reads it, and when it was received (monotonic seconds)."""

    received: float
    receiver: str
    title: str
    body: str

    def __str__(self) -> str:
        return f"to {self.receiver}: {self.title}\n{self.body}"


@dataclass
class Inbox:
    """All notifications, oldest first; filled by the event loop, read by tests.

    Webhooks are `notifications`, with an entry for each alert; texts, for Slack, are `texts`.
    """

    notifications: list[Notification] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)

    def since(self, start: float) -> Inbox:
        """Return the notifications since then (monotonic seconds)."""
        return Inbox([each for each in self.notifications if each.received >= start])

    def notices(self) -> set[Notice]:
        """Return the notices without repetitions."""
        return {each.notice for each in self.notifications}

    def first(self, notice: Notice) -> float:
        """Return when it was first received."""
        return next(each.received for each in self.notifications if each.notice == notice)

    def firing(self) -> set[Key]:
        """Return the alerts whose last notification was `firing`."""
        last = {(each.receiver, each.key): each.status for each in list(self.notifications)}
        return {key for (_, key), status in last.items() if status == "firing"}


@asynccontextmanager
async def receiving(inbox: Inbox) -> AsyncIterator[str]:
    """Receive while the context lasts; yield the URL without the receiver's name."""
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
        inbox.notifications += _read(receiver, message.get("alerts", []))
        for each in message.get("attachments", []):
            inbox.texts.append(Text(time.monotonic(), receiver, each["title"], each["text"]))
        return web.Response()

    return receive


def _read(receiver: str, alerts: Iterable[Any]) -> list[Notification]:
    now = time.monotonic()
    return [Notification(now, receiver, alert["status"], alert["labels"]) for alert in alerts]
