"""The scrape loop, in fake time: no test waits, every second is counted."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from email.utils import formatdate
from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs

from exporter.clock import SECOND_NS
from exporter.device import Device, Target
from exporter.hold import Hold
from exporter.host_clock import HostClock, HostTime
from exporter.poller import Poller
from exporter.reading import NtpClientReading, Reading
from exporter.schedule import first_wait
from exporter.vapix.errors import Unauthorized, UnexpectedStatus
from exporter.vapix.sighting import Sighting
from tests.fake_time import FakeTimeLoop, run_in_fake_time

READING = Reading("1.0", NtpClientReading(enabled=True), server_present=False)
EPOCH = 1_700_000_000.0


class StubClient:
    """Answers a poll after `seconds`, with `result` or by raising it."""

    def __init__(self, seconds: float = 0.1, result: Reading | BaseException = READING) -> None:
        self.seconds = seconds
        self.result = result
        self.started: list[float] = []
        self.open = 0
        self.most_open = 0
        self.sightings: list[Sighting] = []
        self.scheme = None
        self.stage = "connecting"

    def take_sightings(self) -> list[Sighting]:
        taken, self.sightings = self.sightings, []
        return taken

    async def get_info(self, _hold: Hold) -> Reading:
        self.started.append(asyncio.get_running_loop().time())
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.open -= 1
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


class Observer:
    def __init__(self) -> None:
        self.lateness: list[float] = []
        self.latency: list[float] = []
        self.changes: list[Device] = []

    def poll_started(self, lateness_seconds: float) -> None:
        self.lateness.append(lateness_seconds)

    def poll_ended(self, latency_seconds: float) -> None:
        self.latency.append(latency_seconds)


def device(
    client: StubClient, name: str = "lobby", interval: float = 60.0, timeout: float = 10.0
) -> Device:
    target = Target(name, f"{name}.example", {}, interval, timeout)
    return Device(target, client)  # type: ignore[arg-type]


def host_clock(loop: FakeTimeLoop) -> HostClock:
    return HostClock(
        steady=lambda: round(loop.time() * SECOND_NS),
        unix=lambda: round((EPOCH + loop.time()) * SECOND_NS),
    )


def poll_for(
    seconds: float,
    devices: Iterable[Device],
    concurrency: int = 1000,
    then: Callable[[Poller], Awaitable[None]] | None = None,
) -> Observer:
    """Poll `devices` for so long in fake time."""
    observer = Observer()

    async def main(loop: FakeTimeLoop) -> None:
        poller = Poller(concurrency, observer, observer.changes.append, host_clock(loop))
        for each in devices:
            poller.start(each)
        await asyncio.sleep(seconds)
        if then is not None:
            await then(poller)
        await poller.stop()

    run_in_fake_time(main)
    return observer


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
    assert hung.state.error is not None
    assert hung.state.error.reason == "timeout"
    assert str(hung.state.error) == "no complete answer within 7.5 s: connecting"


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


def test_the_next_poll_is_told_in_unix_time() -> None:
    polled = device(StubClient())
    poll_for(61, [polled])
    due = first_wait("lobby", 60.0, EPOCH)
    assert polled.state.next_poll_unix == pytest.approx(EPOCH + due + 60, abs=0.01)
    assert polled.state.last_poll_unix == pytest.approx(EPOCH + due + 0.1, abs=0.01)


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


def test_an_internal_error_fails_the_poll_and_the_loop_goes_on() -> None:
    client = StubClient(result=ZeroDivisionError("ours"))
    broken = device(client)
    with capture_logs() as logs:
        poll_for(300, [broken])
    assert len(client.started) == 5
    assert broken.state.error is not None
    assert broken.state.error.reason == "internal"
    assert {log["event"] for log in logs} == {"poll.internal_error", "device.failed"}
    assert all(log["exc_info"] for log in logs if log["event"] == "poll.internal_error")


def test_a_failure_is_logged_once_and_the_recovery_with_its_length() -> None:
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


def test_a_second_reason_of_one_outage_is_logged_too_but_each_only_once() -> None:
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


def test_a_field_that_was_left_out_is_logged_once_a_device() -> None:
    odd = Reading("1.0", None, server_present=False, invalid_fields=(("minpoll", "too much"),))
    with capture_logs() as logs:
        poll_for(600, [device(StubClient(result=odd))])
    assert [(log["event"], log["field"]) for log in logs] == [("device.field_left_out", "minpoll")]


class ClockedClient(StubClient):
    """A device whose only clock is a `Date`, `offset_seconds` ahead of the host."""

    def __init__(
        self, offset_seconds: float, seconds: float = 0.002, connect_seconds: float = 0.0
    ) -> None:
        super().__init__(seconds)
        self.connecting: list[float] = []
        self.offset_seconds = offset_seconds
        self.connect_seconds = connect_seconds

    async def get_info(self, hold: Hold) -> Reading:
        loop = asyncio.get_running_loop()
        self.connecting.append(loop.time())
        await asyncio.sleep(self.connect_seconds)
        await hold.wait()
        sent = loop.time()
        reading = await super().get_info(hold)
        date = formatdate(math.floor(EPOCH + sent + self.offset_seconds), usegmt=True)
        times = (round(sent * SECOND_NS), round(loop.time() * SECOND_NS))
        self.sightings.append(Sighting(*times, date))
        return reading


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
    assert subject.state.last_poll_unix == pytest.approx(
        EPOCH + client.started[-1] + 0.002, abs=0.001
    )


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
                next_poll, last_poll = subject.state.next_poll_unix, subject.state.last_poll_unix
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


def test_a_step_is_logged_on_its_edge() -> None:
    client = ClockedClient(0.0)

    async def step(_poller: Poller) -> None:
        client.offset_seconds = 30.0
        await asyncio.sleep(300)

    with capture_logs() as logs:
        poll_for(1200, [device(client)], then=step)
    assert [log["event"] for log in logs] == ["device.clock_stepped"]
    assert logs[0]["seconds"] == pytest.approx(30, abs=1)


def test_whoever_listens_is_told_of_a_device_at_its_start_and_after_each_poll() -> None:
    subject = device(StubClient())
    observer = poll_for(300, [subject])
    assert observer.changes == [subject] * 6
