"""Changing one device: the order of the steps, and what is not done after a stop."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from exporter.clock.http_time import CallTimes
from exporter.config import Expect
from exporter.configure.apply import (
    READ_AGAIN_AFTER_SECONDS,
    DeviceChange,
    apply_change,
    compare,
    mark_pending,
)
from exporter.configure.audit import AuditFailed, AuditLog
from exporter.configure.outcome import ChangeStatus
from exporter.devices.device import Device, DeviceTarget
from exporter.devices.state import DeviceState
from exporter.vapix.client import NtpClient, Timed
from exporter.vapix.errors import Internal
from exporter.vapix.ntp_info import NtpClientReading, Reading
from tests.support.readings import ntp_client, replace_fields


def nothing() -> None:
    pass


@dataclass
class Script:
    """A device and an audit log that note their calls; hooks run before they return."""

    client: NtpClientReading = field(default_factory=lambda: ntp_client(maxpoll=10))
    done: list[str] = field(default_factory=list)
    when_read: Callable[[], None] = nothing
    when_set: Callable[[], None] = nothing
    audit_problem: Exception | None = None
    ignores: bool = False

    async def get_info(self, _timeout_seconds: float) -> Timed[Reading]:
        self.done.append("read")
        self.when_read()
        return Timed(Reading("1.5", self.client, server_present=False), CallTimes())

    async def call(self, _method: str, params: dict[str, Any], _timeout_seconds: float) -> None:
        self.done.append("set")
        self.when_set()
        if not self.ignores:
            self.client = replace_fields(self.client, **params)

    async def append(self, event: str, *_: object, **_more: object) -> None:
        self.done.append(event)
        if self.audit_problem is not None:
            raise self.audit_problem


@pytest.fixture
def script() -> Script:
    return Script()


async def compared(script: Script) -> DeviceChange:
    """Return a device that was compared and is about to be changed."""
    state = DeviceState(expect=Expect.model_validate({"maxpoll": 12}))
    target = DeviceTarget("lobby", "192.0.2.1", {}, 60.0, 10.0)
    made = DeviceChange(Device(target, cast("NtpClient", script), state))
    await compare(made)
    assert made.result.status is ChangeStatus.DIFFERENT
    mark_pending(made)
    script.done.clear()
    return made


def log(script: Script) -> AuditLog:
    return cast("AuditLog", script)


async def test_a_change_is_read_recorded_set_read_back_and_recorded(script: Script) -> None:
    made = await compared(script)
    await apply_change(made, log(script), asyncio.Event())
    assert script.done == ["read", "intended", "set", "read", "outcome"]
    assert made.result.status is ChangeStatus.SET


async def test_a_change_that_cannot_be_recorded_is_not_sent(script: Script) -> None:
    made = await compared(script)
    script.audit_problem = AuditFailed("full")
    with pytest.raises(AuditFailed):
        await apply_change(made, log(script), asyncio.Event())
    assert script.done == ["read", "intended"]
    assert made.result.status is ChangeStatus.NOT_STARTED


async def test_a_stop_while_reading_prevents_the_change(script: Script) -> None:
    made, stop = await compared(script), asyncio.Event()
    script.when_read = stop.set
    await apply_change(made, log(script), stop)
    assert script.done == ["read"]
    assert made.result.status is ChangeStatus.NOT_STARTED


async def test_a_stop_while_setting_completes_the_change(script: Script) -> None:
    made, stop = await compared(script), asyncio.Event()
    script.when_set = stop.set
    await apply_change(made, log(script), stop)
    assert script.done == ["read", "intended", "set", "read", "outcome"]
    assert made.result.status is ChangeStatus.SET


async def test_the_result_is_uncertain_while_the_request_is_sent(script: Script) -> None:
    made = await compared(script)
    results = []
    script.when_set = lambda: results.append(made.result.status)
    await apply_change(made, None, asyncio.Event())
    assert results == [ChangeStatus.UNCERTAIN]


async def test_a_device_that_reads_back_different_is_read_again(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            script.client = replace_fields(script.client, maxpoll=12)

    made = await compared(script)
    script.when_set = lambda: monkeypatch.setattr(asyncio, "sleep", sleep)
    script.ignores = True
    await apply_change(made, None, asyncio.Event())
    assert waits == list(READ_AGAIN_AFTER_SECONDS)
    assert script.done == ["read", "set", "read", "read", "read"]
    assert made.result.status is ChangeStatus.SET


async def test_after_an_internal_error_the_device_is_read_back_too(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise Internal("internal error, see the exporter's log")

    made = await compared(script)
    script.when_set = broken
    monkeypatch.setattr("exporter.configure.apply.READ_AGAIN_AFTER_SECONDS", ())
    await apply_change(made, None, asyncio.Event())
    assert script.done == ["read", "set", "read"]
    assert made.result.status is ChangeStatus.READ_BACK_DIFFERENT
    assert "internal error" in str(made.result.reason)
