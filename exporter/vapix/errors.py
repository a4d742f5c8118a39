"""Everything that can go wrong when a device is asked, sorted by who must act.

One class for each `reason` of the metrics `axis_ntp_api_errors_total` and
`axis_ntp_last_error`. The class says the reason, `code` the API's or HTTP's number.
"""

from __future__ import annotations

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
"""Reference, "General error codes"."""

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
"""Reference, "NTP invalid parameter error sub codes"; 9 from newer devices; 4 is not given out."""

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

LONGEST_QUOTE: Final = 200


def printable(text: str) -> str:
    """What a device said, fit for a log line or a page: no control characters, not endless."""
    shown = text[: LONGEST_QUOTE + 1]
    quoted = escaped(shown)
    return quoted if len(quoted) <= LONGEST_QUOTE else quoted[:LONGEST_QUOTE] + "…"


class DeviceError(Exception):
    """A device could not be read or written; `str()` says what happened, in a sentence.

    `code` is the API's error code or the HTTP status, `None` where neither was involved. `times`
    are those of the HTTP responses that the failed call got.
    """

    reason: ClassVar[str]

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.times = CallTimes()


class NameNotResolved(DeviceError):
    """The device's name has no address. The network's or the config's to mend."""

    reason = "dns"


class ConnectFailed(DeviceError):
    """No TCP connection: refused, unreachable. The network's or the device's to mend."""

    reason = "connect"


class TlsFailed(DeviceError):
    """No TLS session: wrong certificate, no common version or cipher. The operator's to mend."""

    reason = "tls"


class CertificateNotTrusted(TlsFailed):
    """The device's certificate is not what the settings ask for."""


class PollTimeout(DeviceError):
    """The whole poll was not through within its deadline."""

    reason = "timeout"


class Disconnected(DeviceError):
    """The device closed the connection before its answer was complete."""

    reason = "disconnected"


class Unauthorized(DeviceError):
    """HTTP 401 to our best credentials, or no credentials that may be sent."""

    reason = "unauthorized"


class NoAccount(Unauthorized):
    """The device asks for a password, and the config has none."""


class NoCommonScheme(Unauthorized):
    """The device offers no scheme that may be answered. Config or device must allow one."""


class NonceAlwaysStale(Unauthorized):
    """The device takes the password, but none of its own nonces. The device's to mend."""


class FactoryNew(Unauthorized):
    """The device has no user yet."""


class Forbidden(DeviceError):
    """HTTP 403 or API error 4002: the account lacks the administrator's role."""

    reason = "forbidden"


class Unsupported(DeviceError):
    """The device has no (usable) NTP API: HTTP 404, API error 4000, or 4001 for good."""

    reason = "unsupported"


class UnexpectedStatus(DeviceError):
    """An HTTP status with no meaning of its own here, redirects among them."""

    reason = "http_status"


class InvalidResponse(DeviceError):
    """The answer is not what the reference describes."""

    reason = "invalid_response"


class ApiError(DeviceError):
    """The API answered with an error of its own; `subcode` where it gave one."""

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
    """The error that an API error `code` stands for (reference, "General error codes").

    `message` is the device's own wording, used only where the reference has none.
    """
    text = API_ERROR_MEANINGS.get(code) or printable(message or "no message")
    if subcode is not None:
        meaning = SUBCODE_MEANINGS.get(subcode, "not described by the reference")
        text = f"{text}: {meaning} (subCode {subcode})"
    described = f"API error {code}: {text}"
    if code in _CLASS_OF_CODE:
        return _CLASS_OF_CODE[code](described, code)
    return ApiError(described, code, subcode)


class Internal(DeviceError):
    """A fault of ours; its traceback is in the log."""

    reason = "internal"
