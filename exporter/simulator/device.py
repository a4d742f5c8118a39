"""One simulated device: takes a request, gives a reply. Pure; the time comes with the request."""

import json
import time
import zlib
from collections.abc import Callable
from dataclasses import replace

from exporter.simulator.api import NtpApi
from exporter.simulator.authentication import POLICIES, Gatekeeper, Outcome, Verdict
from exporter.simulator.clock import NANOSECONDS, SimulatedClock
from exporter.simulator.faults import HEALTHY, find_fault
from exporter.simulator.ntp_client import CURRENT_FIRMWARE, Firmware, NtpClient
from exporter.simulator.request_log import RequestLog, SeenRequest
from exporter.simulator.wire import (
    NTP_CGI,
    DateStyle,
    Headers,
    Reply,
    Request,
    format_date,
    html_reply,
)

SERVER = "Apache/2.4.68 (Unix) OpenSSL/3.0.17"
DEFAULT_USERNAME = "root"
DEFAULT_PASSWORD = "pass"  # noqa: S105 - of simulated devices only, and said so in --help

_NANOSECONDS_PER_MICROSECOND = 1_000


class SimulatedDevice:
    """A simulated Axis device.

    `auth` is a name in `authentication.POLICIES`, `fault` one in `faults.FAULTS` or None. Both can
    be set at any time; so can `clock` (offset, drift, step), `client.configuration`, `api.versions`,
    `content_type` and `date_style`. Raises KeyError for an unknown policy, UnknownFaultError for
    an unknown fault.
    """

    __slots__ = (
        "_fault",
        "_policy",
        "_undo_fault",
        "api",
        "client",
        "clock",
        "content_type",
        "date_style",
        "gatekeeper",
        "mac",
        "name",
        "requests",
    )

    def __init__(  # noqa: PLR0913 - keywords: a device's whole description, in one place
        self,
        name: str,
        *,
        username: str = DEFAULT_USERNAME,
        password: str = DEFAULT_PASSWORD,
        auth: str = "recommended",
        clock: SimulatedClock | None = None,
        fault: str | None = None,
        nonce_lifetime_seconds: float = 300.0,
        firmware: Firmware = CURRENT_FIRMWARE,
    ) -> None:
        self.name = name
        self.mac = f"b8a44f{zlib.crc32(name.encode()) & 0xFFFFFF:06x}"
        self.clock = clock or SimulatedClock(host_nanoseconds=time.time_ns)
        self.client = NtpClient(name, self.clock, firmware)
        self.api = NtpApi(self.client)
        realm = f"AXIS_{self.mac.upper()}"
        self.gatekeeper = Gatekeeper(realm, username, password, nonce_lifetime_seconds)
        self._policy = POLICIES[auth]
        self.content_type = "application/json"
        self.date_style = DateStyle.IMF
        self.requests = RequestLog()
        self._fault = HEALTHY
        self._undo_fault: Callable[[], None] = HEALTHY.begin(self)
        self.fault = fault

    def __repr__(self) -> str:
        """Name the device and its fault; no secrets."""
        return f"SimulatedDevice({self.name!r}, fault={self.fault!r})"

    @property
    def auth(self) -> str:
        """The name of the authentication policy."""
        return next(name for name, policy in POLICIES.items() if policy is self._policy)

    @auth.setter
    def auth(self, name: str) -> None:
        self._policy = POLICIES[name]

    @property
    def fault(self) -> str | None:
        """The name of the present fault. Setting one first undoes what the one before changed."""
        return None if self._fault is HEALTHY else self._fault.name

    @fault.setter
    def fault(self, name: str | None) -> None:
        coming = HEALTHY if name is None else find_fault(name)
        self._undo_fault()
        self._fault = coming
        self._undo_fault = coming.begin(self)

    def handle(self, request: Request) -> Reply:
        """Answer one request, with the Date of the moment when it was read."""
        device_nanoseconds = self.clock.nanoseconds_at(request.host_nanoseconds)
        reply, authorized, api_method = self._reply(request, device_nanoseconds)
        self.requests.note(_seen(request, reply.status, api_method), authorized=authorized)
        date = format_date(device_nanoseconds // NANOSECONDS, self.date_style)
        first: Headers = (("Date", date),) if date is not None else ()
        return replace(reply, headers=(*first, ("Server", SERVER), *reply.headers))

    def _reply(self, request: Request, device_nanoseconds: int) -> tuple[Reply, bool, str | None]:
        """Make the reply; tell also if it was let in, and which method of the API it called."""
        fault = self._fault
        intercepted = fault.intercept(request)
        if intercepted is not None:
            return intercepted, False, None
        microseconds = device_nanoseconds // _NANOSECONDS_PER_MICROSECOND
        verdict = self.gatekeeper.judge(self._policy, request, microseconds)
        verdict = fault.judge(self, request, verdict)
        if verdict.outcome is not Outcome.GRANTED:
            stale = verdict.outcome is Outcome.STALE
            challenges = self.gatekeeper.challenge(self._policy, request, microseconds, stale=stale)
            return fault.rewrite_challenge(html_reply(401, challenges)), False, None
        reply, api_method = self._serve(request, verdict)
        return reply, True, api_method

    def _serve(self, request: Request, verdict: Verdict) -> tuple[Reply, str | None]:
        """Answer one who was let in."""
        info = verdict.authentication_info
        first: Headers = (("Authentication-Info", info),) if info else ()
        instead = self._fault.instead(request) or _refuse_other_targets(request)
        if instead is not None:
            return replace(instead, headers=(*first, *instead.headers)), None
        answer = self.api.answer(
            request.body, request.content_type, request.host_nanoseconds, self._fault.call
        )
        headers = (*first, ("Content-Type", self.content_type))
        reply = Reply(answer.status, headers, json.dumps(answer.document).encode())
        return self._fault.rewrite(reply, answer.method), answer.method


def _refuse_other_targets(request: Request) -> Reply | None:
    if request.target.partition("?")[0] != NTP_CGI:
        return html_reply(404)
    if request.method != "POST":
        return html_reply(405, (("Allow", "POST"),))
    return None


def _seen(request: Request, status: int, api_method: str | None) -> SeenRequest:
    return SeenRequest(
        method=request.method,
        target=request.target,
        authorization=request.authorization,
        content_type=request.content_type,
        body=request.body,
        host_nanoseconds=request.host_nanoseconds,
        status=status,
        api_method=api_method,
    )
