"""Faults of a site's devices and exporter, and what its people are told of each, and not told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from exporter.simulator.device import SimulatedDevice
from exporter.simulator.device_state import DEFAULT_PASSWORD
from exporter.simulator.scenarios import Maker, Member
from tests.alerting.inbox import Told


@dataclass(frozen=True)
class Alert:
    """An alert by what matters to who is told."""

    name: str
    severity: str

    def __str__(self) -> str:
        return f"{self.name} ({self.severity})"


DEVICE_DOWN: Final = Alert("AxisNTPDeviceDown", "warning")
CLOCK_STEPPED: Final = Alert("AxisNTPClockStepped", "info")


@dataclass(frozen=True)
class Scenario:
    """What happens, who is told of which alert, and which alerts fire too but are suppressed.

    `afterwards` are (receiver, alert) that mending it brings.
    """

    name: str
    receiver: str
    alert: Alert
    suppressed: tuple[Alert, ...] = ()
    afterwards: tuple[tuple[str, Alert], ...] = ()

    def told(self, device: str, status: str) -> Told:
        """The notification of its alert."""
        return Told(self.receiver, self.alert.name, self.alert.severity, device, status)

    def all_told(self, device: str) -> set[Told]:
        """Every notification that it brings."""
        every = ((self.receiver, self.alert), *self.afterwards)
        return {
            Told(receiver, alert.name, alert.severity, device, status)
            for receiver, alert in every
            for status in ("firing", "resolved")
        }


Change = Callable[[SimulatedDevice], None]


def fault(name: str | None) -> Change:
    """Gives a device a fault of the simulator's, or takes it away."""

    def change(device: SimulatedDevice) -> None:
        device.fault = name

    return change


def password(text: str) -> Change:
    """Changes a device's password."""

    def change(device: SimulatedDevice) -> None:
        device.gatekeeper.password = text

    return change


def nothing(_device: SimulatedDevice) -> None:
    """Changes nothing."""


def jump(device: SimulatedDevice) -> None:
    """Puts a clock back by 80 ms."""
    device.clock.step(-0.08)


LIMIT_SECONDS: Final = 0.5
"""Beyond it, AxisNTPClockSkew fires."""

_SHORT_OF_IT_SECONDS: Final = 0.0005
_DRIFT_PPM: Final = 90.0
"""Drift is not scaled. This is nearly the fastest that is no jump: half a millisecond in 5.6 s."""

SECONDS_TO_THE_LIMIT: Final = _SHORT_OF_IT_SECONDS / (_DRIFT_PPM / 1e6)


def lose_server(device: SimulatedDevice, seconds_off: float) -> None:
    """Leaves a device that was right when its server died, and says synced, that far off."""
    device.fault = "server_dead"
    device.clock.drift_ppm = 0.0
    device.clock.offset_seconds = seconds_off


def drift(device: SimulatedDevice) -> None:
    """Lets a clock drift from where it is."""
    device.clock.drift_ppm = _DRIFT_PPM


def nts(*, enabled: bool) -> Change:
    """Switches Network Time Security on, with servers of its own, or off."""

    def change(device: SimulatedDevice) -> None:
        device.client.configuration.nts_ke_servers = ["nts-1.example", "nts-2.example"]
        device.client.configuration.nts_enabled = enabled

    return change


def set_right(device: SimulatedDevice) -> None:
    """Gives a device its server back, and the right time."""
    device.fault = None
    device.clock.offset_seconds = 0.0


@dataclass(frozen=True)
class Fault:
    """A scenario on a device of its own: how it begins and how it is mended."""

    device: str
    site: str | None
    scenario: Scenario
    begin: Change
    mend: Change


WRONG: Final = "wrong"
DRIFTING: Final = "drifting"
SERVERLESS_SINCE_LONG: Final = {WRONG: 3.0, DRIFTING: LIMIT_SECONDS - _SHORT_OF_IT_SECONDS}
"""Devices whose server died before anybody looked, and how far off they are by then."""

DEVIATING: Final = "deviating"
EXPECTED: Final = {DEVIATING: {"nts_enabled": True}}
"""What the exporter's config expects of devices, by name."""

FAULTS: Final = (
    Fault(
        "hanging",
        "hq",
        Scenario("a device hangs", "operations", DEVICE_DOWN),
        fault("hang"),
        fault(None),
    ),
    Fault(
        "refusing",
        "warehouse",
        Scenario(
            "a device's password is changed",
            "warehouse",
            Alert("AxisNTPAuthenticationFailed", "warning"),
            suppressed=(DEVICE_DOWN,),
        ),
        password("of an installer"),
        password(DEFAULT_PASSWORD),
    ),
    Fault(
        DRIFTING,
        # Not where the next one is: of a group Alertmanager tells what resolves, silenced or not.
        "warehouse",
        Scenario(
            "a device's clock drifts past 0.5 s while it reports synced",
            "warehouse",
            Alert("AxisNTPClockSkew", "warning"),
            # Setting it right is a jump, too.
            afterwards=(("journal", CLOCK_STEPPED),),
        ),
        drift,
        set_right,
    ),
    Fault(
        WRONG,
        "hq",
        Scenario(
            "a device's clock is 3 s off while it reports synced",
            "on-call",
            Alert("AxisNTPClockSkew", "critical"),
            suppressed=(Alert("AxisNTPClockSkew", "warning"),),
            afterwards=(("journal", CLOCK_STEPPED),),
        ),
        # It was off before anybody looked: getting there under their eyes takes hours, or jumps.
        nothing,
        set_right,
    ),
    Fault(
        "jumping",
        "hq",
        Scenario("a device's clock steps by 80 ms", "journal", CLOCK_STEPPED),
        jump,
        nothing,
    ),
    Fault(
        "switched-off",
        None,
        Scenario(
            "a device's NTP client is disabled",
            "operations",
            Alert("AxisNTPClientDisabled", "warning"),
        ),
        fault("client_disabled"),
        fault(None),
    ),
    Fault(
        "serverless",
        "warehouse",
        Scenario(
            "a device loses its servers and restarts",
            "warehouse",
            Alert("AxisNTPNoActiveServers", "warning"),
            suppressed=(Alert("AxisNTPNotSynchronized", "warning"),),
        ),
        fault("no_servers"),
        fault(None),
    ),
    Fault(
        DEVIATING,
        "hq",
        Scenario(
            "a device's NTS is disabled against its `expect`",
            "operations",
            Alert("AxisNTPConfigMismatch", "warning"),
        ),
        nts(enabled=False),
        nts(enabled=True),
    ),
)

FLEET_UNREACHABLE: Final = Scenario(
    "the whole fleet hangs",
    "on-call",
    Alert("AxisNTPFleetUnreachable", "critical"),
    suppressed=(DEVICE_DOWN,),
)
EXPORTER_KILLED: Final = Scenario(
    "the exporter is killed", "on-call", Alert("AxisNTPExporterDown", "critical")
)
HOST_CLOCK_WRONG: Final = Scenario(
    "the clock of the exporter's host is 3 s off",
    "on-call",
    Alert("AxisNTPExporterClockSuspect", "critical"),
)

SCENARIOS: Final = (
    *(each.scenario for each in FAULTS),
    FLEET_UNREACHABLE,
    EXPORTER_KILLED,
    HOST_CLOCK_WRONG,
)


def make_members(healthy: int) -> Iterator[Member]:
    """A device for each fault, and healthy ones of two sites beside them."""
    # Short-lived nonces: as many challenges show the clock within seconds as do within minutes.
    maker = Maker({"nonce_lifetime_seconds": 5.0})
    for each in FAULTS:
        yield maker.make(each.device, {} if each.site is None else {"site": each.site})
    for number in range(healthy):
        yield maker.make(f"healthy-{number}", {"site": ("hq", "warehouse")[number % 2]})
