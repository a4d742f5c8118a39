"""Fleets in typical states: their devices, labels and faults. No I/O."""

import itertools
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from exporter.simulator.clock import HostNanoseconds, SimulatedClock
from exporter.simulator.device import SimulatedDevice
from exporter.simulator.device_state import Access
from exporter.simulator.faults import FAULTS, find_fault
from exporter.simulator.time_server import SimulatedTimeServer

_FAULT_PREFIX = "fault:"
_MICROSECONDS = 1_000_000
_HEALTHY_OFFSET_MICROSECONDS = 5_000

DEFAULT_DEVICES = 20
"""How many devices most scenarios have."""


class UnknownScenarioError(ValueError):
    """No scenario has that name."""


@dataclass(frozen=True, slots=True)
class Member:
    """A device of a fleet, with its labels in the exporter's config.

    It uses the fleet's time servers that answer, or only those that do not. `expect` is in the
    exporter's config too; with `expects_servers`, so are the time servers that it should use.
    """

    device: SimulatedDevice
    labels: Mapping[str, str]
    uses_dead_servers: bool = False
    expect: Mapping[str, object] = field(default_factory=dict)
    expects_servers: bool = False


@dataclass(frozen=True, slots=True)
class MemberFactory:
    """Makes the members of one fleet, all with the same account and host clock."""

    access: Access = field(default_factory=Access, repr=False)
    host_nanoseconds: HostNanoseconds = time.time_ns

    def make(
        self,
        name: str,
        labels: Mapping[str, str],
        fault: str | None = None,
        own_access: Access | None = None,
    ) -> Member:
        """Make a member with a clock offset of at most 5 ms; `own_access` overrides `access`."""
        spread = 2 * _HEALTHY_OFFSET_MICROSECONDS + 1
        offset = zlib.crc32(name.encode()) % spread - _HEALTHY_OFFSET_MICROSECONDS
        clock = SimulatedClock(
            offset_seconds=offset / _MICROSECONDS, host_nanoseconds=self.host_nanoseconds
        )
        access: Access = {**self.access, **(own_access or {})}
        return Member(SimulatedDevice(name, fault=fault, clock=clock, **access), labels)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario: a description for --help, an endless iterator of members, time servers.

    `devices` is how many of them `simulate` makes by default.
    """

    description: str
    members: Callable[[MemberFactory], Iterator[Member]]
    time_servers: Callable[[HostNanoseconds], Sequence[SimulatedTimeServer]] = lambda _: ()
    devices: int = DEFAULT_DEVICES


@dataclass(frozen=True, slots=True)
class _Row:
    """One device of the demo."""

    name: str
    site: str
    building: str
    fault: str | None = None
    access: Access = field(default_factory=Access)
    late_step_seconds: float = 0.0
    uses_dead_servers: bool = False


_DEMO = (
    _Row("lobby", "hq", "north"),
    _Row("reception", "hq", "north"),
    _Row("stairwell-1", "hq", "north", "not_synced", uses_dead_servers=True),
    _Row("stairwell-2", "hq", "north"),
    _Row("server-room", "hq", "south"),
    _Row("cafeteria", "hq", "south", "client_disabled"),
    _Row("garage-entry", "hq", "south", access={"password": "set by an installer"}),
    _Row("garage-exit", "hq", "south"),
    _Row("dock-1", "warehouse", "hall-1", uses_dead_servers=True),
    _Row("dock-2", "warehouse", "hall-1", "hang"),
    _Row("dock-3", "warehouse", "hall-1", uses_dead_servers=True),
    # Its clock was right when its time server died: only the measured offset shows the error.
    _Row(
        "dock-4",
        "warehouse",
        "hall-1",
        "server_dead",
        late_step_seconds=-1.8,
        uses_dead_servers=True,
    ),
    _Row("aisle-1", "warehouse", "hall-2", uses_dead_servers=True),
    _Row("aisle-2", "warehouse", "hall-2", uses_dead_servers=True),
    _Row("cold-store", "warehouse", "hall-2", "not_found"),
    _Row("gate", "warehouse", "yard", "no_servers"),
    _Row("parking", "warehouse", "yard", uses_dead_servers=True),
    _Row("till-1", "shop", "ground-floor", uses_dead_servers=True),
    _Row("till-2", "shop", "ground-floor", "stepped"),
    _Row("entrance", "shop", "ground-floor"),
)


def _demo(factory: MemberFactory) -> Iterator[Member]:
    """Make the demo's devices; after the last row, start again with numbered names."""
    for round_number in itertools.count(1):
        suffix = "" if round_number == 1 else f"-no{round_number}"
        for row in _DEMO:
            labels = {"site": row.site, "building": row.building}
            member = factory.make(row.name + suffix, labels, row.fault, row.access)
            member.device.clock.step(row.late_step_seconds)
            yield replace(member, uses_dead_servers=row.uses_dead_servers)


def _one_dead_time_server(host: HostNanoseconds) -> Sequence[SimulatedTimeServer]:
    """Make two that answer, and one that does not."""
    return (
        SimulatedTimeServer(stratum=1, host_nanoseconds=host),
        SimulatedTimeServer(stratum=2, host_nanoseconds=host),
        SimulatedTimeServer(answers=False, host_nanoseconds=host),
    )


@dataclass(frozen=True, slots=True)
class Cause:
    """What broke some devices of one site at once, in words, and how."""

    what: str
    site: str
    fault: str | None = None
    access: Access = field(default_factory=Access)
    uses_dead_servers: bool = False
    expect: Mapping[str, object] = field(default_factory=dict)


CAUSES = (
    Cause("the password was changed", "hq", access={"password": "set by an installer"}),
    Cause("the web server closes every connection", "depot", "drop"),
    Cause("no response", "harbour", "hang"),
    Cause("the firmware has no NTP API", "museum", "not_found"),
    Cause("the NTP client was disabled", "school", "client_disabled"),
    Cause("the time servers were removed", "station", "no_servers"),
    Cause("restarted after the time server died", "stadium", "not_synced", uses_dead_servers=True),
    Cause("the clock is 3 s ahead", "hq", "stepped"),
    Cause("lost the time server while synced", "stadium", "server_dead", uses_dead_servers=True),
    Cause("NTS is disabled against `expect`", "warehouse", expect={"nts_enabled": True}),
)
"""The ten ways in which devices of `bad-day` are broken."""

_SITES = tuple(dict.fromkeys(cause.site for cause in CAUSES))
_BAD_DAY_DEVICES = 400
_ROUND_DEVICES = 25
"""A device of each cause, then 15 healthy ones: 160 of 400 are broken."""

_BAD_DAY_MAXPOLL = 8
"""A synchronization that stalled is certain after four times 2^8 s, 17 minutes, not 68."""


def _bad_day(factory: MemberFactory) -> Iterator[Member]:
    """Make broken and healthy devices of eight sites, numbered by site, in rounds of 25."""
    healthy = (Cause("healthy", site) for site in itertools.cycle(_SITES))
    numbers = {site: itertools.count(1) for site in _SITES}
    while True:
        rest = itertools.islice(healthy, _ROUND_DEVICES - len(CAUSES))
        for cause in (*CAUSES, *rest):
            yield _broken(factory, cause, f"{cause.site}-{next(numbers[cause.site]):02}")


def _broken(factory: MemberFactory, cause: Cause, name: str) -> Member:
    member = factory.make(name, {"site": cause.site}, cause.fault, cause.access)
    member.device.client.configuration.maxpoll = _BAD_DAY_MAXPOLL
    expect = {"enabled": True, **cause.expect}
    return replace(
        member,
        uses_dead_servers=cause.uses_dead_servers,
        expect=expect,
        expects_servers=True,
    )


def _cycle(*faults: str | None) -> Callable[[MemberFactory], Iterator[Member]]:
    """Make devices with these faults in turn; the label `state` names the fault."""

    def members(factory: MemberFactory) -> Iterator[Member]:
        for number, fault in enumerate(itertools.cycle(faults), start=1):
            labels = {"site": "simulated", "state": fault or "healthy"}
            yield factory.make(f"sim-{number:05}", labels, fault)

    return members


SCENARIOS: dict[str, Scenario] = {
    "healthy": Scenario("no faults, clocks at most 5 ms off", _cycle(None)),
    "demo": Scenario(
        f"{len(_DEMO)} devices of three sites, some with problems", _demo, _one_dead_time_server
    ),
    "mixed": Scenario("a healthy device, then one device with each fault", _cycle(None, *FAULTS)),
    "bad-day": Scenario(
        f"{_BAD_DAY_DEVICES} devices of {len(_SITES)} sites, 160 broken in {len(CAUSES)} ways",
        _bad_day,
        _one_dead_time_server,
        _BAD_DAY_DEVICES,
    ),
}
"""All scenarios by name, besides `fault:NAME`."""


def find_scenario(name: str) -> Scenario:
    """Find a scenario by its name, which may be `fault:NAME`.

    Raises UnknownScenarioError, or UnknownFaultError for an unknown fault.
    """
    if name.startswith(_FAULT_PREFIX):
        fault = find_fault(name.removeprefix(_FAULT_PREFIX))
        return Scenario(fault.description, _cycle(fault.name))
    if name not in SCENARIOS:
        raise UnknownScenarioError(f"unknown scenario {name!r}")
    return SCENARIOS[name]
