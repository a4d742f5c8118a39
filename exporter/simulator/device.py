"""One simulated device: turns a request into a reply. No I/O; the request carries the time."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Unpack

from exporter.simulator.authentication import AuthResult, Verdict
from exporter.simulator.clock import NANOSECONDS
from exporter.simulator.device_state import Parts, SimulatedState
from exporter.simulator.faults import HEALTHY, find_fault
from exporter.simulator.wire import (
    NTP_CGI,
    Headers,
    Reply,
    Request,
    format_date,
    html_reply,
)

SERVER = "Apache/2.4.68 (Unix) OpenSSL/3.0.17"

_NANOSECONDS_PER_MICROSECOND = 1_000


class SimulatedDevice(SimulatedState):
    """A simulated Axis device: `handle` returns the reply to a request.

    Takes the keywords of `SimulatedState` and `fault`, a name in `faults.FAULTS` or None. Raises
    UnknownFaultError for any other name.
    """

    __slots__ = ("_fault", "_undo_fault")

    def __init__(self, name: str, *, fault: str | None = None, **parts: Unpack[Parts]) -> None:
        super().__init__(name, **parts)
        self._fault = HEALTHY
        self._undo_fault: Callable[[], None] = HEALTHY.begin(self)
        self.fault = fault

    def __repr__(self) -> str:
        """Show the name and the fault, no secrets."""
        return f"SimulatedDevice({self.name!r}, fault={self.fault!r})"

    @property
    def fault(self) -> str | None:
        """The name of the fault. Setting another one first undoes what this one changed."""
        return None if self._fault is HEALTHY else self._fault.name

    @fault.setter
    def fault(self, name: str | None) -> None:
        fault = HEALTHY if name is None else find_fault(name)
        self._undo_fault()
        self._fault = fault
        self._undo_fault = fault.begin(self)

    def handle(self, request: Request) -> Reply:
        """Return the reply to one request, with the Date of the moment when it was read."""
        device_nanoseconds = self.clock.nanoseconds_at(request.host_nanoseconds)
        reply, authorized, api_method = self._reply(request, device_nanoseconds)
        self.requests.record(request, reply.status, api_method, authorized=authorized)
        date = format_date(device_nanoseconds // NANOSECONDS, self.date_style)
        first: Headers = (("Date", date),) if date is not None else ()
        if request.method == "HEAD":
            reply = replace(reply, body=b"")
        return replace(reply, headers=(*first, ("Server", SERVER), *reply.headers))

    def _reply(self, request: Request, device_nanoseconds: int) -> tuple[Reply, bool, str | None]:
        """Return the reply, whether the request was authorized, and the API method it called."""
        fault = self._fault
        intercepted = fault.intercept(request)
        if intercepted is not None:
            return intercepted, False, None
        microseconds = device_nanoseconds // _NANOSECONDS_PER_MICROSECOND
        verdict = self.login.check(self.policy, request, microseconds)
        verdict = fault.authenticate(self, request, verdict)
        if verdict.result is not AuthResult.GRANTED:
            stale = verdict.result is AuthResult.STALE
            challenges = self.login.challenge_headers(
                self.policy, request, microseconds, stale=stale
            )
            return fault.rewrite_challenge(html_reply(401, challenges)), False, None
        reply, api_method = self._serve(request, verdict)
        return reply, True, api_method

    def _serve(self, request: Request, verdict: Verdict) -> tuple[Reply, str | None]:
        """Return the reply to an authorized request, and the API method it called."""
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
    """Return 404 for other paths, 405 for other methods, None for a POST to ntp.cgi."""
    if request.target.partition("?")[0] != NTP_CGI:
        return html_reply(404)
    if request.method != "POST":
        return html_reply(405, (("Allow", "POST"),))
    return None
