"""ntp.cgi: the JSON that goes in and comes out (reference: "API specifications"). Pure."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from exporter.simulator.ntp_client import SimulatedNtpClient
from exporter.simulator.parameters import InvalidParameterError

MAXIMUM_BODY_BYTES = 65_536
"""A longer request gets error 2001; the reference names no limit."""

MESSAGES = {
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
"""The reference's "General error codes"."""

INTERNAL_ERROR, INVALID_REQUEST, BODY_TOO_LARGE, INVALID_JSON = 1000, 2000, 2001, 3000
NO_SUCH_METHOD, UNSUPPORTED_VERSION, MISSING_PARAMETER, INVALID_PARAMETER = 4000, 4001, 4003, 4004

GET_INFO = "getNTPInfo"
GET_VERSIONS = "getSupportedVersions"
SET_CONFIGURATION = "setNTPClientConfiguration"


class ApiFault(Exception):
    """An error of the API: its code, and for 4004 the sub code of the parameter."""

    def __init__(self, code: int, sub_code: int | None = None) -> None:
        super().__init__(code, sub_code)
        self.code = code
        self.sub_code = sub_code


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the API, parsed. `echo` is what the answer repeats: context and method."""

    method: str
    version: object
    parameters: object
    echo: dict[str, object]


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """HTTP status, JSON document, and the method that was asked for (None if unreadable)."""

    status: int
    document: dict[str, object]
    method: str | None


CallHook = Callable[[Call], None]
"""Looks at a call before it is carried out; may raise ApiError."""


class NtpApi:
    """ntp.cgi of one device.

    A request of any version up to the highest supported one of the same major version is answered
    as that one. With `strict_versions`, only the listed versions are taken.
    """

    __slots__ = (
        "client",
        "has_client_section",
        "required_parameters",
        "server_section",
        "strict_versions",
        "string_booleans",
        "versions",
    )

    def __init__(self, client: SimulatedNtpClient) -> None:
        self.client = client
        self.versions = client.firmware.api_versions
        self.strict_versions = False
        self.has_client_section = True
        self.server_section: dict[str, object] | None = None
        self.string_booleans = False
        # The reference doesn't say which are required; a test that wants some names them here.
        self.required_parameters: frozenset[str] = frozenset()

    def answer(
        self, body: bytes, content_type: str | None, host_nanoseconds: int, hook: CallHook
    ) -> ApiAnswer:
        """Carry out one request read at that host time; errors become answers too."""
        call: Call | None = None
        version = _highest(self.versions)
        try:
            call = _parse(body, content_type)
            version = self._negotiate(call)
            hook(call)
            data = self._perform(call, host_nanoseconds)
        except ApiFault as error:
            echo = call.echo if call else {}
            document = {"apiVersion": version, **echo, "error": _describe(error)}
            status = 500 if error.code == INTERNAL_ERROR else 200
            return ApiAnswer(status, document, call.method if call else None)
        return ApiAnswer(200, {"apiVersion": version, **call.echo, "data": data}, call.method)

    def _negotiate(self, call: Call) -> str:
        """Choose the version to answer as; getSupportedVersions needs none to be named."""
        if call.method == GET_VERSIONS:
            return _highest(self.versions)
        if call.version is None:
            raise ApiFault(MISSING_PARAMETER)
        if call.version in self.versions and self.strict_versions:
            return str(call.version)
        if self.strict_versions:
            raise ApiFault(UNSUPPORTED_VERSION)
        asked = _as_numbers(call.version)
        fitting = [v for v in self.versions if asked and _serves(_as_numbers(v), asked)]
        if not fitting:
            raise ApiFault(UNSUPPORTED_VERSION)
        return _highest(tuple(fitting))

    def _perform(self, call: Call, host_nanoseconds: int) -> dict[str, object]:
        if call.method == GET_INFO:
            return self._info(host_nanoseconds)
        if call.method == GET_VERSIONS:
            return {"apiVersions": list(self.versions)}
        if call.method == SET_CONFIGURATION:
            return self._configure(call.parameters, host_nanoseconds)
        raise ApiFault(NO_SUCH_METHOD)

    def _info(self, host_nanoseconds: int) -> dict[str, object]:
        """Answer getNTPInfo: a client section and a server section, each only if there is one."""
        data: dict[str, object] = {}
        if self.has_client_section:
            section = self.client.section(host_nanoseconds)
            data["client"] = _with_string_booleans(section) if self.string_booleans else section
        if self.server_section is not None:
            data["server"] = self.server_section
        return data

    def _configure(self, parameters: object, host_nanoseconds: int) -> dict[str, object]:
        """Answer setNTPClientConfiguration: empty data, or 4003, or 4004 with a sub code."""
        if parameters is None or parameters == {}:
            raise ApiFault(MISSING_PARAMETER)
        if not isinstance(parameters, dict):
            raise ApiFault(INVALID_PARAMETER)
        if not parameters.keys() >= self.required_parameters:
            raise ApiFault(MISSING_PARAMETER)
        try:
            self.client.configure(parameters, host_nanoseconds)
        except InvalidParameterError as error:
            raise ApiFault(INVALID_PARAMETER, error.sub_code) from None
        return {}


def _parse(body: bytes, content_type: str | None) -> Call:
    """Read a request: its content type first, then its size, then its JSON, then its shape."""
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ApiFault(INVALID_REQUEST)
    if len(body) > MAXIMUM_BODY_BYTES:
        raise ApiFault(BODY_TOO_LARGE)
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise ApiFault(INVALID_JSON) from None
    if not isinstance(document, dict):
        raise ApiFault(INVALID_REQUEST)
    method = document.get("method")
    if not isinstance(method, str):
        raise ApiFault(MISSING_PARAMETER if method is None else INVALID_PARAMETER)
    echo = {name: document[name] for name in ("context", "method") if name in document}
    return Call(method, document.get("apiVersion"), document.get("params"), echo)


def _describe(error: ApiFault) -> dict[str, object]:
    description: dict[str, object] = {"code": error.code, "message": MESSAGES[error.code]}
    if error.sub_code is not None:
        description["details"] = {"subCode": error.sub_code}
    return description


def _as_numbers(version: object) -> tuple[int, int] | None:
    """Read "<major>.<minor>"; None for anything else."""
    major, _, minor = version.partition(".") if isinstance(version, str) else ("", "", "")
    if not (major.isdecimal() and minor.isdecimal()):
        return None
    return int(major), int(minor)


def _serves(supported: tuple[int, int] | None, asked: tuple[int, int]) -> bool:
    """Whether one that speaks `supported` can serve a client of `asked`: minors only add."""
    return supported is not None and supported[0] == asked[0] and supported[1] >= asked[1]


def _highest(versions: tuple[str, ...]) -> str:
    return max(versions, key=lambda version: _as_numbers(version) or (0, 0))


def _with_string_booleans(section: dict[str, object]) -> dict[str, object]:
    """Write booleans as the reference's first example does: "true" and "false"."""
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in section.items()
    }
