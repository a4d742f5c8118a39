"""Fleets in typical states: who is in them and what is wrong with whom. Pure."""

import itertools
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from exporter.simulator.clock import HostClock, SimulatedClock
from exporter.simulator.device import SimulatedDevice
from exporter.simulator.device_state import Access
from exporter.simulator.faults import FAULTS, find_fault

_FAULT_PREFIX = "fault:"
_MICROSECONDS = 1_000_000
_HEALTHY_OFFSET_MICROSECONDS = 5_000


class UnknownScenarioError(ValueError):
    """There is no scenario of that name."""


@dataclass(frozen=True, slots=True)
class Member:
    """A device of a fleet, with the labels that an operator would give it."""

    device: SimulatedDevice
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes the members of one fleet: the same account and host clock for all."""

    access: Access = field(default_factory=Access, repr=False)
    host_nanoseconds: HostClock = time.time_ns

    def make(
        self,
        name: str,
        labels: Mapping[str, str],
        fault: str | None = None,
        own_access: Access | None = None,
    ) -> Member:
        """Make one whose clock is at most 5 ms off; `own_access` overrides the fleet's."""
        spread = 2 * _HEALTHY_OFFSET_MICROSECONDS + 1
        off = zlib.crc32(name.encode()) % spread - _HEALTHY_OFFSET_MICROSECONDS
        clock = SimulatedClock(
            offset_seconds=off / _MICROSECONDS, host_nanoseconds=self.host_nanoseconds
        )
        access: Access = {**self.access, **(own_access or {})}
        return Member(SimulatedDevice(name, fault=fault, clock=clock, **access), labels)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario: a line for --help, and who comes, without end."""

    description: str
    members: Callable[[Maker], Iterator[Member]]


@dataclass(frozen=True, slots=True)
class _Row:
    """One device of the demo."""

    name: str
    site: str
    building: str
    fault: str | None = None
    access: Access = field(default_factory=Access)
    late_step_seconds: float = 0.0


_DEMO = (
    _Row("lobby", "hq", "north"),
    _Row("reception", "hq", "north"),
    _Row("stairwell-1", "hq", "north", "not_synced"),
    _Row("stairwell-2", "hq", "north"),
    _Row("server-room", "hq", "south"),
    _Row("cafeteria", "hq", "south", "client_disabled"),
    _Row("garage-entry", "hq", "south", access={"password": "set by an installer"}),
    _Row("garage-exit", "hq", "south"),
    _Row("dock-1", "warehouse", "hall-1"),
    _Row("dock-2", "warehouse", "hall-1", "hang"),
    _Row("dock-3", "warehouse", "hall-1"),
    # Its clock was right when its time server died: only an outside look tells that it is not.
    _Row("dock-4", "warehouse", "hall-1", "server_dead", late_step_seconds=-1.8),
    _Row("aisle-1", "warehouse", "hall-2"),
    _Row("aisle-2", "warehouse", "hall-2"),
    _Row("cold-store", "warehouse", "hall-2", "not_found"),
    _Row("gate", "warehouse", "yard", "no_servers"),
    _Row("parking", "warehouse", "yard"),
    _Row("till-1", "shop", "ground-floor"),
    _Row("till-2", "shop", "ground-floor", "stepped"),
    _Row("entrance", "shop", "ground-floor"),
)


def _demo(maker: Maker) -> Iterator[Member]:
    """Make the demo's devices; after the last row again from the first, with a number."""
    for round_number in itertools.count(1):
        suffix = "" if round_number == 1 else f"-no{round_number}"
        for row in _DEMO:
            labels = {"site": row.site, "building": row.building}
            member = maker.make(row.name + suffix, labels, row.fault, row.access)
            member.device.clock.step(row.late_step_seconds)
            yield member


def _cycling(*faults: str | None) -> Callable[[Maker], Iterator[Member]]:
    """Make devices that have these faults in turn; the label `state` tells which."""

    def members(maker: Maker) -> Iterator[Member]:
        for number, fault in enumerate(itertools.cycle(faults), start=1):
            labels = {"site": "simulated", "state": fault or "healthy"}
            yield maker.make(f"sim-{number:05}", labels, fault)

    return members


SCENARIOS: dict[str, Scenario] = {
    "healthy": Scenario("all is well, clocks at most 5 ms off", _cycling(None)),
    "demo": Scenario(f"{len(_DEMO)} devices of three sites, some in trouble", _demo),
    "mixed": Scenario("a healthy device, then one of each fault", _cycling(None, *FAULTS)),
}
"""All scenarios by name; `fault:NAME` is another for each fault."""


def find_scenario(name: str) -> Scenario:
    """Find a scenario, `fault:NAME` included.

    Raises UnknownScenarioError, or UnknownFaultError for a `fault:` that there isn't.
    """
    if name.startswith(_FAULT_PREFIX):
        fault = find_fault(name.removeprefix(_FAULT_PREFIX))
        return Scenario(fault.description, _cycling(fault.name))
    if name not in SCENARIOS:
        raise UnknownScenarioError(f"no scenario is called {name!r}")
    return SCENARIOS[name]
