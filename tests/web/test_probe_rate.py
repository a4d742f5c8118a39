"""/probe in fake time: visitors never make the daemon ask a device more often than its interval."""

import asyncio
from itertools import pairwise

import pytest
from aiohttp.test_utils import make_mocked_request

from exporter.fleet.registry import Fleet
from exporter.polling.poller import Poller
from exporter.polling.schedule import MAX_SHIFT_SECONDS, first_wait
from exporter.vapix.errors import ConnectFailed
from exporter.web.probe import probe_device
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


def probe_every(client: StubClient, seconds: float, interval: float = INTERVAL) -> None:
    """Poll a device for `TURNS` intervals while visitors probe it so often."""

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
