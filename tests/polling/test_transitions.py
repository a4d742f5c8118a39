"""The scrape loop logs changes, each once; in fake time."""

import asyncio

import pytest
from structlog.testing import capture_logs

from exporter.clock.motion import ClockEvent
from exporter.devices.state import Transition
from exporter.polling.poller import Poller
from exporter.polling.transitions import log_transitions
from exporter.vapix.errors import Unauthorized, UnexpectedStatus
from exporter.vapix.ntp_info import Reading
from tests.support.devices import outcome
from tests.support.polled_devices import READING, ClockedClient, StubClient, device, poll_for


def test_a_failure_and_the_recovery_are_logged_once() -> None:
    client = StubClient(result=Unauthorized("HTTP 401: wrong", 401))
    polled = device(client)

    async def recover(_poller: Poller) -> None:
        client.result = READING
        await asyncio.sleep(120)

    with capture_logs() as logs:
        poll_for(300, [polled], then=recover)
    assert logs == [
        {
            "event": "device.failed",
            "log_level": "warning",
            "device": "lobby",
            "address": "lobby.example",
            "reason": "unauthorized",
            "code": "401",
            "error": "HTTP 401: wrong",
        },
        {
            "event": "device.recovered",
            "log_level": "info",
            "device": "lobby",
            "address": "lobby.example",
            "down_seconds": 300.0,
        },
    ]


def test_each_reason_of_an_outage_is_logged_once() -> None:
    client = StubClient(result=Unauthorized("wrong", 401))

    async def flap(_poller: Poller) -> None:
        for _ in range(3):
            client.result = UnexpectedStatus("HTTP 503", 503)
            await asyncio.sleep(60)
            client.result = Unauthorized("wrong", 401)
            await asyncio.sleep(60)

    with capture_logs() as logs:
        poll_for(60, [device(client)], then=flap)
    assert [log["reason"] for log in logs] == ["unauthorized", "http_status"]


def test_an_ignored_field_is_logged_once_per_device() -> None:
    odd = Reading("1.0", None, server_present=False, invalid_fields=(("minpoll", "too much"),))
    with capture_logs() as logs:
        poll_for(600, [device(StubClient(result=odd))])
    assert [(log["event"], log["field"]) for log in logs] == [("device.field_ignored", "minpoll")]


def test_a_step_is_logged_once() -> None:
    client = ClockedClient(0.0)

    async def step(_poller: Poller) -> None:
        client.offset_seconds = 30.0
        await asyncio.sleep(300)

    with capture_logs() as logs:
        poll_for(1200, [device(client)], then=step)
    assert [log["event"] for log in logs] == ["device.clock_stepped"]
    assert logs[0]["seconds"] == pytest.approx(30, abs=1)


def test_a_slew_is_logged_at_its_start_and_at_its_end_with_its_total() -> None:
    slews = [ClockEvent("slewing", -0.02), ClockEvent("slewed", -3.6)]
    with capture_logs() as logs:
        log_transitions(device(StubClient()), outcome(0, 1, READING), Transition(None, slews))
    told: list[dict[str, object]] = [
        {"state": "begun"},
        {"state": "ended", "total_seconds": -3.6},
    ]
    assert logs == [
        {
            "event": "device.clock_slewing",
            "log_level": "info",
            "device": "lobby",
            "address": "lobby.example",
        }
        | fields
        for fields in told
    ]
