"""One device on its way: what is done in which order, and what is left undone."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from exporter.config import Expect
from exporter.configure.apply import (
    LOOK_AGAIN_AFTER_SECONDS,
    DeviceChange,
    change,
    compare,
    mark_pending,
)
from exporter.configure.audit import AuditFailed, AuditLog
from exporter.configure.outcome import ChangeStatus
from exporter.devices.device import Device, DeviceTarget
from exporter.devices.state import DeviceState
from exporter.vapix.client import NtpClient
from exporter.vapix.ntp_info import NtpClientReading, Reading
from tests.support.readings import ntp_client, replace_fields


def nothing() -> None:
    pass


@dataclass
class Script:
    """A device and an audit log that note what they are asked; hooks come before the answer."""

    client: NtpClientReading = field(default_factory=lambda: ntp_client(maxpoll=10))
    done: list[str] = field(default_factory=list)
    when_read: Callable[[], None] = nothing
    when_set: Callable[[], None] = nothing
    audit_problem: Exception | None = None
    ignores: bool = False
    stage = "waiting for the answer"

    async def get_info(self) -> Reading:
        self.done.append("read")
        self.when_read()
        return Reading("1.5", self.client, server_present=False)

    async def call(self, _method: str, params: dict[str, Any]) -> None:
        self.done.append("set")
        self.when_set()
        if not self.ignores:
            self.client = self.client._replace(**params)

    async def append(self, event: str, *_: object, **_more: object) -> None:
        self.done.append(event)
        if self.audit_problem is not None:
            raise self.audit_problem


@pytest.fixture
def script() -> Script:
    return Script()


async def shown(script: Script) -> DeviceChange:
    """A case that was compared and is about to be changed."""
    state = DeviceState(expect=Expect.model_validate({"maxpoll": 12}))
    target = DeviceTarget("lobby", "192.0.2.1", {}, 60.0, 10.0)
    case = DeviceChange(Device(target, cast("NtpClient", script), state))
    await compare(case)
    assert case.finding.result is ChangeStatus.DIFFERENT
    mark_pending(case)
    script.done.clear()
    return case


def log(script: Script) -> AuditLog:
    return cast("AuditLog", script)


async def test_it_is_read_noted_set_read_back_and_noted(script: Script) -> None:
    case = await shown(script)
    await change(case, log(script), asyncio.Event())
    assert script.done == ["read", "intended", "set", "read", "outcome"]
    assert case.finding.result is ChangeStatus.SET


async def test_what_cannot_be_noted_is_not_set(script: Script) -> None:
    case = await shown(script)
    script.audit_problem = AuditFailed("full")
    with pytest.raises(AuditFailed):
        await change(case, log(script), asyncio.Event())
    assert script.done == ["read", "intended"]
    assert case.finding.result is ChangeStatus.NOT_STARTED


async def test_stopped_while_it_is_read_it_is_not_begun(script: Script) -> None:
    case, stop = await shown(script), asyncio.Event()
    script.when_read = stop.set
    await change(case, log(script), stop)
    assert script.done == ["read"]
    assert case.finding.result is ChangeStatus.NOT_STARTED


async def test_stopped_once_it_is_begun_it_is_finished(script: Script) -> None:
    case, stop = await shown(script), asyncio.Event()
    script.when_set = stop.set
    await change(case, log(script), stop)
    assert script.done == ["read", "intended", "set", "read", "outcome"]
    assert case.finding.result is ChangeStatus.SET


async def test_it_is_uncertain_from_the_request_on(script: Script) -> None:
    case = await shown(script)
    results = []
    script.when_set = lambda: results.append(case.finding.result)
    await change(case, None, asyncio.Event())
    assert results == [ChangeStatus.UNCERTAIN]


async def test_what_reads_back_different_is_read_again(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            script.client = replace_fields(script.client, maxpoll=12)

    case = await shown(script)
    script.when_set = lambda: monkeypatch.setattr(asyncio, "sleep", sleep)
    script.ignores = True
    await change(case, None, asyncio.Event())
    assert waits == list(LOOK_AGAIN_AFTER_SECONDS)
    assert script.done == ["read", "set", "read", "read", "read"]
    assert case.finding.result is ChangeStatus.SET


async def test_a_fault_of_ours_while_setting_is_read_back_too(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    case = await shown(script)
    script.when_set = broken
    monkeypatch.setattr("exporter.configure.apply.LOOK_AGAIN_AFTER_SECONDS", ())
    await change(case, None, asyncio.Event())
    assert script.done == ["read", "set", "read"]
    assert case.finding.result is ChangeStatus.READ_BACK_DIFFERENT
    assert "internal error" in str(case.finding.reason)
