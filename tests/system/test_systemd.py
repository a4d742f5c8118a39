"""What the daemon sends to a service manager, and when it sends nothing."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest
import structlog

from exporter.system.systemd import ServiceManager, socket_address, watchdog_seconds
from tests.support.fake_time import FakeTimeLoop, run_in_fake_time
from tests.support.notify_socket import READY, STOPPING, WATCHDOG, notify_socket

OURSELVES = 7


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "²"}, None),
        ({"WATCHDOG_USEC": ""}, None),
        ({}, None),
    ],
)
def test_the_watchdog_limit_applies_only_to_the_named_process(
    environment: dict[str, str], seconds: float | None
) -> None:
    assert watchdog_seconds(environment, OURSELVES) == seconds


def test_a_socket_is_a_path_or_an_abstract_name() -> None:
    assert socket_address("/run/systemd/notify") == "/run/systemd/notify"
    assert socket_address("@abstract") == "\0abstract"


def test_the_watchdog_is_fed_at_half_of_its_limit(tmp_path: Path) -> None:
    async def main(_loop: FakeTimeLoop) -> None:
        with notify_socket(tmp_path) as listening:
            environment = {"NOTIFY_SOCKET": listening.name, "WATCHDOG_USEC": "60000000"}
            async with ServiceManager(environment, OURSELVES).supervising():
                await asyncio.sleep(29.9)
                assert listening.waiting() == [READY, WATCHDOG]
                await asyncio.sleep(0.2)
                assert listening.waiting() == [WATCHDOG]
                await asyncio.sleep(60)
                assert listening.waiting() == [WATCHDOG] * 2
            assert listening.waiting() == [STOPPING]

    run_in_fake_time(main)


async def test_a_stuck_event_loop_does_not_feed_the_watchdog(tmp_path: Path) -> None:
    with notify_socket(tmp_path) as listening:
        environment = {"NOTIFY_SOCKET": listening.name, "WATCHDOG_USEC": "20000"}
        async with ServiceManager(environment, OURSELVES).supervising():
            for message in (READY, WATCHDOG, WATCHDOG):
                assert await listening.next() == message
            listening.waiting()
            time.sleep(0.2)  # noqa: ASYNC251 - what a stuck loop does
            assert listening.waiting() == []
            assert await listening.next() == WATCHDOG


@pytest.mark.parametrize("watchdog", [{}, {"WATCHDOG_USEC": "20000", "WATCHDOG_PID": "8"}])
async def test_without_a_watchdog_the_other_notifications_are_sent(
    watchdog: dict[str, str], tmp_path: Path
) -> None:
    with notify_socket(tmp_path) as listening:
        environment = {"NOTIFY_SOCKET": listening.name, **watchdog}
        async with ServiceManager(environment, OURSELVES).supervising():
            await asyncio.sleep(0.1)
        assert listening.waiting() == [READY, STOPPING]


async def test_the_start_and_end_of_a_reload_are_sent_even_if_it_fails(
    tmp_path: Path,
) -> None:
    with notify_socket(tmp_path) as listening:
        manager = ServiceManager({"NOTIFY_SOCKET": listening.name}, OURSELVES)
        async with manager.supervising():
            before = time.monotonic_ns() // 1000
            with pytest.raises(RuntimeError), manager.reloading():
                raise RuntimeError
            ready, reloading, again = listening.waiting()
        assert (ready, again) == (READY, READY)
        first, _, moment = reloading.partition("\nMONOTONIC_USEC=")
        assert first == "RELOADING=1"
        assert before <= int(moment) <= time.monotonic_ns() // 1000


async def test_nothing_is_sent_before_the_start_and_after_the_end(tmp_path: Path) -> None:
    with notify_socket(tmp_path) as listening:
        manager = ServiceManager({"NOTIFY_SOCKET": listening.name}, OURSELVES)
        with manager.reloading():
            assert listening.waiting() == []
        async with manager.supervising():
            listening.waiting()
        assert listening.waiting() == [STOPPING]
        with manager.reloading():
            assert listening.waiting() == []


async def test_without_a_service_manager_no_socket_is_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(socket, "socket")
    manager = ServiceManager({"WATCHDOG_USEC": "20000"}, OURSELVES)
    async with manager.supervising():
        with manager.reloading():
            pass


@pytest.mark.parametrize("name", ["/nowhere/notify", "@nobody", "nonsense", "/" + 200 * "x"])
async def test_a_failing_socket_is_logged_once_and_otherwise_ignored(
    name: str,
) -> None:
    with structlog.testing.capture_logs() as logs:
        environment = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "2000"}
        async with ServiceManager(environment, OURSELVES).supervising():
            await asyncio.sleep(0.05)
    assert [line["event"] for line in logs] == ["service_manager.notify_failed"]


async def test_a_full_socket_does_not_block(tmp_path: Path) -> None:
    with notify_socket(tmp_path) as listening:
        environment = {"NOTIFY_SOCKET": listening.name, "WATCHDOG_USEC": "20"}
        async with asyncio.timeout(5), ServiceManager(environment, OURSELVES).supervising():
            with structlog.testing.capture_logs() as logs:
                while not logs:
                    await asyncio.sleep(0.01)
            assert logs[0]["event"] == "service_manager.notify_failed"
            listening.waiting()
            assert await listening.next() == WATCHDOG
