"""Change a device's NTP configuration (reference, setNTPClientConfiguration).

Separate from `ntp.py`, so that a test can check that the daemon never imports this module.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from exporter.vapix.client import DEFAULT_TIMEOUT_SECONDS, NtpClient
from exporter.vapix.ntp_info import NtpSettings, Reading

SET_CONFIGURATION: Final = "setNTPClientConfiguration"
POLL_EXPONENT_MAX: Final = 24
SERVERS_SOURCES: Final = {"dhcp": "DHCP", "static": "static"}
"""The reference's spelling of the sources, by their names in lower case."""

SPELLINGS: Final = {
    "enabled": "enabled",
    "nts_enabled": "NTSEnabled",
    "servers_source": "serversSource",
    "static_servers": "staticServers",
    "nts_ke_servers": "staticNTSKEServers",
    "nts_ke_ca_certs": "NTSKEServerCACerts",
    "minpoll": "minpoll",
    "maxpoll": "maxpoll",
}
"""The reference's spelling of every parameter that can be set, by its name here."""


class InvalidConfiguration(ValueError):
    """A device would refuse this configuration; `problems` lists the reasons, one text each."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class NtpClientConfiguration:
    """The parameters to set; those that are `None` are not sent and stay unchanged.

    `servers_source` is `static` or `dhcp` in upper or lower case; `minpoll` and `maxpoll` are
    exponents (log2 of seconds, 0 to 24); an empty list clears the device's list.
    """

    enabled: bool | None = None
    nts_enabled: bool | None = None
    servers_source: str | None = None
    static_servers: tuple[str, ...] | None = None
    nts_ke_servers: tuple[str, ...] | None = None
    nts_ke_ca_certs: tuple[str, ...] | None = None
    minpoll: int | None = None
    maxpoll: int | None = None


def present_configuration(settings: NtpSettings) -> NtpClientConfiguration:
    """Return a device's current configuration; `None` for what it does not report."""
    return NtpClientConfiguration(**{name: getattr(settings, name) for name in SPELLINGS})


def unreadable_parameters(reading: Reading) -> dict[str, str]:
    """Return the parameters whose reported values are invalid, and the problem with each."""
    invalid = dict(reading.invalid_fields)
    return {name: invalid[spelled] for name, spelled in SPELLINGS.items() if spelled in invalid}


async def set_configuration(
    client: NtpClient,
    wanted: NtpClientConfiguration,
    current: NtpSettings,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
) -> None:
    """Check a configuration and send it (reference, setNTPClientConfiguration).

    Raises `InvalidConfiguration` before sending anything, and a `DeviceError` if the call fails;
    API error 4004 names the parameter that the device found invalid.
    """
    check(wanted, current)
    await client.call(SET_CONFIGURATION, encode_params(wanted), timeout_seconds)


def check(wanted: NtpClientConfiguration, current: NtpSettings) -> None:
    """Raise `InvalidConfiguration`, with all problems, for what a device would refuse.

    `current` is the device's current state. It completes a pair of poll exponents of which only
    one is set, and its `static_servers_max` limits the length of both server lists.
    """
    problems = (
        *_source_problems(wanted),
        *_poll_problems(wanted, current),
        *_server_problems(wanted, current.static_servers_max),
    )
    if problems:
        raise InvalidConfiguration(problems)


def encode_params(wanted: NtpClientConfiguration) -> dict[str, Any]:
    """Return the `params` of the request (reference, "Request body syntax")."""
    params = {spelled: getattr(wanted, name) for name, spelled in SPELLINGS.items()}
    if wanted.servers_source is not None:
        params["serversSource"] = SERVERS_SOURCES[wanted.servers_source.lower()]
    return {spelled: value for spelled, value in params.items() if value is not None}


def _source_problems(wanted: NtpClientConfiguration) -> Iterator[str]:
    source = wanted.servers_source
    if source is not None and source.lower() not in SERVERS_SOURCES:
        yield f"servers_source: {source!r} is neither static nor dhcp"


def _poll_problems(wanted: NtpClientConfiguration, current: NtpSettings) -> Iterator[str]:
    for name, exponent in (("minpoll", wanted.minpoll), ("maxpoll", wanted.maxpoll)):
        if exponent is not None and not 0 <= exponent <= POLL_EXPONENT_MAX:
            yield f"{name}: {exponent} is not within 0 to {POLL_EXPONENT_MAX}"
    if wanted.minpoll is None and wanted.maxpoll is None:
        return
    lower = current.minpoll if wanted.minpoll is None else wanted.minpoll
    upper = current.maxpoll if wanted.maxpoll is None else wanted.maxpoll
    if lower is not None and upper is not None and lower > upper:
        yield f"minpoll: {lower} exceeds maxpoll {upper}"


def _server_problems(wanted: NtpClientConfiguration, servers_max: int | None) -> Iterator[str]:
    for name, servers in (
        ("static_servers", wanted.static_servers),
        ("nts_ke_servers", wanted.nts_ke_servers),
    ):
        if servers is None:
            continue
        if servers_max is not None and len(servers) > servers_max:
            yield f"{name}: {len(servers)} servers, but the device supports {servers_max}"
        if any(not server.strip() for server in servers):
            yield f"{name}: a server's name is empty"
