"""The errors of a call to a device: one class for each `reason`, and each says who must act.

`reason` is a label of `axis_ntp_api_errors_total` and `axis_ntp_last_error`.
"""

from typing import ClassVar, Final

from exporter.clock.http_time import CallTimes
from exporter.system.text import escaped

API_ERROR_MEANINGS: Final = {
    1000: "Internal error",
    2000: "Invalid request",
    2001: "Request body too large",
    3000: "Invalid JSON data",
    4000: "Method does not exist",
    4001: "The specified version is not supported",
    4002: "Authorization failed",
    4003: "Missing parameter(s)",
    4004: "Invalid parameter(s)",
}
"""The messages of the reference, "General error codes"."""

SUBCODE_MEANINGS: Final = {
    1: "the invalid parameter is enabled",
    2: "the invalid parameter is serversSource",
    3: "the invalid parameter is staticServers or one of its values",
    5: "the invalid parameter is NTSEnabled",
    6: "the invalid parameter is staticNTSKEServers or one of its values",
    7: "the invalid parameter is minpoll, valid values range from 0 to 24",
    8: "the invalid parameter is maxpoll, valid values range from 0 to 24",
    9: "the invalid parameter is NTSKEServerCACerts or one of its values",
}
"""The reference, "NTP invalid parameter error sub codes". It has no 4; newer devices send 9."""

REASONS: Final = (
    "dns",
    "connect",
    "tls",
    "timeout",
    "disconnected",
    "unauthorized",
    "forbidden",
    "unsupported",
    "http_status",
    "invalid_response",
    "api_error",
    "internal",
)
"""Every value of the label `reason`."""

_LONGEST_QUOTE: Final = 200


def printable(text: str) -> str:
    """Return a device's text for logs and pages: control characters escaped, 200 characters."""
    quoted = escaped(text[: _LONGEST_QUOTE + 1])
    return quoted if len(quoted) <= _LONGEST_QUOTE else quoted[:_LONGEST_QUOTE] + "…"


class DeviceError(Exception):
    """A call to a device failed; `str()` says what happened.

    `code` is the API's error code or the HTTP status, `None` if there was neither. `cause` tells
    errors with the same reason and code apart, in a few words. `times` are those of the HTTP
    responses that the failed call got.
    """

    reason: ClassVar[str]
    cause: ClassVar[str] = ""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.times = CallTimes()


class NameNotResolved(DeviceError):
    """The device's name has no address. The operator (DNS or config) must act."""

    reason = "dns"


class ConnectFailed(DeviceError):
    """No TCP connection: refused or unreachable. Check the network and the device."""

    reason = "connect"


class ConnectionRefused(ConnectFailed):
    """The host is there, but nothing listens at the port. Check address, port and scheme."""

    cause = "connection refused"


class ConnectionReset(ConnectFailed):
    """The connection was there, and ended before its TLS was. The port may speak plain HTTP."""


class TlsFailed(DeviceError):
    """The TLS handshake failed: no common version or cipher. Fix the config or the device."""

    reason = "tls"


class CertificateNotTrusted(TlsFailed):
    """The device's certificate is not trusted. The operator must pin it, or set its CA or name."""

    cause = "certificate not trusted"


class CertificateNotPinned(CertificateNotTrusted):
    """The `pins_file` has no certificate for the device yet. The operator must pin one."""

    cause = "certificate not pinned"


class CertificateChanged(CertificateNotTrusted):
    """The device does not show the certificate that is pinned in the config."""

    cause = "certificate changed"


class CertificateInFileChanged(CertificateChanged):
    """The device does not show the certificate that is pinned in the `pins_file`."""


class PlainHttp(TlsFailed):
    """The port does not speak TLS. The operator must set another port, or `scheme: http`."""

    cause = "no https at this port"


class PollTimeout(DeviceError):
    """The poll did not finish before its deadline. Check the network and the device's load."""

    reason = "timeout"


class Disconnected(DeviceError):
    """The device closed the connection before its response was complete. Check the device."""

    reason = "disconnected"


class Unauthorized(DeviceError):
    """HTTP 401, and no other credentials to try. The operator must fix username or password."""

    reason = "unauthorized"


class NoAccount(Unauthorized):
    """The device asks for a password, but none is configured. The operator must set one."""

    cause = "no password configured"


class NoCommonScheme(Unauthorized):
    """No login method is allowed by both device and config. The operator must enable one."""

    cause = "no common login method"


class NonceAlwaysStale(Unauthorized):
    """The device accepts the password but refuses its own nonces: a fault of its firmware."""

    cause = "its own nonces refused"


class FactoryNew(Unauthorized):
    """The device has no user yet. The operator must set its password."""

    cause = "factory-new device"


class Forbidden(DeviceError):
    """HTTP 403 or API error 4002. The operator must make the account an administrator."""

    reason = "forbidden"


class HttpForbidden(Forbidden):
    """HTTP 403: no administrator, or an address that the device blocks after wrong logins."""


class Unsupported(DeviceError):
    """The firmware has no usable NTP API: HTTP 404, or API error 4000 or 4001. Update it."""

    reason = "unsupported"


class NewerApi(Unsupported):
    """The device has no API version 1.x any more. Update the exporter."""

    cause = "API too new"


class UnexpectedStatus(DeviceError):
    """Another HTTP status, redirects included. Check the device, or a proxy in front of it."""

    reason = "http_status"


class RedirectToHttps(UnexpectedStatus):
    """The device serves its API over TLS only. The operator must set `scheme: https`."""

    cause = "https only"


class HttpsPort(UnexpectedStatus):
    """HTTP 400: the port speaks https only. The operator must set `scheme: https`."""

    cause = "https only"


class Busy(UnexpectedStatus):
    """HTTP 429 or 503: the device is overloaded or starting. The next poll may succeed."""

    cause = "busy or starting"


class InvalidResponse(DeviceError):
    """The response is not what the reference describes: a fault of the device's firmware."""

    reason = "invalid_response"


class TlsResponse(InvalidResponse):
    """The response to plain HTTP is a TLS record. The operator must set `scheme: https`."""

    cause = "https only"


class ApiError(DeviceError):
    """Any other API error; `subcode` if the device sent one. Check the device."""

    reason = "api_error"

    def __init__(self, message: str, code: int, subcode: int | None = None) -> None:
        super().__init__(message, code)
        self.subcode = subcode


_CLASS_OF_CODE: Final[dict[int, type[DeviceError]]] = {
    4000: Unsupported,
    4001: Unsupported,
    4002: Forbidden,
}


def api_error(code: int, message: str | None = None, subcode: int | None = None) -> DeviceError:
    """Return the error for an API error `code` (reference, "General error codes").

    `message` is the device's own text, only used for a code that the reference does not have.
    """
    text = API_ERROR_MEANINGS.get(code) or printable(message or "no message")
    if subcode is not None:
        meaning = SUBCODE_MEANINGS.get(subcode, "not described by the reference")
        text = f"{text}: {meaning} (subCode {subcode})"
    described = f"API error {code}: {text}"
    if kind := _CLASS_OF_CODE.get(code):
        return kind(described, code)
    return ApiError(described, code, subcode)


class Internal(DeviceError):
    """A bug in the exporter. Please report it, with the traceback in the log."""

    reason = "internal"


class TooManyOpenFiles(Internal):
    """The exporter has too many open files. The operator must raise its limit."""

    cause = "too many open files"
