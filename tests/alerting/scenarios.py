"""Faults of devices and of the exporter, and the notifications that each must cause."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from exporter.simulator.device import SimulatedDevice
from exporter.simulator.device_state import DEFAULT_PASSWORD
from exporter.simulator.scenarios import Member, MemberFactory
from tests.alerting.inbox import Notice


@dataclass(frozen=True)
class ExpectedAlert:
    """An alert by its name and severity."""

    name: str
    severity: str

    def __str__(self) -> str:
        return f"{self.name} ({self.severity})"


DEVICE_DOWN: Final = ExpectedAlert("AxisNTPDeviceDown", "warning")
CLOCK_STEPPED: Final = ExpectedAlert("AxisNTPClockStepped", "info")


@dataclass(frozen=True)
class Scenario:
    """A fault, the receiver of its alert, and the alerts that fire too but are suppressed.

    `afterwards`: (receiver, alert) pairs that the repair causes.
    """

    name: str
    receiver: str
    alert: ExpectedAlert
    suppressed: tuple[ExpectedAlert, ...] = ()
    afterwards: tuple[tuple[str, ExpectedAlert], ...] = ()

    def notice(self, device: str, status: str) -> Notice:
        """Return the notice of its alert."""
        return Notice(self.receiver, self.alert.name, self.alert.severity, device, status)

    def notices(self, device: str) -> set[Notice]:
        """Return every notice that it causes."""
        every = ((self.receiver, self.alert), *self.afterwards)
        return {
            Notice(receiver, alert.name, alert.severity, device, status)
            for receiver, alert in every
            for status in ("firing", "resolved")
        }


Change = Callable[[SimulatedDevice], None]


def fault(name: str | None) -> Change:
    """Return a change that sets a simulator fault, or removes it."""

    def change(device: SimulatedDevice) -> None:
        device.fault = name

    return change


def password(text: str) -> Change:
    """Return a change of the device's password."""

    def change(device: SimulatedDevice) -> None:
        device.login.password = text

    return change


def nothing(_device: SimulatedDevice) -> None:
    """Change nothing."""


def jump(device: SimulatedDevice) -> None:
    """Step a clock back by 80 ms."""
    device.clock.step(-0.08)


LIMIT_SECONDS: Final = 0.5
"""AxisNTPClockSkew fires above this offset."""

_BELOW_LIMIT_SECONDS: Final = 0.0005
_DRIFT_PPM: Final = 90.0
"""Drift is not scaled. A little more would count as a step: half a millisecond in 5.6 s."""

SECONDS_TO_THE_LIMIT: Final = _BELOW_LIMIT_SECONDS / (_DRIFT_PPM / 1e6)


def lose_server(device: SimulatedDevice, seconds_off: float) -> None:
    """Make a device lose its server: it still reports synced while its clock is that far off."""
    device.fault = "server_dead"
    device.clock.drift_ppm = 0.0
    device.clock.offset_seconds = seconds_off


def drift(device: SimulatedDevice) -> None:
    """Let a clock drift from its current offset."""
    device.clock.drift_ppm = _DRIFT_PPM


def nts(*, enabled: bool) -> Change:
    """Return a change that enables NTS, with servers of its own, or disables it."""

    def change(device: SimulatedDevice) -> None:
        device.client.configuration.nts_ke_servers = ["nts-1.example", "nts-2.example"]
        device.client.configuration.nts_enabled = enabled

    return change


def restore(device: SimulatedDevice) -> None:
    """Give a device its server and the right time again."""
    device.fault = None
    device.clock.offset_seconds = 0.0


@dataclass(frozen=True)
class DeviceFault:
    """A scenario on a device of its own: how it begins and how it is repaired."""

    device: str
    site: str | None
    scenario: Scenario
    begin: Change
    repair: Change


WRONG: Final = "wrong"
DRIFTING: Final = "drifting"
OFF_FROM_THE_START: Final = {WRONG: 3.0, DRIFTING: LIMIT_SECONDS - _BELOW_LIMIT_SECONDS}
"""Devices that lost their server before the first poll, and their offsets."""

DEVIATING: Final = "deviating"
EXPECTED: Final = {DEVIATING: {"nts_enabled": True}}
"""The `expect` of devices in the exporter's config, by device name."""

FAULTS: Final = (
    DeviceFault(
        "hanging",
        "hq",
        Scenario("a device hangs", "operations", DEVICE_DOWN),
        fault("hang"),
        fault(None),
    ),
    DeviceFault(
        "refusing",
        "warehouse",
        Scenario(
            "a device's password is changed",
            "warehouse",
            ExpectedAlert("AxisNTPAuthenticationFailed", "warning"),
            suppressed=(DEVICE_DOWN,),
        ),
        password("of an installer"),
        password(DEFAULT_PASSWORD),
    ),
    DeviceFault(
        DRIFTING,
        # Not at the next fault's site: Alertmanager notifies a group of resolved alerts even if
        # they were inhibited.
        "warehouse",
        Scenario(
            "a device's clock drifts past 0.5 s while it reports synced",
            "warehouse",
            ExpectedAlert("AxisNTPClockSkew", "warning"),
            # The repair is a step too.
            afterwards=(("journal", CLOCK_STEPPED),),
        ),
        drift,
        restore,
    ),
    DeviceFault(
        WRONG,
        "hq",
        Scenario(
            "a device's clock is 3 s off while it reports synced",
            "on-call",
            ExpectedAlert("AxisNTPClockSkew", "critical"),
            suppressed=(ExpectedAlert("AxisNTPClockSkew", "warning"),),
            afterwards=(("journal", CLOCK_STEPPED),),
        ),
        # Off from the start: reaching that offset later would take hours, or a step.
        nothing,
        restore,
    ),
    DeviceFault(
        "jumping",
        "hq",
        Scenario("a device's clock steps by 80 ms", "journal", CLOCK_STEPPED),
        jump,
        nothing,
    ),
    DeviceFault(
        "switched-off",
        None,
        Scenario(
            "a device's NTP client is disabled",
            "operations",
            ExpectedAlert("AxisNTPClientDisabled", "warning"),
        ),
        fault("client_disabled"),
        fault(None),
    ),
    DeviceFault(
        "serverless",
        "warehouse",
        Scenario(
            "a device loses its servers and restarts",
            "warehouse",
            ExpectedAlert("AxisNTPNoActiveServers", "warning"),
            suppressed=(ExpectedAlert("AxisNTPNotSynchronized", "warning"),),
        ),
        fault("no_servers"),
        fault(None),
    ),
    DeviceFault(
        DEVIATING,
        "hq",
        Scenario(
            "a device's NTS is disabled against its `expect`",
            "operations",
            ExpectedAlert("AxisNTPConfigMismatch", "warning"),
        ),
        nts(enabled=False),
        nts(enabled=True),
    ),
)

FLEET_UNREACHABLE: Final = Scenario(
    "the whole fleet hangs",
    "on-call",
    ExpectedAlert("AxisNTPFleetUnreachable", "critical"),
    suppressed=(DEVICE_DOWN,),
)
EXPORTER_KILLED: Final = Scenario(
    "the exporter is killed", "on-call", ExpectedAlert("AxisNTPExporterDown", "critical")
)
HOST_CLOCK_WRONG: Final = Scenario(
    "the clock of the exporter's host is 3 s off",
    "on-call",
    ExpectedAlert("AxisNTPExporterClockSuspect", "critical"),
)
HOST_UNSYNCHRONIZED: Final = Scenario(
    "the kernel of the exporter's host says unsynchronized, its clock is right",
    "operations",
    ExpectedAlert("AxisNTPHostClockUnsynchronized", "warning"),
)

HOST_CLOCK_MEASURED: Final = Scenario(
    "the same, measured with time servers", "on-call", HOST_CLOCK_WRONG.alert
)

USERS_OF_DEAD_SERVER: Final = ("healthy-0", "healthy-2", "healthy-4")
SERVER_DOWN: Final = Scenario(
    "a time server that the exporter asks too dies",
    "operations",
    ExpectedAlert("AxisNTPTimeServerDown", "warning"),
)
SERVER_DEAD: Final = Scenario(
    "a time server dies; only the devices that use it fire",
    "operations",
    ExpectedAlert("AxisNTPSyncStalled", "warning"),
)

_STALLED_MAXPOLL: Final = 8
"""Four times 2^8 s are 17 minutes; with the default of 10 they would be 68."""


def use_server(device: SimulatedDevice, server: str) -> None:
    """Let a device use the server that will die, by its two addresses, and no other."""
    device.client.configuration.static_servers = [server, "2001:db8::200"]
    device.client.configuration.maxpoll = _STALLED_MAXPOLL


def set_dead(device: SimulatedDevice, server: str, *, dead: bool) -> None:
    """Let the server die or live again, which only the devices that use it notice."""
    if server in device.client.configuration.active_servers():
        device.client.servers_answer = not dead


SCENARIOS: Final = (
    *(each.scenario for each in FAULTS),
    SERVER_DOWN,
    SERVER_DEAD,
    FLEET_UNREACHABLE,
    EXPORTER_KILLED,
    HOST_CLOCK_WRONG,
    HOST_CLOCK_MEASURED,
    HOST_UNSYNCHRONIZED,
)


def make_members(healthy: int) -> Iterator[Member]:
    """Make a device for each fault, and healthy devices of two sites."""
    # Short-lived nonces give as many challenges in seconds as usual ones give in minutes.
    factory = MemberFactory({"nonce_lifetime_seconds": 5.0})
    for each in FAULTS:
        yield factory.make(each.device, {} if each.site is None else {"site": each.site})
    for number in range(healthy):
        yield factory.make(f"healthy-{number}", {"site": ("hq", "warehouse")[number % 2]})
