"""When servers are asked, and what is kept of their answers. In fake time."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from structlog.testing import capture_logs

from exporter.clock.host import HostClock, HostTime
from exporter.clock.offset import SECOND_NS, Estimate
from exporter.config import TimeServersConfig
from exporter.time_servers.client import NoAnswer, NotSent
from exporter.time_servers.monitor import MAX_DEVICE_QUERIES, TimeServer, TimeServerMonitor
from exporter.time_servers.slots import MAX_DEVICE_SERVERS
from exporter.time_servers.sntp import InvalidAnswer, KissOfDeath, QueryFailed, TimeAnswer
from tests.support.fake_time import FakeTimeLoop, run_in_fake_time

WALL_NS = 1_800_000_000 * SECOND_NS
OFF_NS = 30_000_000
"""How far this host's clock is ahead of the truth."""


class Servers:
    """Answers queries in fake time; `results` by host replace the right time.

    `asked` has the host and the time of each query.
    """

    def __init__(self, loop: FakeTimeLoop) -> None:
        self._loop = loop
        self.results: dict[str, Any] = {}
        self.asked: list[tuple[str, float]] = []
        self.in_flight: dict[str, int] = {}
        self.fails: Exception | None = None
        self.takes_seconds = 0.0

    def now_ns(self) -> int:
        return round(self._loop.time() * SECOND_NS)

    async def query(
        self,
        host: str,
        port: int,
        timeout_seconds: float,
        attempt: int = 0,
        *,
        is_configured: bool = True,
    ) -> TimeAnswer:
        del port, timeout_seconds, attempt, is_configured
        self.asked.append((host, self._loop.time()))
        self.in_flight[host] = self.in_flight.get(host, 0) + 1
        assert self.in_flight[host] == 1
        await asyncio.sleep(self.takes_seconds)
        self.in_flight[host] -= 1
        result = self.results.get(host, self.fails)
        if isinstance(result, Exception):
            raise result
        return result or self.right()

    def right(self, error_ns: int = 1_000_000, off_ns: int = 0, **changes: Any) -> TimeAnswer:
        theta_ns = WALL_NS - OFF_NS + off_ns
        estimate = Estimate(theta_ns - error_ns, theta_ns + error_ns, self.now_ns())
        return TimeAnswer(estimate, 2_000_000, 2, 0, 0, 0)._replace(**changes)

    def times(self, host: str) -> list[float]:
        return [at for name, at in self.asked if name == host]


Scenario = Callable[[TimeServerMonitor, Servers], Coroutine[Any, Any, None]]


def play(scenario: Scenario, *chances: float) -> None:
    """Play a scenario; `chances` are the monitor's first random numbers, then come zeros."""
    chance = itertools.chain(chances, itertools.repeat(0.0))

    async def main(loop: FakeTimeLoop) -> None:
        servers = Servers(loop)
        host = HostClock(servers.now_ns, lambda: servers.now_ns() + WALL_NS)
        monitor = TimeServerMonitor(servers.query, host, lambda: next(chance))
        await scenario(monitor, servers)
        await monitor.stop()

    run_in_fake_time(main)


def config(*servers: str, **changes: Any) -> TimeServersConfig:
    return TimeServersConfig.model_validate({"servers": servers} | changes)


def host_time(servers: Servers) -> HostTime:
    return HostTime(servers.now_ns(), servers.now_ns() + WALL_NS)


def only(monitor: TimeServerMonitor) -> TimeServer:
    [server] = monitor.servers
    return server


def test_a_server_is_asked_once_an_interval() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        monitor.apply(config("a"))
        await asyncio.sleep(200)
        assert servers.times("a") == [0, 64, 128, 192]
        assert (only(monitor).queries, only(monitor).up) == (4, True)

    play(scenario)


def test_the_first_queries_are_spread() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        monitor.apply(config("a"))
        await asyncio.sleep(10)
        assert servers.times("a") == [2]

    play(scenario, 0.5)


def test_a_slow_server_has_one_query_at_a_time_and_never_more_often() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        servers.takes_seconds = 20
        monitor.apply(config("a", "b", interval="16s", timeout="30s"))
        await asyncio.sleep(70)
        assert servers.times("a") == [0, 20, 40, 60]

    play(scenario)


def test_failures_are_counted_by_reason_and_logged_once() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        servers.results["a"] = NoAnswer("no response from a within 5 s")
        monitor.apply(config("a"))
        with capture_logs() as logs:
            await asyncio.sleep(100)
            servers.results["a"] = InvalidAnswer("the response has mode 5, not 4 (server)")
            await asyncio.sleep(64)
            assert only(monitor).up is False
            assert only(monitor).error == "the response has mode 5, not 4 (server)"
            del servers.results["a"]
            await asyncio.sleep(64)
        server = only(monitor)
        assert (server.up, server.error, server.queries) == (True, None, 4)
        assert server.failures == {
            "dns": 0,
            "timeout": 2,
            "unreachable": 0,
            "kiss_of_death": 0,
            "invalid_response": 1,
        }
        events = [(log["event"], log.get("reason")) for log in logs]
        assert events == [("time_server.failed", "timeout"), ("time_server.recovered", None)]

    play(scenario)


def test_a_fault_of_this_host_counts_for_no_server() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        monitor.apply(config("a"))
        await asyncio.sleep(10)
        for fault in (NotSent("too many open files"), ZeroDivisionError("a bug")):
            servers.results["a"] = fault
            with capture_logs() as logs:
                await asyncio.sleep(64)
            assert only(monitor).up is None
            assert len(logs) == 1
        assert only(monitor).queries == 1
        assert sum(only(monitor).failures.values()) == 0
        assert only(monitor).current_answer(servers.now_ns()) is not None

    play(scenario)


def test_rate_doubles_the_interval_up_to_maxpoll() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        servers.results["a"] = KissOfDeath("RATE")
        monitor.apply(config("a"))
        await asyncio.sleep(6000)
        assert servers.times("a") == [0, 128, 384, 896, 1920, 2944, 3968, 4992]
        assert only(monitor).failures["kiss_of_death"] == 8

    play(scenario)


def test_a_server_that_asks_for_fewer_queries_is_not_down() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        monitor.apply(config("a"))
        await asyncio.sleep(10)
        servers.results["a"] = KissOfDeath("RATE")
        with capture_logs() as logs:
            await asyncio.sleep(64)
        assert (only(monitor).up, only(monitor).error) == (True, None)
        assert (only(monitor).queries, only(monitor).failures["kiss_of_death"]) == (2, 1)
        assert monitor.host_offset(host_time(servers)) is not None
        assert logs == []

    play(scenario)


@pytest.mark.parametrize("answers_first", [True, False])
def test_a_server_that_only_asks_for_fewer_queries_is_down_once_no_answer_counts(
    *, answers_first: bool
) -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        if not answers_first:
            servers.results["a"] = KissOfDeath("RATE")
        monitor.apply(config("a"))
        await asyncio.sleep(1)
        assert only(monitor).up is answers_first
        servers.results["a"] = KissOfDeath("RATE")
        await asyncio.sleep(511)
        assert only(monitor).up is answers_first
        with capture_logs() as logs:
            await asyncio.sleep(512)
            assert (only(monitor).up, only(monitor).error) == (False, "the server answered RATE")
            del servers.results["a"]
            await asyncio.sleep(1024)
        assert only(monitor).up is True
        failed = ["time_server.failed"] * answers_first
        assert [log["event"] for log in logs] == [*failed, "time_server.recovered"]

    play(scenario)


def test_after_good_answers_an_interval_is_halved_again_down_to_the_configured_one() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        servers.results["a"] = KissOfDeath("RATE")
        monitor.apply(config("a"))
        await asyncio.sleep(129)  # two queries: 256 s from now on
        del servers.results["a"]
        await asyncio.sleep(5000)
        times = servers.times("a")[1:]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert gaps[:16] == [256] * 8 + [128] * 8
        assert set(gaps[16:]) == {64}

    play(scenario)


def test_however_often_a_server_asked_for_fewer_queries_its_interval_gets_short_again() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        servers.results["a"] = KissOfDeath("RATE")
        monitor.apply(config("a"))
        await asyncio.sleep(20 * 1024)
        del servers.results["a"]
        asked = len(servers.times("a"))
        await asyncio.sleep(8 * (1024 + 512 + 256 + 128) + 10 * 64)
        times = servers.times("a")[asked:]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert gaps[:32] == [1024] * 7 + [512] * 8 + [256] * 8 + [128] * 8 + [64]

    play(scenario)


def test_only_answers_in_a_row_make_an_interval_shorter() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        servers.results["a"] = KissOfDeath("RATE")
        monitor.apply(config("a"))
        await asyncio.sleep(1)
        del servers.results["a"]
        await asyncio.sleep(6 * 128)
        servers.results["a"] = NoAnswer("silent")
        await asyncio.sleep(128)
        del servers.results["a"]
        await asyncio.sleep(9 * 128)
        gaps = [later - earlier for earlier, later in itertools.pairwise(servers.times("a"))]
        assert gaps[:16] == [128] * 15 + [64]

    play(scenario)


@pytest.mark.parametrize("fault", [NoAnswer("silent"), NotSent("no files left")], ids=repr)
def test_a_failed_query_is_repeated_after_64_seconds_however_long_the_interval_is(
    fault: Exception,
) -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        servers.results["a"] = fault
        monitor.apply(config("a", interval="17m"))
        await asyncio.sleep(100)
        del servers.results["a"]
        await asyncio.sleep(1200)
        assert servers.times("a") == [0, 64, 128, 128 + 1020]

    play(scenario)


def test_a_server_that_fails_after_it_asked_for_fewer_queries_gets_no_more() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        servers.results["a"] = KissOfDeath("RATE")
        monitor.apply(config("a"))
        await asyncio.sleep(1)
        servers.results["a"] = NoAnswer("silent")
        await asyncio.sleep(400)
        assert servers.times("a") == [0, 128, 256, 384]

    play(scenario)


def test_rate_never_makes_a_long_interval_shorter() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        servers.results["a"] = KissOfDeath("RATE")
        monitor.apply(config("a", interval="17m"))
        await asyncio.sleep(2100)
        assert servers.times("a") == [0, 1024, 2048]

    play(scenario)


@pytest.mark.parametrize("code", ["DENY", "RSTR"])
def test_a_server_that_refuses_is_not_asked_again(code: str) -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        servers.results["a"] = KissOfDeath(code)
        monitor.apply(config("a"))
        with capture_logs() as logs:
            await asyncio.sleep(10_000)
        monitor.apply(config("a", interval="16s"))
        await asyncio.sleep(10_000)
        assert servers.times("a") == [0]
        assert (only(monitor).up, only(monitor).failures["kiss_of_death"]) == (False, 1)
        assert [log["event"] for log in logs] == ["time_server.failed", "time_server.refused"]

    play(scenario)


def test_a_server_that_refuses_stays_refused_if_it_is_removed_and_added_again() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        servers.results["a"] = KissOfDeath("DENY")
        monitor.apply(config("a"))
        await asyncio.sleep(1)
        monitor.apply(config("b"))
        await asyncio.sleep(3600)
        monitor.apply(config("a"))
        await asyncio.sleep(86_400)
        assert servers.times("a") == [0]
        assert (only(monitor).up, only(monitor).has_ended) == (False, True)
        monitor.apply(config("b"))
        await asyncio.sleep(86_401)
        monitor.apply(config("a"))
        await asyncio.sleep(1)
        assert len(servers.times("a")) == 2

    play(scenario)


def test_a_reload_keeps_the_state_and_turn_of_servers_that_stay() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        monitor.apply(config("a", "b"))
        await asyncio.sleep(100)
        [first, _] = monitor.servers
        monitor.apply(config("A", "c"))
        await asyncio.sleep(60)
        assert monitor.servers[0] is first
        assert first.target.label == "A"
        assert servers.times("a") + servers.times("A") == [0, 64, 128]
        assert servers.times("b") == [0, 64]
        assert servers.times("c") == [100]

    play(scenario)


def test_an_interval_may_change_at_a_reload() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        monitor.apply(config("a"))
        await asyncio.sleep(10)
        monitor.apply(config("a", interval="16s"))
        await asyncio.sleep(100)
        # A shorter interval does not wait for the end of the longer one.
        assert servers.times("a") == [0, 16, 32, 48, 64, 80, 96]

    play(scenario)


def test_without_servers_nothing_is_asked() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        monitor.apply(config("a"))
        await asyncio.sleep(1)
        monitor.apply(TimeServersConfig())
        await asyncio.sleep(1000)
        assert (monitor.servers, len(servers.asked)) == ([], 1)
        assert not monitor.rules.asks_any

    play(scenario)


def test_an_answer_counts_for_eight_intervals_while_queries_fail() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        monitor.apply(config("a"))
        await asyncio.sleep(10)
        servers.results["a"] = NoAnswer("silent")
        await asyncio.sleep(8 * 64 - 11)
        assert only(monitor).current_answer(servers.now_ns()) is not None
        narrow, wide = (
            monitor.host_offset(HostTime(at_ns, at_ns + WALL_NS)) for at_ns in (0, servers.now_ns())
        )
        assert narrow is not None
        assert wide is not None
        assert wide.uncertainty_seconds > narrow.uncertainty_seconds + 0.04
        await asyncio.sleep(2)
        assert only(monitor).current_answer(servers.now_ns()) is None
        assert monitor.host_offset(host_time(servers)) is None

    play(scenario)


def test_the_hosts_offset_is_what_a_majority_says_and_falsetickers_do_not_count() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        servers.results["c"] = servers.right(off_ns=300_000_000)
        monitor.apply(config("a", "b", "c"))
        await asyncio.sleep(1)
        offset = monitor.host_offset(host_time(servers))
        assert offset is not None
        assert offset.seconds == pytest.approx(OFF_NS / SECOND_NS, abs=1e-3)
        assert offset.uncertainty_seconds < 2e-3

    play(scenario)


def test_without_a_majority_the_hosts_offset_is_unknown() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        servers.results["b"] = servers.right(off_ns=300_000_000)
        monitor.apply(config("a", "b"))
        assert monitor.host_offset(host_time(servers)) is None
        await asyncio.sleep(1)
        assert monitor.host_offset(host_time(servers)) is None

    play(scenario)


def test_the_hosts_offset_is_unknown_until_a_query_of_each_server_has_ended() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        servers.results["c"] = NoAnswer("silent")
        monitor.apply(config("a", "b", "c"))
        await asyncio.sleep(1)
        assert [server.up for server in monitor.servers] == [True, None, None]
        assert monitor.host_offset(host_time(servers)) is None
        await asyncio.sleep(1)
        assert [server.up for server in monitor.servers] == [True, True, None]
        assert monitor.host_offset(host_time(servers)) is None
        await asyncio.sleep(1.5)
        assert [server.up for server in monitor.servers] == [True, True, False]
        assert monitor.host_offset(host_time(servers)) is not None
        monitor.apply(config("a", "b", "c", "d"))
        assert monitor.host_offset(host_time(servers)) is None
        await asyncio.sleep(0.5)
        assert monitor.host_offset(host_time(servers)) is not None

    play(scenario, 0.125, 0.375, 0.75, 0.1)


def test_a_server_that_is_left_alone_does_not_decide() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        servers.results["wrong"] = servers.right(off_ns=100 * SECOND_NS)
        monitor.apply(config("wrong", "b", "c"))
        await asyncio.sleep(60)
        assert monitor.host_offset(host_time(servers)) is not None
        servers.results |= {"b": NoAnswer("dead"), "c": NoAnswer("dead")}
        for _ in range(20):
            await asyncio.sleep(60)
            servers.results["wrong"] = servers.right(off_ns=100 * SECOND_NS)
            offset = monitor.host_offset(host_time(servers))
            assert offset is None or offset.seconds < 1
        assert offset is None

    play(scenario)


def test_the_vote_names_each_server_with_a_problem() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        far = servers.right(off_ns=100 * SECOND_NS)
        servers.results |= {"c": NoAnswer("silent"), "d": far, "e": servers.right(leap=3)}
        monitor.apply(config(*"abcdefg"))
        await asyncio.sleep(10)
        problems = monitor.vote(host_time(servers)).problems
        assert [(each.target.label, each.text) for each in problems] == [
            ("c", "silent"),
            ("d", "contradicts the others"),
            ("e", "not usable: stratum 2, leap 3, ± 1.000 ms"),
        ]

    play(scenario)


def test_that_servers_disagree_is_logged_when_it_changes() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        def wrong(off_ns: int = 300_000_000) -> TimeAnswer:
            return servers.right(off_ns=off_ns)

        monitor.apply(config("a", "b", "c"))
        with capture_logs() as logs:
            await asyncio.sleep(10)
            assert logs == []
            servers.results["c"] = wrong()
            await asyncio.sleep(192)
            servers.results["b"] = wrong(-300_000_000)
            await asyncio.sleep(64)
            servers.results.clear()
            await asyncio.sleep(640)
        assert [(log["event"], log.get("servers"), log["log_level"]) for log in logs] == [
            ("time_servers.disagree", "c", "warning"),
            ("time_servers.disagree", "a, b, c", "warning"),
            ("time_servers.disagree", "c", "warning"),
            ("time_servers.agree", None, "info"),
        ]
        assert "no majority" in logs[1]["advice"]

    play(scenario)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]:1123", "localhost"])
def test_a_configured_server_on_this_host_gets_a_warning_once(host: str) -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        with capture_logs() as logs:
            monitor.apply(config(host, "a"))
            await asyncio.sleep(1)
            monitor.apply(config(host, "a", interval="20s"))
            await asyncio.sleep(100)
        assert [(log["event"], log["server"]) for log in logs] == [
            ("time_server.is_this_host", host)
        ]
        assert len(servers.asked) > 5

    play(scenario)


def test_unsynchronized_servers_have_no_vote() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        for host in ("d", "e"):
            servers.results[host] = servers.right(off_ns=SECOND_NS, leap=3, stratum=16)
        monitor.apply(config(*"abcdefg"))
        await asyncio.sleep(1)
        offset = monitor.host_offset(host_time(servers))
        assert offset is not None
        assert offset.seconds == pytest.approx(OFF_NS / SECOND_NS, abs=1e-3)

    play(scenario)


def of_devices(monitor: TimeServerMonitor, *devices: list[str]) -> None:
    usage = monitor.new_usage()
    for servers in devices:
        usage.add(tuple(servers))
    monitor.set_usage(usage)


BY_DEVICES = TimeServersConfig(servers=("a",), used_by_devices=True, allowed=("10.0.0.0/8",))


def test_the_servers_of_devices_are_asked_while_a_device_has_them() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        monitor.apply(BY_DEVICES)
        of_devices(monitor, ["10.0.0.1", "a"], ["10.0.0.1", "192.0.2.1"])
        await asyncio.sleep(70)
        assert {each.target.label: each.devices for each in monitor.servers} == {
            "a": 1,
            "10.0.0.1": 2,
        }
        of_devices(monitor)
        await asyncio.sleep(899)
        assert len(servers.times("10.0.0.1")) == 16
        assert [each.devices for each in monitor.servers] == [0, 0]
        await asyncio.sleep(200)
        of_devices(monitor)
        await asyncio.sleep(100)
        assert only(monitor).target.label == "a"
        of_devices(monitor, ["10.0.0.1"])
        assert [each.devices for each in monitor.servers] == [0, 1]

    play(scenario)


def test_devices_that_name_other_servers_again_and_again_cause_no_more_queries_nor_lines() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        servers.fails = KissOfDeath("DENY")
        monitor.apply(BY_DEVICES)
        hours = 3
        with capture_logs() as logs:
            for turn in range(hours * 60):
                of_devices(monitor, *([f"10.{turn}.{n}.{i}" for i in range(32)] for n in range(12)))
                await asyncio.sleep(60)
        for hour in range(hours):
            asked = {name for name, at in servers.asked if hour * 3600 <= at < (hour + 1) * 3600}
            assert len(asked) <= MAX_DEVICE_SERVERS + 1
        assert {log["log_level"] for log in logs if log["server"] != "a"} == {"debug"}
        assert len(monitor.servers) <= MAX_DEVICE_SERVERS + 1
        assert len(monitor._removed) <= 1024

    play(scenario)


def test_a_reload_that_changes_no_time_servers_does_not_stop_a_count() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        monitor.apply(BY_DEVICES)
        usage = monitor.new_usage()
        usage.add(("10.0.0.1",))
        monitor.apply(BY_DEVICES.model_copy())
        monitor.set_usage(usage)
        await asyncio.sleep(1)
        assert {host for host, _ in servers.asked} == {"a", "10.0.0.1"}

    play(scenario)


def test_few_removed_servers_are_remembered() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        servers.fails = KissOfDeath("DENY")
        for turn in range(6):
            monitor.apply(config(*(f"192.0.{turn}.{n}" for n in range(256))))
            await asyncio.sleep(1)
        assert len(servers.asked) == 6 * 256
        assert len(monitor._removed) == 1024

    play(scenario)


def test_a_count_by_the_rules_before_a_reload_is_ignored() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        monitor.apply(BY_DEVICES)
        usage = monitor.new_usage()
        usage.add(("10.0.0.1",))
        monitor.apply(BY_DEVICES.model_copy(update={"allowed": ("192.0.2.0/24",)}))
        monitor.set_usage(usage)
        await asyncio.sleep(100)
        assert {host for host, _ in servers.asked} == {"a"}

    play(scenario)


def test_servers_of_devices_have_no_vote_on_the_hosts_clock() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        hostile = [f"10.0.0.{n}" for n in range(1, 10)]
        for host in hostile:
            servers.results[host] = servers.right(off_ns=5 * SECOND_NS)
        monitor.apply(BY_DEVICES)
        of_devices(monitor, hostile)
        await asyncio.sleep(10)
        offset = monitor.host_offset(host_time(servers))
        assert offset is not None
        assert offset.seconds == pytest.approx(OFF_NS / SECOND_NS, abs=1e-3)

    play(scenario)


def test_silent_servers_of_devices_have_a_limited_number_of_open_queries() -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        servers.takes_seconds = 5
        monitor.apply(BY_DEVICES)
        of_devices(monitor, *([f"10.0.1.{n}"] for n in range(200)))
        for _ in range(100):
            await asyncio.sleep(1)
            assert sum(servers.in_flight.values()) <= MAX_DEVICE_QUERIES + 1
        assert servers.times("a") == [0, 64]
        assert all(server.queries for server in monitor.servers)
        for server in monitor.servers:
            gaps = itertools.pairwise(servers.times(server.target.host))
            assert all(later - earlier >= 64 for earlier, later in gaps)

    play(scenario)


@pytest.mark.parametrize("result", [None, KissOfDeath("DENY"), KissOfDeath("RATE")], ids=repr)
def test_a_device_that_names_a_server_again_and_again_causes_no_more_queries(
    result: QueryFailed | None,
) -> None:
    async def scenario(monitor: TimeServerMonitor, servers: Servers) -> None:
        servers.results["10.0.0.1"] = result
        monitor.apply(BY_DEVICES)
        for turn in range(600):
            of_devices(monitor, ["10.0.0.1"] if turn % 2 == 0 else [])
            await asyncio.sleep(1)
        times = servers.times("10.0.0.1")
        limit = 1 if isinstance(result, KissOfDeath) and result.code == "DENY" else 10
        assert 1 <= len(times) <= limit
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert all(gap >= 64 for gap in gaps)

    play(scenario)
