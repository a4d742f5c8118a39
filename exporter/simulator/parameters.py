"""The parameters of setNTPClientConfiguration: how each is checked and what it sets. No I/O.

Reference: "setNTPClientConfiguration" and "NTP invalid parameter error sub codes".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_EXPONENT_MAXIMUM = 24
_HOST_MAXIMUM = 255


class InvalidParameterError(Exception):
    """A parameter is invalid; `sub_code` is from the reference, None if it defines none."""

    def __init__(self, sub_code: int | None) -> None:
        super().__init__(sub_code)
        self.sub_code = sub_code


@dataclass(slots=True)
class Configuration:
    """The configuration of a device's NTP client; poll exponents are log2 of seconds.

    `advertised_servers` come from DHCP and `maximum_static_servers` from the firmware: the API
    can't set them.
    """

    enabled: bool = True
    nts_enabled: bool = False
    servers_source: str = "static"
    static_servers: list[str] = field(default_factory=lambda: ["192.0.2.123", "192.0.2.124"])
    advertised_servers: list[str] = field(default_factory=list)
    nts_ke_servers: list[str] = field(default_factory=list)
    nts_ke_ca_certificates: list[str] = field(default_factory=list)
    minpoll: int = 6
    maxpoll: int = 10
    maximum_static_servers: int = 5

    def active_servers(self) -> list[str]:
        """Return the servers that the client uses: NTS, static, or DHCP with static as fallback."""
        if self.nts_enabled:
            return self.nts_ke_servers
        if self.servers_source == "static":
            return self.static_servers
        return self.advertised_servers or self.static_servers


def _check_boolean(value: object, _configuration: Configuration) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _check_source(value: object, _configuration: Configuration) -> str:
    if value not in ("DHCP", "static"):
        raise ValueError
    return str(value)


def _check_exponent(value: object, _configuration: Configuration) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    if not 0 <= value <= _EXPONENT_MAXIMUM:
        raise ValueError
    return value


def _check_names(value: object, _configuration: Configuration) -> list[str]:
    """Check a list of names; by the reference, [] and [""] both clear it."""
    if not isinstance(value, list):
        raise TypeError
    if value in ([], [""]):
        return []
    if not all(isinstance(name, str) and _is_name(name) for name in value):
        raise ValueError
    return list(value)


def _check_servers(value: object, configuration: Configuration) -> list[str]:
    names = _check_names(value, configuration)
    if len(names) > configuration.maximum_static_servers:
        raise ValueError
    return names


def _is_name(name: str) -> bool:
    """Return whether this could be a server: devices accept almost any text."""
    return 0 < len(name) <= _HOST_MAXIMUM and not any(character.isspace() for character in name)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: the attribute of `Configuration`, the sub code of its error, its check."""

    attribute: str
    sub_code: int
    check: Callable[[object, Configuration], object]


PARAMETERS: Mapping[str, Parameter] = {
    "enabled": Parameter("enabled", 1, _check_boolean),
    "serversSource": Parameter("servers_source", 2, _check_source),
    "staticServers": Parameter("static_servers", 3, _check_servers),
    "NTSEnabled": Parameter("nts_enabled", 5, _check_boolean),
    "staticNTSKEServers": Parameter("nts_ke_servers", 6, _check_servers),
    "minpoll": Parameter("minpoll", 7, _check_exponent),
    "maxpoll": Parameter("maxpoll", 8, _check_exponent),
    "NTSKEServerCACerts": Parameter("nts_ke_ca_certificates", 9, _check_names),
}
"""Every parameter that can be set, by its name in the API; no parameter has sub code 4."""


def check_parameters(
    parameters: Mapping[str, object], configuration: Configuration, known: frozenset[str]
) -> dict[str, object]:
    """Check all parameters; return the new values by attribute and change nothing.

    Raises InvalidParameterError with the sub code of the first bad parameter in the table's order,
    or without a sub code for a name that is not in `known`.
    """
    if not parameters.keys() <= known:
        raise InvalidParameterError(None)
    settings: dict[str, object] = {}
    for name, row in PARAMETERS.items():
        if name in parameters:
            try:
                settings[row.attribute] = row.check(parameters[name], configuration)
            except (TypeError, ValueError):
                raise InvalidParameterError(row.sub_code) from None
    _check_poll_order(settings, configuration)
    return settings


def _check_poll_order(settings: Mapping[str, object], configuration: Configuration) -> None:
    """Refuse a minpoll above maxpoll (the reference's sentence about it has a misprint).

    The error names the parameter that was sent, or minpoll if both were.
    """
    minpoll = settings.get("minpoll", configuration.minpoll)
    maxpoll = settings.get("maxpoll", configuration.maxpoll)
    if isinstance(minpoll, int) and isinstance(maxpoll, int) and minpoll > maxpoll:
        raise InvalidParameterError(
            PARAMETERS["minpoll" if "minpoll" in settings else "maxpoll"].sub_code
        )
