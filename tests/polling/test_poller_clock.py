"""The scrape loop, in fake time: when exactly it asks, for the sake of the clock."""

import asyncio
import math

import pytest

from exporter.clock.host import HostTime
from exporter.polling.poller import Poller
from exporter.polling.schedule import first_wait
from tests.support.polled_devices import EPOCH, ClockedClient, device, poll_for


@pytest.mark.parametrize("interval", [1.0, 2.0, 60.0])
@pytest.mark.parametrize("offset_seconds", [0.0, 0.25, -3.7, 1e6])
def test_shifts_for_the_clock_lose_no_turn_and_stay_within_a_second(
    offset_seconds: float, interval: float
) -> None:
    client = ClockedClient(offset_seconds)
    subject = device(client, interval=interval)
    observer = poll_for(interval * 100, [subject])
    due = first_wait("lobby", interval, EPOCH)
    shifts = [at - (due + n * interval) for n, at in enumerate(client.started)]
    assert len(shifts) in (99, 100)
    assert all(-0.001 <= shift < 1.001 for shift in shifts)
    assert max(shifts) > 0.1
    assert max(observer.lateness) < 0.001, "a shift is no lateness"


@pytest.mark.parametrize("interval", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("poll_seconds", [0.5, 0.9, 1.2, 2.3])
@pytest.mark.parametrize("offset_seconds", [0.0, 0.25, -3.7])
def test_slow_polls_take_every_turn_that_they_leave_room_for_each_within_its_second(
    poll_seconds: float, interval: float, offset_seconds: float
) -> None:
    client = ClockedClient(offset_seconds, poll_seconds)
    subject = device(client, interval=interval)
    poll_for(interval * 100, [subject])
    due = first_wait("lobby", interval, EPOCH)
    assert client.most_open == 1
    if poll_seconds <= interval:
        shifts = [at - (due + turn * interval) for turn, at in enumerate(client.started)]
        assert len(shifts) >= 98, "no turn is lost"
    else:
        shifts = [(at - due + 0.001) % interval - 0.001 for at in client.started]
        assert len(shifts) >= 98 // math.ceil(poll_seconds / interval)
    assert all(-0.001 <= shift < 1.001 for shift in shifts)


@pytest.mark.parametrize("interval", [1.0, 2.0, 60.0])
@pytest.mark.parametrize("connect_seconds", [0.01, 0.1, 0.5])
def test_a_poll_that_has_to_connect_begins_earlier_and_asks_within_a_second_of_its_turn(
    connect_seconds: float, interval: float
) -> None:
    client = ClockedClient(0.3, connect_seconds=connect_seconds)
    observer = poll_for(interval * 50, [device(client, interval=interval)])
    due = first_wait("lobby", interval, EPOCH)
    shifts = [at - (due + turn * interval) for turn, at in enumerate(client.started)]
    assert len(shifts) >= 48, "no turn is lost"
    assert all(-0.001 <= shift < 1.001 for shift in shifts[1:])
    begun = [at - (due + turn * interval) for turn, at in enumerate(client.connecting)]
    assert all(-1.001 < shift < 1.001 for shift in begun)
    assert max(observer.lateness) < 0.001, "to begin early is no lateness"


def test_a_connection_that_takes_over_a_second_is_not_aimed_with() -> None:
    client = ClockedClient(0.3, connect_seconds=1.5)
    poll_for(60 * 20, [device(client)])
    due = first_wait("lobby", 60.0, EPOCH)
    assert client.connecting == pytest.approx([due + 60 * n for n in range(20)], abs=0.01)


def test_the_time_a_request_is_held_back_is_not_the_devices() -> None:
    client = ClockedClient(0.3, connect_seconds=0.1)
    subject = device(client)
    observer = poll_for(60 * 20, [subject])
    assert client.started[5] - client.connecting[5] == pytest.approx(0.15, abs=0.002)
    assert observer.latency == pytest.approx([0.102] * 20, abs=0.003)
    assert subject.state.last_poll_steady == pytest.approx(client.started[-1] + 0.002, abs=0.001)


@pytest.mark.parametrize(
    ("connect_seconds", "answer_seconds", "timeout"), [(0.17, 0.02, 0.2), (0.1, 0.85, 1.0)]
)
def test_a_device_that_only_just_answers_in_time_is_not_lost_to_the_hold(
    connect_seconds: float, answer_seconds: float, timeout: float
) -> None:
    subject = device(ClockedClient(0.3, answer_seconds, connect_seconds), timeout=timeout)
    poll_for(60 * 60, [subject])
    assert subject.state.polls == 60
    assert subject.state.failures == 0


def test_kept_connections_that_wait_for_a_slot_are_not_held_for_it() -> None:
    clients = [ClockedClient(0.3, 0.1) for _ in range(200)]
    devices = [device(client, f"cam-{n}", interval=10) for n, client in enumerate(clients)]
    poll_for(100, devices, concurrency=3)
    held = [
        sent - begun
        for client in clients
        for sent, begun in zip(client.started, client.connecting, strict=True)
    ]
    assert max(held) < 0.003


def test_a_next_poll_is_never_told_to_be_in_the_past() -> None:
    subject = device(ClockedClient(0.3, 0.9), interval=1.0)
    ahead = []

    async def watch(_poller: Poller) -> None:
        for _ in range(200):
            before = subject.state.polls
            await asyncio.sleep(0.05)
            if subject.state.polls > before:
                next_poll, last_poll = (
                    subject.state.next_poll_steady,
                    subject.state.last_poll_steady,
                )
                assert next_poll is not None
                assert last_poll is not None
                ahead.append(next_poll - last_poll)

    poll_for(5, [subject], then=watch)
    assert len(ahead) >= 8
    assert min(ahead) > -0.001


def test_an_interval_under_a_second_is_never_shifted() -> None:
    client = ClockedClient(0.3)
    poll_for(60, [device(client, interval=0.9)])
    due = first_wait("lobby", 0.9, EPOCH)
    shifts = [at - (due + n * 0.9) for n, at in enumerate(client.started)]
    assert max(shifts) < 0.001


def test_what_the_answers_showed_reaches_the_devices_clock() -> None:
    subject = device(ClockedClient(12.5))
    poll_for(60 * 20, [subject])
    offset = subject.state.clock_offset(HostTime(round(1200e9), round((EPOCH + 1200) * 1e9)))
    assert offset is not None
    assert abs(offset.seconds - 12.5) <= offset.uncertainty_seconds < 0.05
