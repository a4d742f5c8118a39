"""The scrape loop, in fake time: no test waits, every second is counted."""

import asyncio
from itertools import pairwise
from typing import Any
from unittest.mock import Mock

import pytest

from exporter.devices.device import Device
from exporter.polling.poller import Poller
from exporter.polling.schedule import first_wait
from tests.support.fake_time import FakeTimeLoop, run_in_fake_time
from tests.support.polled_devices import EPOCH, Observer, StubClient, device, host_clock, poll_for
from tests.support.readings import ntp_client, reading


def test_a_device_is_polled_once_per_interval_in_its_own_rhythm() -> None:
    client = StubClient()
    poll_for(600, [device(client)])
    due = first_wait("lobby", 60.0, EPOCH)
    assert client.started == pytest.approx([due + 60 * n for n in range(10)], abs=0.01)


def test_first_polls_of_a_fleet_are_spread_over_the_interval() -> None:
    clients = [StubClient() for _ in range(600)]
    poll_for(60, [device(client, f"camera-{n}") for n, client in enumerate(clients)])
    starts = sorted(client.started[0] for client in clients)
    assert all(len(client.started) == 1 for client in clients)
    assert max(b - a for a, b in pairwise(starts)) < 2


def test_the_poller_keeps_since_when_a_problem_lasts_by_the_thresholds_in_force() -> None:
    subject = device(StubClient(result=reading(ntp_client(enabled=True, synced=False))))
    poll_for(300, [subject])
    due = first_wait("lobby", 60.0, EPOCH)
    assert subject.state.polls > 1
    assert subject.state.problem == "not synchronized"
    assert subject.state.problem_since_steady == pytest.approx(due, abs=0.5)


def test_a_slow_device_is_never_polled_twice_at_once_and_keeps_its_rhythm() -> None:
    client = StubClient(seconds=90)
    poll_for(1200, [device(client, interval=60, timeout=300)])
    assert client.most_open == 1
    due = first_wait("lobby", 60.0, EPOCH)
    assert client.started == pytest.approx([due + 120 * n for n in range(10)], abs=0.01)


def test_hung_devices_delay_no_other() -> None:
    hung = [StubClient(seconds=1e9) for _ in range(20)]
    well = [StubClient() for _ in range(80)]
    devices = [device(client, f"camera-{n}") for n, client in enumerate(hung + well)]
    observer = poll_for(600, devices)
    assert all(len(client.started) == 10 for client in well)
    assert max(observer.lateness) < 0.01


def test_a_poll_ends_at_its_deadline() -> None:
    hung = device(StubClient(seconds=1e9), timeout=7.5)
    observer = poll_for(60 + 8, [hung])
    assert observer.latency == pytest.approx([7.5], abs=0.01)
    assert hung.state.last.error is not None
    assert hung.state.last.error.reason == "timeout"
    assert str(hung.state.last.error) == "timed out after 7.5 s connecting"


def test_no_more_polls_than_concurrency_are_open_and_the_rest_wait_their_turn() -> None:
    most = 0
    clients = [StubClient(seconds=3) for _ in range(30)]

    async def watch(poller: Poller) -> None:
        nonlocal most
        for _ in range(12_000):
            most = max(most, poller.in_flight)
            await asyncio.sleep(0.01)

    devices = [device(client, f"camera-{n}") for n, client in enumerate(clients)]
    poll_for(0, devices, concurrency=2, then=watch)
    assert most == 2
    assert all(client.started for client in clients)


def test_waiting_for_a_slot_counts_as_lateness_not_as_latency() -> None:
    clients = [StubClient(seconds=5), StubClient(seconds=5)]
    devices = [
        device(client, name, interval=10) for client, name in zip(clients, "ab", strict=True)
    ]
    observer = poll_for(100, devices, concurrency=1)
    assert max(observer.lateness) > 1
    assert max(observer.latency) == pytest.approx(5, abs=0.01)


def test_the_last_and_the_next_poll_are_steady_times() -> None:
    polled = device(StubClient())
    poll_for(61, [polled])
    due = first_wait("lobby", 60.0, EPOCH)
    assert polled.state.next_poll_steady == pytest.approx(due + 60, abs=0.01)
    assert polled.state.last_poll_steady == pytest.approx(due + 0.1, abs=0.01)


def test_stopping_cancels_open_polls_and_records_nothing_of_them() -> None:
    hung = device(StubClient(seconds=1e9), timeout=1e6)
    client: Any = hung.client
    poll_for(61, [hung])
    assert client.open == 0
    assert hung.state.polls == 0


def test_a_device_that_is_removed_before_its_poll_has_begun_leaves_its_slot_to_others() -> None:
    clients = {name: StubClient(seconds=0.1) for name in ("gone", "stays")}
    gone, stays = (device(client, name) for name, client in clients.items())

    async def remove_at_once(poller: Poller) -> None:
        poller.poll_soon(gone, 0)
        # The timer falls due within this turn of the loop, and so does a reload.
        asyncio.get_running_loop().call_later(0, poller.remove, gone)
        await asyncio.sleep(1)
        assert poller.in_flight == 0
        await poller.poll_now(stays)

    poll_for(0, [gone, stays], concurrency=1, then=remove_at_once)
    assert len(clients["stays"].started) == 1


def test_a_new_interval_does_not_delay_a_poll_that_somebody_waits_for() -> None:
    subject = device(StubClient(), interval=3600)

    async def restart_between(poller: Poller) -> None:
        waiting = asyncio.create_task(poller.poll_now(subject))
        await asyncio.sleep(0)
        poller.restart(subject)
        async with asyncio.timeout(1):
            await waiting

    poll_for(0, [subject], then=restart_between)
    assert subject.state.polls == 1


def test_the_listener_is_notified_at_the_start_and_after_each_poll() -> None:
    subject = device(StubClient())
    observer = poll_for(300, [subject])
    assert observer.changes == [subject] * 6


def test_a_slot_that_falls_free_is_taken_at_once() -> None:
    clients = [StubClient(seconds=5) for _ in range(3)]
    devices = [
        device(client, name, interval=3600) for client, name in zip(clients, "abc", strict=True)
    ]

    async def all_fall_due(poller: Poller) -> None:
        for each in devices:
            poller.poll_soon(each, 0)
        await asyncio.sleep(15.5)

    poll_for(0, devices, concurrency=1, then=all_fall_due)
    assert sorted(client.started for client in clients) == [[0.0], [5.0], [10.0]]


def test_a_device_that_is_removed_during_its_poll_is_not_notified_again() -> None:
    client = StubClient(seconds=50)
    gone = device(client, timeout=100)

    async def remove_it(poller: Poller) -> None:
        poller.poll_soon(gone, 0)
        await asyncio.sleep(1)
        poller.remove(gone)
        await asyncio.sleep(100)
        assert poller.in_flight == client.open == 0

    observer = poll_for(0, [gone], then=remove_it)
    assert observer.changes == [gone] * 2  # at its start, and when a poll was to be soon
    assert len(client.started) == 1


def test_a_fault_while_recording_a_poll_costs_no_later_poll(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = Mock(side_effect=[ZeroDivisionError, *[None] * 4])
    monkeypatch.setattr("exporter.polling.poller.log_transitions", record)
    client = StubClient()
    poll_for(300, [device(client)], concurrency=1)
    assert len(client.started) == 5


def test_a_listener_that_fails_costs_the_device_no_later_poll() -> None:
    client = StubClient()
    faulty = Mock(side_effect=[None, ZeroDivisionError, *[None] * 5])

    async def main(loop: FakeTimeLoop) -> None:
        poller = Poller(1, Observer(), faulty, host_clock(loop))
        poller.start(device(client))
        await asyncio.sleep(300)
        await poller.stop()

    run_in_fake_time(main)
    assert len(client.started) == 5


def test_a_listener_that_fails_does_not_hold_up_polls_that_wait_for_a_slot() -> None:
    clients = {name: StubClient() for name in ("faulty", "waiting")}
    faulty, waiting = (device(client, name, interval=3600) for name, client in clients.items())

    def fail_after_the_poll(subject: Device) -> None:
        if subject is faulty and subject.state.polls:
            raise ZeroDivisionError

    async def main(loop: FakeTimeLoop) -> None:
        loop.set_exception_handler(lambda *_: None)
        poller = Poller(1, Observer(), fail_after_the_poll, host_clock(loop))
        for each in (faulty, waiting):
            poller.start(each)
            poller.poll_soon(each, 0)
        await asyncio.sleep(1)
        await poller.stop()

    run_in_fake_time(main)
    assert len(clients["waiting"].started) == 1


def test_no_turn_of_the_loop_sees_a_poll_before_the_listener_is_notified(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subject = device(StubClient())
    notified = [0]
    run_once = FakeTimeLoop._run_once  # type: ignore[attr-defined]

    def check_then_run(loop: FakeTimeLoop) -> None:
        assert subject.state.polls == notified[-1]
        run_once(loop)

    async def main(loop: FakeTimeLoop) -> None:
        poller = Poller(
            1, Observer(), lambda each: notified.append(each.state.polls), host_clock(loop)
        )
        poller.start(subject)
        await asyncio.sleep(300)
        await poller.stop()

    monkeypatch.setattr(FakeTimeLoop, "_run_once", check_then_run)
    run_in_fake_time(main)
    assert notified[-1] == 5


def test_stopping_begins_no_poll_that_waits_for_its_turn() -> None:
    clients = [StubClient(seconds=5) for _ in range(3)]
    devices = [device(client, name) for client, name in zip(clients, "abc", strict=True)]

    async def all_fall_due(poller: Poller) -> None:
        for each in devices:
            poller.poll_soon(each, 0)
        await asyncio.sleep(1)
        await poller.stop()
        assert len(asyncio.all_tasks()) == 1
        await asyncio.sleep(10)

    poll_for(0, devices, concurrency=1, then=all_fall_due)
    assert [len(client.started) for client in clients] == [1, 0, 0]
