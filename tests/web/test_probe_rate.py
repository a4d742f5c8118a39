"""/probe and /poll in fake time: visitors have a device polled no more often than it has turns."""

import asyncio
from itertools import pairwise

import pytest
from aiohttp.test_utils import make_mocked_request

from exporter.fleet.registry import Fleet
from exporter.polling.poller import Poller
from exporter.polling.schedule import MAX_SHIFT_SECONDS, first_wait
from exporter.vapix.errors import ConnectFailed
from exporter.web.probe import poll_early, probe_device
from tests.support.fake_time import FakeTimeLoop, run_in_fake_time
from tests.support.polled_devices import (
    EPOCH,
    ClockedClient,
    Observer,
    StubClient,
    device,
    host_clock,
)

INTERVAL = 10.0
TURNS = 20
PRESSED_AT = 6.0


def probe_every(
    client: StubClient, seconds: float, interval: float = INTERVAL, presses: int = 0
) -> None:
    """Poll a device for `TURNS` intervals while visitors probe it so often.

    Each of them presses its button so many times, too.
    """

    def nobody(_: object) -> None:
        """Nobody listens."""

    async def main(loop: FakeTimeLoop) -> None:
        host = host_clock(loop)
        poller, polled = Poller(10, Observer(), nobody, host), device(client, interval=interval)
        fleet = Fleet([polled])
        poller.start(polled)
        request = make_mocked_request("GET", "/probe?target=lobby")
        while loop.time() < TURNS * interval:
            await probe_device(request, fleet, poller, host)
            await asyncio.gather(*(poll_early(polled, poller, host) for _ in range(presses)))
            await asyncio.sleep(seconds)
        await poller.stop()

    run_in_fake_time(main)


@pytest.mark.parametrize("interval", [2.0, INTERVAL])
@pytest.mark.parametrize("every", [0.1, 0.7, 7.0])
@pytest.mark.parametrize(
    "client",
    [
        StubClient(),
        StubClient(seconds=1.9),
        StubClient(result=ConnectFailed("refused")),
        ClockedClient(0.25),
        ClockedClient(-3.7, seconds=0.3),
    ],
    ids=["good", "slow", "failing", "ahead", "behind"],
)
def test_probes_never_make_polls_more_frequent_than_the_interval(
    client: StubClient, every: float, interval: float
) -> None:
    client.started.clear()
    probe_every(client, every, interval)
    first, *others = client.started
    # Polls are shifted by up to a second to see more of the device's clock.
    assert TURNS / 2 <= len(others) <= (others[-1] - first + MAX_SHIFT_SECONDS) / interval
    shortest = min(later - earlier for earlier, later in pairwise(client.started))
    assert shortest >= interval - MAX_SHIFT_SECONDS


def test_a_probe_of_a_device_that_was_never_polled_counts_as_its_first_turn() -> None:
    client = StubClient()
    probe_every(client, TURNS * INTERVAL)
    first_turn = first_wait("lobby", INTERVAL, EPOCH)
    assert client.started[:3] == pytest.approx(
        [0.0, first_turn + INTERVAL, first_turn + 2 * INTERVAL], abs=0.01
    )


@pytest.mark.parametrize("client", [StubClient(), StubClient(seconds=1.9), ClockedClient(0.25)])
@pytest.mark.parametrize("every", [0.1, 0.7, 7.0])
def test_the_button_takes_the_next_turn_and_only_one_in_advance(
    client: StubClient, every: float
) -> None:
    client.started.clear()
    probe_every(client, every, presses=30)
    for number, began in enumerate(client.started):
        after = [each for each in client.started[number:] if each < began + 5 * INTERVAL]
        assert len(after) <= 5 + 2
    assert TURNS - 1 <= len(client.started) <= TURNS + 2
    assert client.most_open == 1


def test_the_button_polls_at_once() -> None:
    client = StubClient()

    async def main(loop: FakeTimeLoop) -> None:
        host, polled = host_clock(loop), device(client, interval=INTERVAL)
        poller = Poller(10, Observer(), lambda _: None, host)
        poller.start(polled)
        await asyncio.sleep(PRESSED_AT)
        await poll_early(polled, poller, host)
        await poll_early(polled, poller, host)
        await asyncio.sleep(2 * INTERVAL)
        await poller.stop()

    run_in_fake_time(main)
    turn = first_wait("lobby", INTERVAL, EPOCH)
    expected = [turn, PRESSED_AT, turn + 2 * INTERVAL]
    assert client.started == pytest.approx(expected, abs=0.01)
