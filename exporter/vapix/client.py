"""One device's ntp.cgi over HTTP: the only place where a device is spoken to."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from exporter.clock.http_time import ResponseTimes
from exporter.system.text import escaped
from exporter.vapix import errors, ntp
from exporter.vapix.connection import Exchange, ResponseTooLong, Session, current_exchange
from exporter.vapix.hold import Hold
from exporter.vapix.http_auth import Authenticator, find_nonces
from exporter.vapix.reading import Reading

# At hand, for Python looks a member up by a call, at every poll.
_OK: Final = HTTPStatus.OK
_UNAUTHORIZED: Final = HTTPStatus.UNAUTHORIZED
_REDIRECTS: Final = range(300, 400)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a device's API is and how its connection is secured (`tls` for https only)."""

    url: URL
    tls: ssl.SSLContext | None = None
    server_name: str | None = None


class HttpResponse(NamedTuple):
    """A device's answer; `body` is `None` if it was over the limit and not read to its end."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes | None


class NtpClient:
    """Calls the NTP API of one device. One call at a time.

    Remembers between calls what spares requests: the nonce and the API version. Every call
    raises a `DeviceError` that says what went wrong.
    """

    __slots__ = (
        "_api_version",
        "_authenticator",
        "_closed",
        "_endpoint",
        "_exchange",
        "_hold",
        "_is_calling",
        "_session",
        "_sightings",
    )

    def __init__(self, session: Session, endpoint: Endpoint, authenticator: Authenticator) -> None:
        self._session = session
        self._endpoint = endpoint
        self._authenticator = authenticator
        self._api_version = ntp.FIRST_API_VERSION
        self._sightings: list[ResponseTimes] = []
        self._hold = Hold()
        self._exchange = Exchange(self._hold)
        self._is_calling = False
        self._closed = False

    @property
    def scheme(self) -> str | None:
        """The authentication scheme in use, `digest` or `basic`; `None` before any."""
        return self._authenticator.scheme

    @property
    def stage(self) -> str:
        """How far the present exchange got, or the last one, in words."""
        return self._exchange.stage

    def close(self) -> None:
        """Give up the kept connection; a call that is under way still gets its answer."""
        self._closed = True
        self.release()

    def release(self) -> None:
        """Give up the kept connection for now: the next call makes a new one."""
        if not self._is_calling:
            self._exchange.close_connection()

    def take_sightings(self) -> list[ResponseTimes]:
        """What the answers since the last call have shown of the device's clock, oldest first.

        One for each HTTP answer, whatever its status: a 401 tells the time too.
        """
        sightings, self._sightings = self._sightings, []
        return sightings

    async def get_info(self, hold: Hold | None = None) -> Reading:
        """The device's NTP state (reference, getNTPInfo); the first request waits for `hold`."""
        self._hold = hold or Hold()
        return ntp.decode_info(await self.call(ntp.GET_INFO))

    async def get_supported_versions(self) -> tuple[str, ...]:
        """The API versions the device supports (reference, getSupportedVersions)."""
        return ntp.decode_supported_versions(
            await self._call_once(ntp.encode_request(ntp.GET_SUPPORTED_VERSIONS, None))
        )

    async def call(self, method: str, params: dict[str, Any] | None = None) -> ntp.NtpAnswer:
        """Call a method in a version that the device supports, negotiated on error 4001."""
        try:
            return await self._call_once(ntp.encode_request(method, self._api_version, params))
        except errors.Unsupported as refusal:
            if refusal.code != ntp.VERSION_NOT_SUPPORTED:
                raise
            best = ntp.best_version(await self._versions_or(refusal))
            if best == self._api_version:
                raise
        self._api_version = best
        return await self._call_once(ntp.encode_request(method, best, params))

    async def _versions_or(self, refusal: errors.Unsupported) -> tuple[str, ...]:
        """The supported versions; the first refusal where the device has no word on them."""
        try:
            return await self.get_supported_versions()
        except (errors.Unsupported, errors.ApiError):
            raise refusal from None

    async def _call_once(self, request: bytes) -> ntp.NtpAnswer:
        answer = await self._authenticated(request)
        _raise_for_status(answer)
        if answer.body is None:
            limit = ntp.LARGEST_BODY_BYTES
            raise errors.InvalidResponse(f"the answer is larger than {limit} bytes")
        return ntp.decode_answer(answer.body)

    async def _authenticated(self, request: bytes) -> HttpResponse:
        """Send a request until the device takes our credentials or they are spent."""
        refusals = 0
        while (answer := await self._delivered(request)).status == _UNAUTHORIZED:
            refusals += 1
            with _factory_state_told(answer):
                challenges = answer.headers.getall("WWW-Authenticate", [])
                self._authenticator.handle_unauthorized(challenges, refusals)
        self._authenticator.handle_success(answer.headers.get("Authentication-Info"))
        return answer

    async def _delivered(self, request: bytes) -> HttpResponse:
        """Send a request; again while kept connections turn out to be closed.

        All three methods may be sent twice: they read, or set the whole state. A new connection
        that fails is no kept one, so this ends.
        """
        while True:
            try:
                return await self._answer_to(request)
            except errors.Disconnected as lost:
                if refusal := await self._exchange.tls_refusal():
                    raise errors.TlsFailed(f"TLS failed: {_said(refusal)}") from lost
                if not self._exchange.reused:
                    raise

    async def _answer_to(self, request: bytes) -> HttpResponse:
        """One HTTP request and its answer."""
        endpoint = self._endpoint
        authorization = self._authenticator.authorization("POST", ntp.PATH)
        headers = None if authorization is None else {"Authorization": authorization}
        self._exchange = Exchange(self._hold)
        current_exchange.set(self._exchange)
        self._is_calling = True
        try:
            async with self._session.post(
                endpoint.url,
                data=request,
                headers=headers,
                allow_redirects=False,
                ssl=endpoint.tls or True,
                server_hostname=endpoint.server_name,
            ) as response:
                return await self._read(response)
        except aiohttp.ClientError as problem:
            raise _translated(problem) from problem
        finally:
            self._is_calling = False
            if self._closed:
                self._exchange.close_connection()

    async def _read(self, response: aiohttp.ClientResponse) -> HttpResponse:
        exchange, headers = self._exchange, response.headers
        exchange.head_came()
        if exchange.sent_ns:
            times = (exchange.sent_ns, exchange.received_ns)
            self._sightings.append(ResponseTimes(*times, headers.get("Date"), find_nonces(headers)))
        body = await _read_body(response)
        exchange.end()
        return HttpResponse(response.status, headers, body)


async def _read_body(response: aiohttp.ClientResponse) -> bytes | None:
    """The whole body, so that the connection can be kept; `None` if it is over the limit."""
    chunks: list[bytes] = []
    room = ntp.LARGEST_BODY_BYTES
    while chunk := await response.content.readany():
        room -= len(chunk)
        if room < 0:
            response.close()
            return None
        chunks.append(chunk)
    return b"".join(chunks)


@contextmanager
def _factory_state_told(answer: HttpResponse) -> Iterator[None]:
    try:
        yield
    except errors.Unauthorized as refusal:
        if "Axis-Setup" not in answer.headers:
            raise
        hint = "the device is factory-new and has no user yet: set its password first"
        raise errors.FactoryNew(f"{refusal}; {hint}", refusal.code) from None


def _raise_for_status(answer: HttpResponse) -> None:
    status = answer.status
    if status == _OK:
        return
    if status == HTTPStatus.INTERNAL_SERVER_ERROR and (error := ntp.find_error(answer.body or b"")):
        raise error
    if status == HTTPStatus.FORBIDDEN:
        raise errors.Forbidden("HTTP 403: the account may not use the NTP API", status)
    if status == HTTPStatus.NOT_FOUND:
        raise errors.Unsupported("HTTP 404: the device has no NTP API (ntp.cgi)", status)
    if status in _REDIRECTS:
        where = errors.printable(answer.headers.get("Location", "nowhere"))
        raise errors.UnexpectedStatus(f"HTTP {status}: redirected to {where}, not followed", status)
    raise errors.UnexpectedStatus(f"HTTP {status}", status)


def _translated(problem: aiohttp.ClientError) -> errors.DeviceError:
    """Our error for one of aiohttp's; the order is from the special to the general."""
    match problem:
        case aiohttp.ClientConnectorDNSError():
            return errors.NameNotResolved(f"name not resolved: {_said(problem.os_error)}")
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return _tls_failed(problem)
        case aiohttp.ClientConnectorError():
            return errors.ConnectFailed(f"no connection: {_said(problem.os_error)}")
        case ResponseTooLong():
            return errors.InvalidResponse(str(problem))
        case aiohttp.ClientConnectionError() | aiohttp.ClientPayloadError():
            message = "the device closed the connection before its answer was complete"
            return errors.Disconnected(message)
        case aiohttp.ClientResponseError():
            what = errors.printable(problem.message)
            return errors.InvalidResponse(f"the answer is not HTTP: {what}")
    raise problem


def _tls_failed(
    problem: aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError,
) -> errors.TlsFailed:
    if isinstance(problem, aiohttp.ClientConnectorCertificateError):
        # Whole, for its end is what to do; what it quotes is of the config.
        why = escaped(str(problem.certificate_error))
        return errors.CertificateNotTrusted(f"TLS failed: {why}")
    return errors.TlsFailed(f"TLS failed: {_said(problem.os_error)}")


def _said(problem: BaseException) -> str:
    return errors.printable(str(problem)) or type(problem).__name__
