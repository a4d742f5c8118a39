"""The parts of a simulated device. `device` handles its requests."""

import zlib
from typing import TypedDict, Unpack

from exporter.simulator.api import NtpApi
from exporter.simulator.authentication import POLICIES, DeviceLogin
from exporter.simulator.clock import SimulatedClock
from exporter.simulator.ntp_client import CURRENT_FIRMWARE, Firmware, SimulatedNtpClient
from exporter.simulator.request_log import RequestLog
from exporter.simulator.wire import DateStyle

DEFAULT_USERNAME = "root"
DEFAULT_PASSWORD = "pass"  # noqa: S105 - only for simulated devices, shown in --help


class Access(TypedDict, total=False):
    """The account and authentication of a device, as optional keywords.

    `auth` is a name in `authentication.POLICIES`; by default Digest over HTTP, Basic over HTTPS.
    """

    username: str
    password: str
    auth: str
    nonce_lifetime_seconds: float


class Parts(Access, total=False):
    """The optional keywords of a new device."""

    clock: SimulatedClock
    firmware: Firmware


class SimulatedState:
    """The parts of one device; each can be changed at any time.

    The MAC address (`mac`, 12 hex digits) is derived from the name, and the realm from the MAC
    address. `login` holds the account; `client` and `api` hold the state behind ntp.cgi. Raises
    KeyError for an unknown policy.
    """

    __slots__ = (
        "_policy_name",
        "api",
        "client",
        "clock",
        "content_type",
        "date_style",
        "login",
        "mac",
        "name",
        "policy",
        "requests",
    )

    def __init__(self, name: str, **parts: Unpack[Parts]) -> None:
        self.name = name
        self.mac = f"b8a44f{zlib.crc32(name.encode()) & 0xFFFFFF:06x}"
        self.clock = parts.get("clock") or SimulatedClock()
        self.client = SimulatedNtpClient(name, self.clock, parts.get("firmware", CURRENT_FIRMWARE))
        self.api = NtpApi(self.client)
        realm = f"AXIS_{self.mac.upper()}"
        username = parts.get("username", DEFAULT_USERNAME)
        password = parts.get("password", DEFAULT_PASSWORD)
        lifetime = parts.get("nonce_lifetime_seconds", 300.0)
        self.login = DeviceLogin(realm, username, password, lifetime)
        self.auth = parts.get("auth", "recommended")
        self.content_type = "application/json"
        self.date_style = DateStyle.IMF
        self.requests = RequestLog()

    @property
    def auth(self) -> str:
        """The name of the authentication policy."""
        return self._policy_name

    @auth.setter
    def auth(self, name: str) -> None:
        self.policy = POLICIES[name]
        self._policy_name = name
