"""ntp.cgi's JSON envelope: encode requests, decode responses and errors. Pure; no I/O.

`ntp_info.py` decodes what a device reports, `ntp_configuration.py` encodes what it is sent.
"""

import json
import re
from codecs import BOM_UTF8
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from pydantic_core import from_json

from exporter.vapix.errors import DeviceError, InvalidResponse, NewerApi, Unsupported, api_error

PATH: Final = "/axis-cgi/ntp.cgi"
GET_INFO: Final = "getNTPInfo"
GET_SUPPORTED_VERSIONS: Final = "getSupportedVersions"

FIRST_API_VERSION: Final = "1.0"
"""The version of the first request: every device of major version 1 accepts it."""

VERSION_NOT_SUPPORTED: Final = 4001

LARGEST_BODY_BYTES: Final = 64 * 1024
_MOST_VERSIONS: Final = 32
_OTHER_KINDS: Final = {
    "HTML, perhaps a login page, not JSON": re.compile(rb"\s*<"),
    "compressed with gzip, which was not asked for": re.compile(rb"\x1f\x8b"),
    "UTF-16 text, not UTF-8": re.compile(rb"\xff\xfe|\xfe\xff"),
    "empty": re.compile(rb"\s*$"),
}
"""What a response may be instead of JSON, by how it starts."""

_LARGEST_ERROR_CODE: Final = 99_999
_API_VERSION: Final = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}")


Redact = Callable[[str], str]
"""Returns a device's text without our secrets."""


class NtpAnswer(NamedTuple):
    """A response without an error: its API version and its `data`."""

    api_version: str | None
    data: dict[str, Any]


def encode_request(
    method: str, api_version: str | None, params: dict[str, Any] | None = None
) -> bytes:
    """Encode the JSON body of a request (reference, "Request body syntax").

    Leaves out `context`: a connection has only one request at a time.
    """
    request = {"method": method, "apiVersion": api_version, "params": params}
    return json.dumps({key: value for key, value in request.items() if value is not None}).encode()


def decode_answer(body: bytes, redact: Redact | None = None) -> NtpAnswer:
    """Decode a response's version and data (reference, "Return value"), its strings redacted.

    Raises the `DeviceError` of the API's error code, or `InvalidResponse` if `body` is not
    what the reference describes.
    """
    document = _decode_object(body, redact)
    if "error" in document:
        raise decode_error(document["error"])
    data = document.get("data")
    if not isinstance(data, dict):
        raise InvalidResponse(f"the response's data is {json_kind(data)}, not an object")
    return NtpAnswer(_valid_version(document.get("apiVersion")), data)


def decode_error(error: object) -> DeviceError:
    """Decode a response's `error` (reference, "Error responses")."""
    if not isinstance(error, dict) or (code := _error_code(error.get("code"))) is None:
        return InvalidResponse("the response's error has no valid code")
    details, message = error.get("details"), error.get("message")
    subcode = _error_code(details.get("subCode")) if isinstance(details, dict) else None
    return api_error(code, message if isinstance(message, str) else None, subcode)


def find_error(body: bytes, redact: Redact | None = None) -> DeviceError | None:
    """Return the API's error in the body of an HTTP 500; `None` if the body is not the API's."""
    try:
        document = _decode_object(body, redact)
    except InvalidResponse:
        return None
    return decode_error(document["error"]) if "error" in document else None


def decode_supported_versions(answer: NtpAnswer) -> tuple[str, ...]:
    """Decode getSupportedVersions; skip what is not a version. Raises `InvalidResponse`."""
    listed = answer.data.get("apiVersions")
    if not isinstance(listed, list):
        raise InvalidResponse(f"the response's apiVersions is {json_kind(listed)}, not a list")
    return tuple(v for v in map(_valid_version, listed[:_MOST_VERSIONS]) if v is not None)


def choose_version(supported: tuple[str, ...]) -> str:
    """Return the highest supported version 1.x. Raises `Unsupported` if there is none."""
    ours = [version for version in supported if version.startswith("1.")]
    if not ours:
        listed = ", ".join(supported) or "none"
        kind = NewerApi if supported else Unsupported
        raise kind(f"the device supports no API version 1.x, only: {listed}", 4001)
    return max(ours, key=lambda version: int(version.partition(".")[2]))


def json_kind(value: object) -> str:
    """Name the JSON type of a decoded value, for error messages."""
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    return "missing or null" if value is None else kinds.get(type(value), "a number")


def _decode_object(body: bytes, redact: Redact | None) -> dict[str, Any]:
    try:
        # A byte order mark may be ignored (RFC 8259 section 8.1). C programs may send the NUL at
        # the end of a string.
        document = from_json(body.removeprefix(BOM_UTF8).rstrip(b"\0"), allow_inf_nan=False)
    except ValueError as problem:
        kind = next((name for name, start in _OTHER_KINDS.items() if start.match(body)), None)
        raise InvalidResponse(f"the response is {kind or f'not JSON: {problem}'}") from None
    if not isinstance(document, dict):
        raise InvalidResponse(f"the response is {json_kind(document)}, not an object")
    redacted: dict[str, Any] = document if redact is None else _redact_strings(document, redact)
    return redacted


def _redact_strings(value: Any, redact: Redact) -> Any:  # noqa: ANN401 - any JSON value
    """Return a decoded value with its strings redacted; keys are never shown."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [_redact_strings(each, redact) for each in value]
    if isinstance(value, dict):
        return {key: _redact_strings(each, redact) for key, each in value.items()}
    return value


def _valid_version(value: object) -> str | None:
    return value if isinstance(value, str) and _API_VERSION.fullmatch(value) else None


def _error_code(value: object) -> int | None:
    # In Python bool is an int; in JSON it is not.
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= _LARGEST_ERROR_CODE else None
