"""A device's NTP client: its configuration and its synchronizations. No I/O, time passed in."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from exporter.simulator.clock import NANOSECONDS, SimulatedClock
from exporter.simulator.parameters import PARAMETERS, Configuration, check_parameters

_NANOSECONDS_PER_MILLISECOND = 1_000_000
_JITTER_NANOSECONDS = 40_000


@dataclass(frozen=True, slots=True)
class Firmware:
    """A release of AXIS OS: its API versions and the fields that it lacks."""

    name: str
    api_versions: tuple[str, ...]
    absent_fields: frozenset[str] = frozenset()

    @property
    def settable(self) -> frozenset[str]:
        """The names of the parameters that setNTPClientConfiguration accepts."""
        return frozenset(PARAMETERS) - self.absent_fields


CURRENT_FIRMWARE = Firmware("12.11", ("1.5",))
OLD_FIRMWARE = Firmware(
    "9.80",
    ("1.2",),
    frozenset({"NTSEnabled", "staticNTSKEServers", "NTSKEServerCACerts", "minpoll", "maxpoll"}),
)


class SimulatedNtpClient:
    """The NTP client of one device.

    It measures the clock at each synchronization but doesn't correct it: tests and scenarios set
    the clock. Synchronizations happen every 2^minpoll seconds of host time. They are computed on
    request, so that ten thousand clients need no timers. All times are nanoseconds since the Unix
    epoch on the host's clock.
    """

    __slots__ = (
        "_clock",
        "_last_attempt",
        "_pending",
        "_seed",
        "_synced",
        "_time_offset_milliseconds",
        "configuration",
        "firmware",
        "ignores_settings",
        "servers_answer",
        "settings_delay_nanoseconds",
    )

    def __init__(self, name: str, clock: SimulatedClock, firmware: Firmware) -> None:
        self.configuration = Configuration()
        self.firmware = firmware
        self.ignores_settings = False
        self.settings_delay_nanoseconds = 0
        self.servers_answer = True
        self._pending: tuple[int, Mapping[str, object]] | None = None
        self._clock = clock
        self._seed = zlib.crc32(name.encode())
        self._last_attempt: int | None = None
        self._synced = False
        self._time_offset_milliseconds = 0.0

    def restart(self) -> None:
        """Forget every synchronization, as after a reboot."""
        self._last_attempt = None
        self._synced = False
        self._time_offset_milliseconds = 0.0

    def configure(self, parameters: Mapping[str, object], host_nanoseconds: int) -> None:
        """Accept new settings, all or none, and synchronize once they are applied.

        Raises InvalidParameterError for the first bad parameter.
        """
        settings = check_parameters(parameters, self.configuration, self.firmware.settable)
        if self.ignores_settings:
            return
        self._pending = (host_nanoseconds + self.settings_delay_nanoseconds, settings)
        self._apply_pending(host_nanoseconds)

    def _apply_pending(self, host_nanoseconds: int) -> None:
        if self._pending is None or host_nanoseconds < self._pending[0]:
            return
        due, settings = self._pending
        self._pending = None
        for attribute, value in settings.items():
            setattr(self.configuration, attribute, value)
        self._attempt(due)

    def section(self, host_nanoseconds: int) -> dict[str, object]:
        """Return the `client` section (reference: "getNTPInfo"), in a device's order."""
        self._apply_pending(host_nanoseconds)
        self.synchronize(host_nanoseconds)
        configuration = self.configuration
        fields = {
            "enabled": configuration.enabled,
            "NTSEnabled": configuration.nts_enabled,
            "serversSource": configuration.servers_source,
            "maxSupportedStaticServers": configuration.maximum_static_servers,
            "staticServers": configuration.static_servers,
            "advertisedServers": configuration.advertised_servers,
            "staticNTSKEServers": configuration.nts_ke_servers,
            "NTSKEServerCACerts": configuration.nts_ke_ca_certificates,
            "synced": self._synced,
            "timeToNextSync": self._seconds_to_next_sync(host_nanoseconds),
            "timeOffset": self._time_offset_milliseconds,
            "minpoll": configuration.minpoll,
            "maxpoll": configuration.maxpoll,
        }
        absent = self.firmware.absent_fields
        return {name: value for name, value in fields.items() if name not in absent}

    def synchronize(self, host_nanoseconds: int) -> None:
        """Compute the latest synchronization that was due by that time."""
        if not self._is_active():
            return
        interval = self._interval()
        if self._last_attempt is None:
            # Devices don't start at the same time: each is somewhere within its first interval.
            self._attempt(host_nanoseconds - self._seed % interval)
            return
        due = (host_nanoseconds - self._last_attempt) // interval
        if due > 0:
            self._attempt(self._last_attempt + due * interval)

    def _attempt(self, host_nanoseconds: int) -> None:
        """Try to synchronize. Only a success changes the reported values (`synced` stays true)."""
        if not self._is_active():
            return
        self._last_attempt = host_nanoseconds
        if self.servers_answer:
            measured = self._clock.offset_nanoseconds_at(host_nanoseconds) + self._jitter()
            self._time_offset_milliseconds = round(measured / _NANOSECONDS_PER_MILLISECOND, 4)
            self._synced = True

    def _is_active(self) -> bool:
        return self.configuration.enabled and bool(self.configuration.active_servers())

    def _interval(self) -> int:
        return NANOSECONDS << self.configuration.minpoll

    def _jitter(self) -> int:
        """Return the error of the last measurement, the same value on every call."""
        noise = zlib.crc32(f"{self._seed}:{self._last_attempt}".encode())
        return noise % (2 * _JITTER_NANOSECONDS) - _JITTER_NANOSECONDS

    def _seconds_to_next_sync(self, host_nanoseconds: int) -> int:
        """Return timeToNextSync: 0 without active servers and, as on devices, while not synced."""
        if self._last_attempt is None or not self._synced or not self._is_active():
            return 0
        return (self._last_attempt + self._interval() - host_nanoseconds) // NANOSECONDS
