"""A configured device: who it is, how it is asked, and what is known of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from exporter.devices.state import DeviceState
from exporter.vapix.client import NtpClient
from exporter.vapix.errors import DeviceError, Internal, PollTimeout
from exporter.vapix.hold import Hold

T = TypeVar("T")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DeviceTarget:
    """A device as the config has it, module and global settings applied."""

    name: str
    address: str
    labels: Mapping[str, str]
    interval_seconds: float
    timeout_seconds: float


@dataclass(slots=True, eq=False)
class Device:
    """A target with the client that asks it and the state that its polls left; itself alone equal.

    `told_reasons` and `told_fields` are what the log has said already: the reasons of this
    outage's errors, and the fields of answers that were left out since the start.
    """

    target: DeviceTarget
    client: NtpClient
    state: DeviceState = field(default_factory=DeviceState)
    told_reasons: frozenset[str] = frozenset()
    told_fields: frozenset[str] = frozenset()

    async def ask(
        self, question: Callable[[], Awaitable[T]], hold: Hold | None = None
    ) -> T | DeviceError:
        """What a call of the client gives, within the device's timeout over everything.

        For as long as its request waits for `hold`, the timeout waits too. Raises nothing but
        cancellation.
        """
        target, client = self.target, self.client
        try:
            async with asyncio.timeout(target.timeout_seconds) as deadline:
                if hold is not None:
                    hold.deadline = deadline
                return await question()
        except DeviceError as error:
            # It is kept until the next poll; the frames that it came through shall not be.
            error.__cause__ = error.__context__ = None
            return error.with_traceback(None)
        except TimeoutError:
            within = f"{target.timeout_seconds:g} s"
            return PollTimeout(f"no complete answer within {within}: {client.stage}")
        except Exception:  # noqa: BLE001 - one guard, so that no device can stop the others
            # The last resort: whatever it is, this device's poll failed and the others go on.
            _log.exception("poll.internal_error", device=target.name)
            return Internal("internal error, see the exporter's log")
        finally:
            if hold is not None:
                hold.deadline = None  # it knows the task, and the client knows the hold
