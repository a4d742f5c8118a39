"""Time servers that are chrony, as sites have them: right, off, unsynchronized."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from exporter.clock.host import HostClock, steady_ns
from exporter.clock.offset import SECOND_NS
from exporter.config import TimeServersConfig
from exporter.time_servers.client import TimeServerClient
from exporter.time_servers.monitor import TimeServer, TimeServerMonitor
from exporter.vapix.dns import CachingResolver, LookupFailed
from tests.support.chrony import UNSYNCHRONIZED, chrony, follows
from tests.support.daemon_process import daemon_on
from tests.support.programs import LOOPBACK, faked_wall_clock
from tests.vapix.stub_dns import StubDns

OFF_SECONDS = 0.3
RUNS = 100
TRIES = 10
WIDEST_SECONDS = 0.005


@pytest.fixture(scope="module")
def three_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Two right servers, and one that is 0.3 s ahead."""
    folder = tmp_path_factory.mktemp("chrony")
    with ExitStack() as stack:
        ports = [stack.enter_context(chrony(folder)) for _ in range(2)]
        ports.append(stack.enter_context(chrony(folder, follows(ports[0], OFF_SECONDS))))
        yield [f"{LOOPBACK}:{port}" for port in ports]


async def ask(servers: list[str], host: HostClock) -> TimeServerMonitor:
    """Query each server once."""
    resolver = CachingResolver(StubDns(LookupFailed("no DNS in this test")))
    client = TimeServerClient(resolver, host)
    monitor = TimeServerMonitor(client.query, host, chance=lambda: 0.0)
    monitor.apply(TimeServersConfig(servers=tuple(servers)))
    async with asyncio.timeout(30):
        while any(server.up is None for server in monitor.servers):
            await asyncio.sleep(0.001)
    await asyncio.sleep(0)
    return monitor


async def ask_one(port: int) -> TimeServer:
    monitor = await ask([f"{LOOPBACK}:{port}"], HostClock())
    [server] = monitor.servers
    await monitor.stop()
    return server


async def test_a_right_server_is_up_selectable_and_its_offset_is_true(tmp_path: Path) -> None:
    with chrony(tmp_path) as port:
        server = await ask_one(port)
    now = HostClock().now()
    assert server.up is True
    assert server.answer is not None
    assert (server.answer.stratum, server.answer.leap) == (8, 0)
    assert server.answer.is_selectable
    low_ns, high_ns, *_ = server.answer.estimate
    assert low_ns <= now.unix_minus_steady_ns <= high_ns


async def test_an_unsynchronized_server_is_up_but_not_selectable(tmp_path: Path) -> None:
    with chrony(tmp_path, UNSYNCHRONIZED) as port:
        server = await ask_one(port)
    assert server.up is True
    assert server.answer is not None
    assert (server.answer.stratum, server.answer.leap) == (16, 3)
    assert not server.answer.is_selectable


async def test_a_server_with_a_faked_clock_is_off_by_as_much(tmp_path: Path) -> None:
    with chrony(tmp_path, env=faked_wall_clock(FAKETIME="+1.5s")) as port:
        server = await ask_one(port)
    assert server.answer is not None
    low_ns, high_ns, *_ = server.answer.estimate
    off_ns = HostClock().now().unix_minus_steady_ns + 1_500_000_000
    # libfaketime reads an offset as a double.
    assert low_ns - 1_000 <= off_ns <= high_ns + 1_000


async def test_times_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    # libfaketime shifts the time of sending, and not the kernel's time of receiving.
    with chrony(tmp_path, env=faked_wall_clock(FAKETIME="+0.3s")) as port:
        server = await ask_one(port)
    assert (server.up, server.answer) == (False, None)
    assert server.failures["invalid_response"] == 1


async def find_width_seconds(servers: list[str], shift_ns: int) -> float:
    """Return how wide the interval of the offset of a host is whose clock is wrong by `shift_ns`.

    It must hold the truth.
    """

    def wrong_clock() -> int:
        return time.time_ns() + shift_ns

    host = HostClock(steady_ns, wrong_clock)
    monitor = await ask(servers, host)
    offset = monitor.host_offset(host.now())
    await monitor.stop()
    assert offset is not None
    assert abs(offset.seconds - shift_ns / SECOND_NS) <= offset.uncertainty_seconds
    return 2 * offset.uncertainty_seconds


async def test_with_one_of_three_servers_off_every_offset_holds_the_truth_and_some_are_narrow(
    three_servers: list[str],
) -> None:
    """Shift the host's clock 100 times.

    Every measurement must hold the truth. Of each shift one of up to ten measurements must be at
    most 5 ms wide.
    """
    rng = random.Random(15)
    for _ in range(RUNS):
        shift_ns = rng.randint(-10 * 86_400 * SECOND_NS, 10 * 86_400 * SECOND_NS)
        # A loaded machine may interrupt a query, which makes the interval wider, never wrong.
        widths = [await find_width_seconds(three_servers, shift_ns)]
        while widths[-1] > WIDEST_SECONDS and len(widths) < TRIES:
            widths.append(await find_width_seconds(three_servers, shift_ns))
        assert widths[-1] <= WIDEST_SECONDS, widths


async def test_the_daemon_on_a_host_with_a_wrong_clock_says_by_how_much(
    three_servers: list[str], tmp_path: Path
) -> None:
    shift_seconds = 2.5
    config = {"time_servers": {"servers": three_servers}}
    clock = faked_wall_clock(FAKETIME=f"+{shift_seconds}s")
    name = "axis_ntp_exporter_host_clock_offset"
    async with daemon_on(config, tmp_path, env=clock) as running:
        await running.until(lambda scrape: len(scrape.all("axis_ntp_time_server_up")) == 3)
        found = await running.until(lambda scrape: bool(scrape.all(f"{name}_seconds")))
    [(_, offset)] = found.all(f"{name}_seconds")
    [(_, uncertainty)] = found.all(f"{name}_uncertainty_seconds")
    assert abs(offset - shift_seconds) <= uncertainty + 1e-6
    offs = [value for _, value in found.all("axis_ntp_time_server_offset_seconds")]
    assert max(offs) - min(offs) == pytest.approx(OFF_SECONDS, abs=0.1)
