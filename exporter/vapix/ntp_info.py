"""The data of getNTPInfo: from the API's JSON to frozen values in SI units. Pure; no I/O.

Reference, "getNTPInfo". Only this module and `ntp_configuration.py` know the API's names.
"""

from functools import lru_cache
from typing import Annotated, Any, Final, NamedTuple, TypeVar

from annotated_types import Ge, Le, MaxLen
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    TypeAdapter,
    ValidationError,
)
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from exporter.vapix.errors import InvalidResponse, NewerApi, printable
from exporter.vapix.ntp import NtpAnswer, json_kind

_LONGEST_LIST: Final = 32
_LONGEST_NAME: Final = 255
_LARGEST_SECONDS: Final = 2**25  # twice the longest possible poll interval
_LARGEST_OFFSET_MILLISECONDS: Final = 1e13  # three centuries

T = TypeVar("T")


def _from_text(value: object) -> object:
    # The reference's own example has "NTSEnabled": "false".
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


def _require_printable(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError("printable", "Text should be printable")
    return text


def _require_short_list(value: object) -> object:
    # Before the entries are validated: 64 KiB of wrong ones would make 30,000 errors, 74 ms' work.
    if isinstance(value, list) and len(value) > _LONGEST_LIST:
        raise PydanticCustomError("too_long", f"List should have at most {_LONGEST_LIST} entries")
    return value


@lru_cache(maxsize=256)  # most devices of a fleet list the same few servers at every poll
def _remove_duplicates(names: tuple[str, ...]) -> tuple[str, ...]:
    _require_printable("".join(names))
    # The reference clears a list with [""].
    return tuple(dict.fromkeys([name for name in names if name.strip()]))


_Flag = Annotated[bool, Strict(), BeforeValidator(_from_text)]
_Name = Annotated[str, Strict(), MaxLen(_LONGEST_NAME)]
_Names = Annotated[
    tuple[_Name, ...],
    BeforeValidator(_require_short_list),
    AfterValidator(_remove_duplicates),
]
_Count = Annotated[int, Strict(), Ge(0), Le(10_000)]
_PollExponent = Annotated[int, Strict(), Ge(0), Le(24)]
_Source = Annotated[
    _Name, AfterValidator(_require_printable), AfterValidator(lambda text: text.strip().lower())
]
_Seconds = Annotated[float, Strict(), Ge(0), Le(_LARGEST_SECONDS), Field(allow_inf_nan=False)]
_Milliseconds = Annotated[
    float,
    Strict(),
    Ge(-_LARGEST_OFFSET_MILLISECONDS),
    Le(_LARGEST_OFFSET_MILLISECONDS),
    Field(allow_inf_nan=False),
]

# Names for our own code, aliases for the device's JSON.
_CONFIG: Final = ConfigDict(validate_by_name=True, validate_by_alias=True)


class ServerList(NamedTuple):
    """The servers of one source; `active` if the device uses them."""

    source: str
    servers: tuple[str, ...]
    active: bool


NTS_KE: Final = "nts_ke"
"""The source of a device's servers with NTS."""


@dataclass(frozen=True, slots=True, config=_CONFIG)
class NtpSettings:
    """How a device's NTP client is configured; `None` for what the device did not report.

    `minpoll` and `maxpoll` are NTP's exponents (log2 of seconds). `servers_source` is in lower
    case (`static`, `dhcp`). Each list names a server once.
    """

    enabled: _Flag | None = None
    nts_enabled: Annotated[_Flag | None, Field(alias="NTSEnabled")] = None
    servers_source: Annotated[_Source | None, Field(alias="serversSource")] = None
    static_servers_max: Annotated[_Count | None, Field(alias="maxSupportedStaticServers")] = None
    static_servers: Annotated[_Names | None, Field(alias="staticServers")] = None
    advertised_servers: Annotated[_Names | None, Field(alias="advertisedServers")] = None
    nts_ke_servers: Annotated[_Names | None, Field(alias="staticNTSKEServers")] = None
    nts_ke_ca_certs: Annotated[_Names | None, Field(alias="NTSKEServerCACerts")] = None
    minpoll: _PollExponent | None = None
    maxpoll: _PollExponent | None = None

    @property
    def poll_interval_min_seconds(self) -> float | None:
        """The lower bound of the device's NTP poll interval, seconds."""
        return None if self.minpoll is None else 2.0**self.minpoll

    @property
    def poll_interval_max_seconds(self) -> float | None:
        """The upper bound of the device's NTP poll interval, seconds."""
        return None if self.maxpoll is None else 2.0**self.maxpoll

    @property
    def active_source(self) -> str | None:
        """The source whose servers the device uses (reference, "serversSource"); `None` if unknown.

        With NTS, the NTS-KE servers. Otherwise by `servers_source`; DHCP falls back to the static
        servers if the lease named none.
        """
        if self.nts_enabled:
            return NTS_KE
        if self.servers_source == "static":
            return "static"
        if self.servers_source == "dhcp" and self.advertised_servers is not None:
            return "advertised" if self.advertised_servers else "static"
        return None

    @property
    def active_servers(self) -> tuple[str, ...] | None:
        """The servers that the device uses; `None` if unknown."""
        return next((each.servers for each in self.server_lists() if each.active), None)

    @property
    def active_server_count(self) -> int | None:
        """The number of servers that the device uses; `None` if unknown."""
        servers = self.active_servers
        return None if servers is None else len(servers)

    def server_lists(self) -> list[ServerList]:
        """Return the lists that the device reported, the static one first."""
        active = self.active_source
        lists = (
            ("static", self.static_servers),
            ("advertised", self.advertised_servers),
            (NTS_KE, self.nts_ke_servers),
        )
        return [
            ServerList(source, servers, source == active)
            for source, servers in lists
            if servers is not None
        ]


@dataclass(frozen=True, slots=True, config=_CONFIG)
class NtpStatus:
    """The state of a device's synchronization; `None` for what the device did not report.

    `last_offset_milliseconds` is the result of the last NTP exchange; 0.0 if there was none.
    """

    synced: _Flag | None = None
    time_to_next_sync_seconds: Annotated[_Seconds | None, Field(alias="timeToNextSync")] = None
    last_offset_milliseconds: Annotated[_Milliseconds | None, Field(alias="timeOffset")] = None

    @property
    def reported_offset_seconds(self) -> float | None:
        """The reported offset; `None` unless synced (reference, "timeOffset")."""
        if not self.synced or self.last_offset_milliseconds is None:
            return None
        return self.last_offset_milliseconds / 1000


class NtpClientReading(NamedTuple):
    """The `client` section: a device's NTP client."""

    settings: NtpSettings = NtpSettings()
    status: NtpStatus = NtpStatus()


class Reading(NamedTuple):
    """A valid answer to getNTPInfo.

    `api_version` is the version of the answer. `client` is `None` if the answer has no client
    section, `server_present` is `None` if the API was not asked (`CLOCK_ONLY`). `invalid_fields`
    pairs each field that was ignored, as the API spells it, with what is wrong with it.
    """

    api_version: str | None
    client: NtpClientReading | None
    server_present: bool | None
    invalid_fields: tuple[tuple[str, str], ...] = ()


CLOCK_ONLY: Final = Reading(None, None, None)
"""The reading of a device whose API is not asked: it only shows its clock."""


def decode_info(answer: NtpAnswer) -> Reading:
    """Decode the data of getNTPInfo; ignore fields of the wrong type or out of range.

    Raises `NewerApi` if the API version's major number is not 1, and `InvalidResponse` if the
    `client` section is not an object.
    """
    if answer.api_version is not None and not answer.api_version.startswith("1."):
        raise NewerApi(f"the response has API version {answer.api_version}, not 1.x")
    section = answer.data.get("client", {})
    if not isinstance(section, dict):
        raise InvalidResponse(
            f"the response's client section is {json_kind(section)}, not an object"
        )
    invalid: dict[str, str] = {}
    client = NtpClientReading(
        _share(_decode(_SETTINGS, section, invalid)), _decode(_STATUS, section, invalid)
    )
    return Reading(
        api_version=answer.api_version,
        client=client if "client" in answer.data else None,
        server_present="server" in answer.data,
        invalid_fields=tuple(invalid.items()),
    )


@lru_cache(maxsize=64)
def _share(settings: NtpSettings) -> NtpSettings:
    """Return the same object for equal settings: most devices of a fleet have the same."""
    return settings


_SETTINGS: Final = TypeAdapter(NtpSettings)
_STATUS: Final = TypeAdapter(NtpStatus)


def _decode(model: TypeAdapter[T], section: dict[str, Any], invalid: dict[str, str]) -> T:
    """Validate a section; describe the fields that it ignores in `invalid`."""
    try:
        return model.validate_python(section, by_alias=True, by_name=False)
    except ValidationError as problems:
        found = {
            str(problem["loc"][0]): f"{problem['msg']}, not {_quote(problem['input'])}"
            for problem in problems.errors(include_url=False, include_context=False)
        }
    invalid |= found
    valid = {name: value for name, value in section.items() if name not in found}
    return model.validate_python(valid, by_alias=True, by_name=False)


def _quote(value: object) -> str:
    if isinstance(value, str | bool | int | float):
        return printable(ascii(value))
    return json_kind(value)
