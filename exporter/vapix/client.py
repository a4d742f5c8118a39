"""The NTP API of one device over HTTP: the only module that sends anything to a device."""

import asyncio
import os
import re
import ssl
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, Generic, NamedTuple, TypeVar

import aiohttp
import structlog
from multidict import CIMultiDictProxy
from yarl import URL

from exporter.clock.http_time import CallTimes, ResponseTimes
from exporter.system.files import NO_FILE_LEFT
from exporter.system.text import escaped
from exporter.vapix import errors, ntp
from exporter.vapix.aiohttp_internals import before_send
from exporter.vapix.challenges import find_nonces
from exporter.vapix.connection import (
    Exchange,
    NtpCall,
    ResponseTooLong,
    Session,
    WrongCertificate,
)
from exporter.vapix.http_auth import Authenticator
from exporter.vapix.identity import DeviceIdentity
from exporter.vapix.ntp_info import CLOCK_ONLY, Reading, decode_info
from exporter.vapix.tls import Pin

DEFAULT_TIMEOUT_SECONDS: Final = 10.0

T = TypeVar("T")

_log = structlog.get_logger()

# Constants, because Python looks up a member of an enum through a function call.
_OK: Final = HTTPStatus.OK
_UNAUTHORIZED: Final = HTTPStatus.UNAUTHORIZED
_REDIRECTS: Final = range(300, 400)
_BUSY: Final = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}

_NOT_TLS: Final = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"}
"""What OpenSSL says of bytes that are no TLS; since version 3.2 also the second one."""

_WANTS_TLS: Final = re.compile(rb"plain HTTP|HTTP request to an HTTPS server", re.IGNORECASE)
"""What web servers write in the body of a 400: Apache and nginx, Go."""

_TLS_ALERT: Final = re.compile(r"b'\\x15\\x03\\x0")
"""A TLS record with an alert, as aiohttp shows it."""

_ERRNO: Final = re.compile(r"\[Errno (\d{1,4})\]")
_NO_FILE_MESSAGE: Final = (
    "cannot connect: the exporter has too many open files; raise the limit (systemd: "
    "LimitNOFILE=, shell: ulimit -n), or lower --web.max-connections"
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The URL of a device's API, and how to secure the connection (`tls` for https only).

    With a `pin`, the device is trusted by it alone, and `tls` must verify nothing. With
    `clock_only` the API is not asked: any response to the URL shows the device's clock.
    """

    url: URL
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    clock_only: bool = False
    pin: Pin | None = None


class HttpResponse(NamedTuple):
    """A device's response; `body` is `None` if it was over the limit and not read completely."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes | None


class Timed(NamedTuple, Generic[T]):
    """The result of a call, and the times of its HTTP responses."""

    value: T
    times: CallTimes


class NtpClient:
    """Calls the NTP API of one device, one call at a time.

    Remembers between calls what saves requests: the nonce and the API version. A call raises
    nothing but a `DeviceError`, whose `times` are those of the responses it got, and cancellation.
    """

    __slots__ = (
        "_api_version",
        "_authenticator",
        "_call",
        "_closed",
        "_endpoint",
        "_exchange",
        "_is_calling",
        "_session",
    )

    def __init__(self, session: Session, endpoint: Endpoint, authenticator: Authenticator) -> None:
        self._session = session
        self._endpoint = endpoint
        self._authenticator = authenticator
        self._api_version = ntp.FIRST_API_VERSION
        self._call = NtpCall()
        self._exchange = Exchange(self._call, endpoint.pin)
        self._is_calling = False
        self._closed = False

    @property
    def scheme(self) -> str | None:
        """The authentication scheme in use, `digest` or `basic`; `None` before any."""
        return self._authenticator.scheme

    @property
    def pin(self) -> Pin | None:
        """The certificate that the device must show; `None` if its issuer is verified."""
        return self._endpoint.pin

    @property
    def identity(self) -> DeviceIdentity:
        """What the device has shown of itself so far."""
        return self._call.identity

    def shown(self, text: str) -> str:
        """Return a device's text as it may be shown: printable, short and without our secrets."""
        # Redacted first: half a password, cut off at the end, would not be found.
        return errors.printable(self._authenticator.redact(text))

    def close(self) -> None:
        """Close the kept connection for good; a call in progress still gets its response."""
        self._closed = True
        self.release()

    def release(self) -> None:
        """Close the kept connection; the next call opens a new one."""
        if not self._is_calling:
            self._exchange.close_connection()

    async def get_info(
        self, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS, send_at_ns: int = 0
    ) -> Timed[Reading]:
        """Read the device's NTP state (reference, "getNTPInfo").

        The first request waits on its ready connection until `send_at_ns` (steady nanoseconds).
        `timeout_seconds` is for the whole call, besides that wait.
        """
        return await self._run(self._get_info(), timeout_seconds, send_at_ns)

    async def _get_info(self) -> Reading:
        if self._endpoint.clock_only:
            await self._send_connected(None)  # whatever the status: it has a `Date`
            return CLOCK_ONLY
        return decode_info(await self._call_method(ntp.GET_INFO))

    async def call(
        self, method: str, params: dict[str, Any], timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> Timed[ntp.NtpAnswer]:
        """Call any method with parameters. `timeout_seconds` is for the whole call."""
        return await self._run(self._call_method(method, params), timeout_seconds)

    async def _run(
        self, steps: Coroutine[Any, Any, T], timeout_seconds: float, send_at_ns: int = 0
    ) -> Timed[T]:
        """Do the steps of one call within its deadline, and collect its times."""
        call = self._call
        error: errors.DeviceError
        try:
            async with asyncio.timeout(timeout_seconds) as deadline:
                call.begin(send_at_ns, deadline)
                return Timed(await steps, call.times)
        except errors.DeviceError as failure:
            error = failure
        except TimeoutError:
            error = errors.PollTimeout(f"timed out after {timeout_seconds:g} s {call.stage}")
        except Exception:  # noqa: BLE001 - the last resort: no device may stop the others
            _log.exception("poll.internal_error", url=str(self._endpoint.url))
            error = errors.Internal("internal error, see the exporter's log")
        finally:
            call.deadline = None  # it keeps the task of this poll alive
        error.times = call.times
        # Drop traceback and causes: the error is stored and would keep their frames alive.
        error.__cause__ = error.__context__ = None
        raise error.with_traceback(None) from None

    async def _call_method(
        self, method: str, params: dict[str, Any] | None = None
    ) -> ntp.NtpAnswer:
        """Call a method in a version that the device supports, negotiated after error 4001."""
        try:
            return await self._call_once(method, self._api_version, params)
        except errors.Unsupported as refusal:
            if refusal.code != ntp.VERSION_NOT_SUPPORTED:
                raise
            version = ntp.choose_version(await self._get_supported_versions(refusal))
            if version == self._api_version:
                raise
        self._api_version = version
        return await self._call_once(method, version, params)

    async def _get_supported_versions(self, refusal: errors.Unsupported) -> tuple[str, ...]:
        """Ask for the supported versions (reference, "getSupportedVersions").

        Raises `refusal`, the error that led here, if the device cannot name them.
        """
        try:
            answer = await self._call_once(ntp.GET_SUPPORTED_VERSIONS, None)
            return ntp.decode_supported_versions(answer)
        except (errors.Unsupported, errors.ApiError):
            raise refusal from None

    async def _call_once(
        self, method: str, api_version: str | None, params: dict[str, Any] | None = None
    ) -> ntp.NtpAnswer:
        if params is None:
            request = _bare_request(method, api_version)
        else:
            request = aiohttp.BytesPayload(ntp.encode_request(method, api_version, params))
        response = await self._send_authenticated(request)
        self._raise_for_status(response)
        if response.body is None:
            limit = ntp.LARGEST_BODY_BYTES
            raise errors.InvalidResponse(f"the response is larger than {limit} bytes")
        return ntp.decode_answer(response.body, self._redactor(response.body))

    def _redactor(self, body: bytes) -> ntp.Redact | None:
        authenticator = self._authenticator
        return authenticator.redact if authenticator.may_repeat_a_secret(body) else None

    def _raise_for_status(self, response: HttpResponse) -> None:
        status = response.status
        if status == _OK:
            return
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            body = response.body or b""
            error = ntp.find_error(body, self._redactor(body))
            if error is not None:
                raise error
        if status == HTTPStatus.BAD_REQUEST and self._wants_tls(response.body or b""):
            message = f"HTTP {status}: the device speaks https on this port, not plain HTTP"
            raise errors.HttpsPort(message, status)
        if status == HTTPStatus.FORBIDDEN:
            raise errors.HttpForbidden("HTTP 403: the account may not use the NTP API", status)
        if status == HTTPStatus.NOT_FOUND:
            raise errors.Unsupported("HTTP 404: the device has no NTP API (ntp.cgi)", status)
        if status in _BUSY:
            raise errors.Busy(f"HTTP {status}: the device is busy or starting", status)
        if status in _REDIRECTS:
            raise self._redirect_error(status, response.headers.get("Location", "nowhere"))
        raise errors.UnexpectedStatus(f"HTTP {status}", status)

    def _wants_tls(self, body: bytes) -> bool:
        return self._endpoint.tls is None and _WANTS_TLS.search(body) is not None

    def _redirect_error(self, status: int, location: str) -> errors.DeviceError:
        target = self.shown(location)
        if self._endpoint.tls is None and location.lower().startswith("https:"):
            message = f"HTTP {status}: the device redirects to https: {target}"
            return errors.RedirectToHttps(message, status)
        return errors.UnexpectedStatus(f"HTTP {status}: redirect to {target} not followed", status)

    async def _send_authenticated(self, request: aiohttp.BytesPayload) -> HttpResponse:
        """Send a request until the device accepts the credentials, or finally refuses them."""
        refusals = 0
        while (response := await self._send_connected(request)).status == _UNAUTHORIZED:
            refusals += 1
            challenges = response.headers.getall("WWW-Authenticate", [])
            try:
                self._authenticator.handle_unauthorized(challenges, refusals)
            except errors.Unauthorized as refusal:
                if "Axis-Setup" not in response.headers:
                    raise
                hint = "the device is factory-new and has no user yet: set its password first"
                raise errors.FactoryNew(f"{refusal}; {hint}", refusal.code) from None
        self._authenticator.handle_success(response.headers.get("Authentication-Info"))
        return response

    async def _send_connected(self, request: aiohttp.BytesPayload | None) -> HttpResponse:
        """Send a request; send it again if a kept connection turns out to be closed.

        All three methods may be sent twice: they read, or set the whole state. The loop ends
        because a new connection is not a kept one.
        """
        while True:
            try:
                return await self._send(request)
            except errors.Disconnected as lost:
                if refusal := await self._exchange.find_tls_refusal():
                    raise errors.TlsFailed(f"TLS failed: {_describe(refusal)}") from lost
                if not self._exchange.reused:
                    raise

    async def _send(self, request: aiohttp.BytesPayload | None) -> HttpResponse:
        """Send one HTTP request and read its response; `None` for a HEAD without credentials."""
        endpoint = self._endpoint
        authorization = self._authenticator.authorization("POST", ntp.PATH)
        headers = None if authorization is None else {"Authorization": authorization}
        self._exchange.prepare()
        before_send.set(self._exchange.begin)
        self._is_calling = True
        try:
            async with self._session.request(
                "HEAD" if request is None else "POST",
                endpoint.url,
                data=request,
                headers=headers,
                allow_redirects=False,
                ssl=endpoint.tls or True,
                server_hostname=endpoint.server_name,
            ) as response:
                return await self._read(response)
        except aiohttp.ClientError as problem:
            raise _translate(problem) from problem
        finally:
            self._is_calling = False
            if self._closed:
                self._exchange.close_connection()

    async def _read(self, response: aiohttp.ClientResponse) -> HttpResponse:
        exchange, headers = self._exchange, response.headers
        exchange.note_head()
        if exchange.sent_ns:
            times = (exchange.sent_ns, exchange.received_ns)
            seen = ResponseTimes(*times, headers.get("Date"), find_nonces(headers))
            self._call.responses += (seen,)
        if response.status == _UNAUTHORIZED:
            challenges = headers.getall("WWW-Authenticate", ())
            # A password may look like a serial number.
            self._call.note_challenges(map(self._authenticator.redact, challenges))
        body = await _read_body(response)
        exchange.end()
        return HttpResponse(response.status, headers, body)


@lru_cache(maxsize=64)
def _bare_request(method: str, api_version: str | None) -> aiohttp.BytesPayload:
    """Return the request of a method without parameters: one object for all devices."""
    return aiohttp.BytesPayload(ntp.encode_request(method, api_version))


async def _read_body(response: aiohttp.ClientResponse) -> bytes | None:
    """Read the whole body, so that the connection can be kept; `None` if it is over the limit."""
    chunks: list[bytes] = []
    room = ntp.LARGEST_BODY_BYTES
    while chunk := await response.content.readany():
        room -= len(chunk)
        if room < 0:
            response.close()
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def _translate(problem: aiohttp.ClientError) -> errors.DeviceError:
    """Return our error for one of aiohttp's. The order is from the special to the general."""
    error: errors.DeviceError
    match problem:
        case aiohttp.ClientOSError() if problem.errno in NO_FILE_LEFT:
            error = errors.TooManyOpenFiles(_NO_FILE_MESSAGE)
        case aiohttp.ClientConnectorDNSError():
            error = errors.NameNotResolved(f"cannot resolve: {_describe(problem.os_error)}")
        case aiohttp.ClientConnectorCertificateError():
            # Not truncated: the hint at the end matters, and the quoted text is ours.
            why = escaped(str(problem.certificate_error))
            error = errors.CertificateNotTrusted(f"TLS failed: {why}")
        case aiohttp.ClientSSLError():
            error = _tls_failure(problem.os_error)
        case aiohttp.ClientConnectorError():
            error = _connect_failure(problem.os_error)
        case WrongCertificate():
            error = problem.kind(f"TLS failed: {problem}")
        case ResponseTooLong():
            error = errors.InvalidResponse(str(problem))
        case aiohttp.ClientConnectionError() | aiohttp.ClientPayloadError():
            message = "the device closed the connection before its response was complete"
            error = errors.Disconnected(message)
        case aiohttp.ClientResponseError():
            error = _not_http(problem.message)
        case _:
            raise problem
    return error


def _connect_failure(problem: OSError) -> errors.ConnectFailed:
    message = f"cannot connect: {describe_refusals(problem)}"
    if isinstance(problem, ConnectionResetError | BrokenPipeError):
        return errors.ConnectionReset(message)
    if isinstance(problem, ConnectionRefusedError):
        return errors.ConnectionRefused(message)
    return errors.ConnectFailed(message)


def _tls_failure(problem: OSError) -> errors.TlsFailed:
    if getattr(problem, "reason", None) in _NOT_TLS:
        message = "TLS failed: the device seems to speak plain HTTP on this port, not https"
        return errors.PlainHttp(message)
    return errors.TlsFailed(f"TLS failed: {_describe(problem)}")


def _not_http(message: str) -> errors.InvalidResponse:
    if _TLS_ALERT.search(message):
        return errors.TlsResponse("the response is not HTTP: the device speaks https on this port")
    # The rest quotes the device, with a drawing.
    what = re.split(r"[:'\"\n]", message)[0].strip()
    return errors.InvalidResponse(f"the response is not HTTP: {what}")


def describe_refusals(problem: OSError) -> str:
    """Return in words why no address of a device could be connected: `connection refused`."""
    # An attempt for each address; the numbers of several stand in the text only.
    numbers = dict.fromkeys(int(number) for number in _ERRNO.findall(str(problem)))
    return ", ".join(os.strerror(number).lower() for number in numbers) or _describe(problem)


def _describe(problem: BaseException) -> str:
    return errors.printable(str(problem)) or type(problem).__name__
