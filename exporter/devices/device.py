"""A configured device: its target, its client, and what its polls have shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from exporter.clock.host import HostClock
from exporter.devices.state import DeviceState, PollOutcome
from exporter.vapix.client import NtpClient
from exporter.vapix.errors import DeviceError
from exporter.vapix.ntp_info import Reading


@dataclass(frozen=True, slots=True)
class DeviceTarget:
    """A device as configured, with the settings of its module and the global ones applied."""

    name: str
    address: str
    labels: Mapping[str, str]
    interval_seconds: float
    timeout_seconds: float
    scheme: str = "https"

    @property
    def web_url(self) -> str:
        """The URL of the device's own web page."""
        is_bare_ipv6 = self.address.count(":") > 1 and not self.address.startswith("[")
        host = f"[{self.address}]" if is_bare_ipv6 else self.address
        return f"{self.scheme}://{quote(host, safe='[]:')}/"


@dataclass(slots=True, eq=False)
class Device:
    """A target, the client that polls it, and the state that its polls left. Compares by identity.

    `logged_reasons` are the reasons of failures logged since the device last answered,
    `logged_fields` the invalid fields logged since the start.
    """

    target: DeviceTarget
    client: NtpClient
    state: DeviceState = field(default_factory=DeviceState)
    logged_reasons: frozenset[str] = frozenset()
    logged_fields: frozenset[str] = frozenset()

    async def poll(self, host: HostClock, send_at_ns: int = 0) -> PollOutcome:
        """Read the device's NTP state once; raise nothing but cancellation.

        The request leaves no earlier than `send_at_ns` (steady nanoseconds). The wait for that
        time counts neither against the device's timeout nor as the poll's duration.
        """
        began_ns = host.steady_ns()
        result: Reading | DeviceError
        try:
            result, times = await self.client.get_info(self.target.timeout_seconds, send_at_ns)
        except DeviceError as error:
            # Drop the traceback: the error is stored and would keep its frames alive.
            result, times = error.with_traceback(None), error.times
        ended = host.now()
        took_ns = ended.steady_ns - began_ns - times.held_ns
        return PollOutcome(ended, took_ns, result, times, self.client.identity)
