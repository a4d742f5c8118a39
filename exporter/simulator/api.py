"""ntp.cgi: JSON requests and responses (reference: "API specifications"). No I/O."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from exporter.simulator.ntp_client import SimulatedNtpClient
from exporter.simulator.parameters import InvalidParameterError

MAXIMUM_BODY_BYTES = 65_536
"""A longer request gets error 2001. The reference gives no limit."""

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
    """An API error: its code, and for 4004 the sub code of the parameter."""

    def __init__(self, code: int, sub_code: int | None = None) -> None:
        super().__init__(code, sub_code)
        self.code = code
        self.sub_code = sub_code


@dataclass(frozen=True, slots=True)
class Call:
    """A parsed API request. `echo` holds what the response repeats: context and method."""

    method: str
    version: object
    parameters: object
    echo: dict[str, object]


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """HTTP status, JSON document, and the requested method (None if it could not be read)."""

    status: int
    document: dict[str, object]
    method: str | None


CallHook = Callable[[Call], None]
"""Called before a method is carried out; may raise ApiFault."""


class NtpApi:
    """ntp.cgi of one device.

    The response has the highest supported version of the requested major version, unless the
    request asks for a higher one. With `strict_versions`, only the listed versions are accepted.
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
        # The reference doesn't say which parameters are required; a test can set them here.
        self.required_parameters: frozenset[str] = frozenset()

    def answer(
        self, body: bytes, content_type: str | None, host_nanoseconds: int, hook: CallHook
    ) -> ApiAnswer:
        """Carry out one request, read at that host time; return API errors as answers too."""
        call: Call | None = None
        version = _highest(self.versions)
        try:
            call = _parse(body, content_type)
            version = self._negotiate(call)
            hook(call)
            data = self._carry_out(call, host_nanoseconds)
        except ApiFault as error:
            echo = call.echo if call else {}
            document = {"apiVersion": version, **echo, "error": _error_document(error)}
            status = 500 if error.code == INTERNAL_ERROR else 200
            return ApiAnswer(status, document, call.method if call else None)
        return ApiAnswer(200, {"apiVersion": version, **call.echo, "data": data}, call.method)

    def _negotiate(self, call: Call) -> str:
        """Return the version to answer with; getSupportedVersions works without a version."""
        if call.method == GET_VERSIONS:
            return _highest(self.versions)
        if call.version is None:
            raise ApiFault(MISSING_PARAMETER)
        if call.version in self.versions and self.strict_versions:
            return str(call.version)
        if self.strict_versions:
            raise ApiFault(UNSUPPORTED_VERSION)
        if (requested := _parse_version(call.version)) is None:
            raise ApiFault(UNSUPPORTED_VERSION)
        # Minor versions only add to the API.
        major, minor = requested
        compatible = [
            version
            for version in self.versions
            if (known := _parse_version(version)) and known[0] == major and known[1] >= minor
        ]
        if not compatible:
            raise ApiFault(UNSUPPORTED_VERSION)
        return _highest(tuple(compatible))

    def _carry_out(self, call: Call, host_nanoseconds: int) -> dict[str, object]:
        if call.method == GET_INFO:
            return self._info(host_nanoseconds)
        if call.method == GET_VERSIONS:
            return {"apiVersions": list(self.versions)}
        if call.method == SET_CONFIGURATION:
            return self._configure(call.parameters, host_nanoseconds)
        raise ApiFault(NO_SUCH_METHOD)

    def _info(self, host_nanoseconds: int) -> dict[str, object]:
        """Return the data of getNTPInfo: a client and a server section, if the device has them."""
        data: dict[str, object] = {}
        if self.has_client_section:
            section = self.client.section(host_nanoseconds)
            data["client"] = _with_string_booleans(section) if self.string_booleans else section
        if self.server_section is not None:
            data["server"] = self.server_section
        return data

    def _configure(self, parameters: object, host_nanoseconds: int) -> dict[str, object]:
        """Return the data of setNTPClientConfiguration (empty); raise error 4003 or 4004."""
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
    """Parse a request; check its content type, then its size, its JSON and its structure."""
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


def _error_document(error: ApiFault) -> dict[str, object]:
    document: dict[str, object] = {"code": error.code, "message": MESSAGES[error.code]}
    if error.sub_code is not None:
        document["details"] = {"subCode": error.sub_code}
    return document


def _parse_version(version: object) -> tuple[int, int] | None:
    """Parse "<major>.<minor>"; return None for anything else."""
    major, _, minor = version.partition(".") if isinstance(version, str) else ("", "", "")
    if not (major.isdecimal() and minor.isdecimal()):
        return None
    return int(major), int(minor)


def _highest(versions: tuple[str, ...]) -> str:
    return max(versions, key=lambda version: _parse_version(version) or (0, 0))


def _with_string_booleans(section: dict[str, object]) -> dict[str, object]:
    """Replace booleans with "true" and "false", as in the reference's first example."""
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in section.items()
    }
