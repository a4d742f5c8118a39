"""The reading half of ntp.cgi: requests as bytes, answers as values. Pure; no I/O.

The only place, with `ntp_configuration.py`, that knows the API's camelCase.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Annotated, Any, Final, NamedTuple, cast

from annotated_types import Ge, Le, Len, MaxLen
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError, from_json

from exporter.vapix.errors import DeviceError, InvalidResponse, Unsupported, api_error, printable
from exporter.vapix.reading import NtpClientReading, Reading

PATH: Final = "/axis-cgi/ntp.cgi"
GET_INFO: Final = "getNTPInfo"
GET_SUPPORTED_VERSIONS: Final = "getSupportedVersions"

FIRST_API_VERSION: Final = "1.0"
"""What a device is asked with first: every device of major version 1 takes it."""

VERSION_NOT_SUPPORTED: Final = 4001

LARGEST_BODY_BYTES: Final = 64 * 1024
_LONGEST_LIST: Final = 32
_LONGEST_NAME: Final = 255
_LARGEST_ERROR_CODE: Final = 99_999
_API_VERSION: Final = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}")
# Twice the longest poll interval there is, and three centuries.
_LARGEST_SECONDS: Final = 2**25
_LARGEST_OFFSET_MILLISECONDS: Final = 1e13


class NtpAnswer(NamedTuple):
    """An answer without an error: the version it names and its `data`."""

    api_version: str | None
    data: dict[str, Any]


def encode_request(
    method: str, api_version: str | None, params: dict[str, Any] | None = None
) -> bytes:
    """The JSON body of a request (reference, "Request body syntax").

    No `context` is sent: an answer then carries none, and one connection has one request.
    """
    if params is None:
        return _encode_bare(method, api_version)
    return json.dumps(_envelope(method, api_version) | {"params": params}).encode()


@lru_cache(maxsize=64)  # the same few bytes at every poll
def _encode_bare(method: str, api_version: str | None) -> bytes:
    return json.dumps(_envelope(method, api_version)).encode()


def _envelope(method: str, api_version: str | None) -> dict[str, Any]:
    return {"method": method} | ({} if api_version is None else {"apiVersion": api_version})


def decode_answer(body: bytes) -> NtpAnswer:
    """Tell an answer's data from its error (reference, "Return value").

    Raises the `DeviceError` of the API's error code, or `InvalidResponse` if `body` is not
    what the reference describes.
    """
    document = _json_object(body)
    if "error" in document:
        raise decode_error(document["error"])
    data = document.get("data")
    if not isinstance(data, dict):
        raise InvalidResponse(f"the answer's data is {_kind(data)}, not an object")
    return NtpAnswer(_api_version(document.get("apiVersion")), data)


def decode_error(error: object) -> DeviceError:
    """The `DeviceError` that the `error` of an answer stands for."""
    code = error.get("code") if isinstance(error, dict) else None
    if not isinstance(error, dict) or not _is_error_code(code):
        return InvalidResponse("the answer's error has no valid code")
    details = error.get("details")
    subcode = details.get("subCode") if isinstance(details, dict) else None
    message = error.get("message")
    return api_error(
        cast("int", code),
        message if isinstance(message, str) else None,
        cast("int", subcode) if _is_error_code(subcode) else None,
    )


def find_error(body: bytes) -> DeviceError | None:
    """The error in a body that came with HTTP 500; `None` if it is not the API that speaks."""
    try:
        document = _json_object(body)
    except InvalidResponse:
        return None
    return decode_error(document["error"]) if "error" in document else None


def decode_info(answer: NtpAnswer) -> Reading:
    """What getNTPInfo says; a field of the wrong type or out of its range is left out.

    Raises `InvalidResponse` for a `client` section that is no object and for an answer of
    another major version than 1.
    """
    if answer.api_version is not None and not answer.api_version.startswith("1."):
        raise InvalidResponse(f"answered in API version {answer.api_version}, not 1.x")
    section = answer.data.get("client", {})
    if not isinstance(section, dict):
        raise InvalidResponse(f"the answer's client section is {_kind(section)}, not an object")
    client, invalid = _decode_client(section)
    return Reading(
        api_version=answer.api_version,
        client=client if "client" in answer.data else None,
        server_present="server" in answer.data,
        invalid_fields=invalid,
    )


def decode_supported_versions(answer: NtpAnswer) -> tuple[str, ...]:
    """What getSupportedVersions says, without what is no version. Raises `InvalidResponse`."""
    listed = answer.data.get("apiVersions")
    if not isinstance(listed, list):
        raise InvalidResponse(f"the answer's apiVersions is {_kind(listed)}, not a list")
    return tuple(v for v in map(_api_version, listed[:_LONGEST_LIST]) if v is not None)


def best_version(supported: tuple[str, ...]) -> str:
    """The highest supported version of major 1. Raises `Unsupported` where there is none."""
    ours = [version for version in supported if version.startswith("1.")]
    if not ours:
        raise Unsupported(
            f"the device supports no API version 1.x, only: {', '.join(supported) or 'none'}", 4001
        )
    return max(ours, key=lambda version: int(version.partition(".")[2]))


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        document = from_json(body, allow_inf_nan=False)
    except ValueError as problem:
        raise InvalidResponse(f"the answer is not JSON: {problem}") from None
    if not isinstance(document, dict):
        raise InvalidResponse(f"the answer is {_kind(document)}, not an object")
    return document


def _api_version(value: object) -> str | None:
    return value if isinstance(value, str) and _API_VERSION.fullmatch(value) else None


def _is_error_code(code: object) -> bool:
    # bool is an int to Python, not to JSON.
    return type(code) is int and 0 <= code <= _LARGEST_ERROR_CODE


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "a boolean"}
    return "missing or null" if value is None else kinds.get(type(value), "a number")


def _from_text(value: object) -> object:
    # The reference's own example says "NTSEnabled": "false".
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


def _require_printable(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError("printable", "Text should be printable")
    return text


@lru_cache(maxsize=256)  # most devices of a fleet list the same few, at every poll
def _listed_once(names: tuple[str, ...]) -> tuple[str, ...]:
    _require_printable("".join(names))
    # [""] is how a list is cleared: so the reference has it for the method that sets.
    return tuple(dict.fromkeys([name for name in names if name.strip()]))


_Flag = Annotated[bool, BeforeValidator(_from_text)]
_Name = Annotated[str, MaxLen(_LONGEST_NAME)]
# Not strict: JSON has lists where Python's frozen data has tuples.
_Names = Annotated[
    tuple[_Name, ...],
    Field(strict=False),
    Len(0, _LONGEST_LIST),
    AfterValidator(_listed_once),
]
_PollExponent = Annotated[int, Ge(0), Le(24)]


class _Client(BaseModel):
    """`data.client` as the wire has it; strict, so that a number is never read from a text."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)

    enabled: _Flag | None = None
    nts_enabled: _Flag | None = Field(None, alias="NTSEnabled")
    servers_source: Annotated[_Name, AfterValidator(_require_printable)] | None = Field(
        None, alias="serversSource"
    )
    static_servers_max: Annotated[int, Ge(0), Le(10_000)] | None = Field(
        None, alias="maxSupportedStaticServers"
    )
    static_servers: _Names | None = Field(None, alias="staticServers")
    advertised_servers: _Names | None = Field(None, alias="advertisedServers")
    nts_ke_servers: _Names | None = Field(None, alias="staticNTSKEServers")
    nts_ke_ca_certs: _Names | None = Field(None, alias="NTSKEServerCACerts")
    synced: _Flag | None = None
    time_to_next_sync_seconds: Annotated[float, Ge(0), Le(_LARGEST_SECONDS)] | None = Field(
        None, alias="timeToNextSync"
    )
    offset_milliseconds: (
        Annotated[float, Ge(-_LARGEST_OFFSET_MILLISECONDS), Le(_LARGEST_OFFSET_MILLISECONDS)] | None
    ) = Field(None, alias="timeOffset")
    minpoll: _PollExponent | None = None
    maxpoll: _PollExponent | None = None


def _decode_client(
    section: dict[str, Any],
) -> tuple[NtpClientReading, tuple[tuple[str, str], ...]]:
    try:
        return _client_reading(_Client.model_validate(section)), ()
    except ValidationError as problems:
        invalid = {
            str(problem["loc"][0]): f"{problem['msg']}, not {_quote(problem['input'])}"
            for problem in problems.errors(include_url=False, include_context=False)
        }
    valid = {name: value for name, value in section.items() if name not in invalid}
    return _client_reading(_Client.model_validate(valid)), tuple(invalid.items())


def _quote(value: object) -> str:
    return printable(ascii(value)) if isinstance(value, str | bool | int | float) else _kind(value)


def _client_reading(client: _Client) -> NtpClientReading:
    offset = client.offset_milliseconds
    source = client.servers_source
    return NtpClientReading(
        enabled=client.enabled,
        nts_enabled=client.nts_enabled,
        servers_source=None if source is None else source.strip().lower(),
        static_servers_max=client.static_servers_max,
        static_servers=client.static_servers,
        advertised_servers=client.advertised_servers,
        nts_ke_servers=client.nts_ke_servers,
        nts_ke_ca_certs=client.nts_ke_ca_certs,
        synced=client.synced,
        time_to_next_sync_seconds=client.time_to_next_sync_seconds,
        # "Only used if synced is set to true": an unsynced device says 0.0, no perfect clock.
        offset_seconds=offset / 1000 if client.synced and offset is not None else None,
        minpoll=client.minpoll,
        maxpoll=client.maxpoll,
    )
