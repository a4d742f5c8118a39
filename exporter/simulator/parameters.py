"""The parameters of setNTPClientConfiguration: how each is checked and what it sets. Pure.

Reference: "setNTPClientConfiguration" and "NTP invalid parameter error sub codes".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_EXPONENT_MAXIMUM = 24
_HOST_MAXIMUM = 255


class InvalidParameterError(Exception):
    """A parameter was refused; `sub_code` is the reference's, None where it has none."""

    def __init__(self, sub_code: int | None) -> None:
        super().__init__(sub_code)
        self.sub_code = sub_code


@dataclass(slots=True)
class Configuration:
    """The configuration of a device's NTP client; poll exponents are log2 of seconds.

    `advertised_servers` come from DHCP and `maximum_static_servers` from the firmware: neither can
    be set over the API.
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

    def servers_in_force(self) -> list[str]:
        """Tell which servers the client uses: NTS, static, or DHCP falling back to static."""
        if self.nts_enabled:
            return self.nts_ke_servers
        if self.servers_source == "static":
            return self.static_servers
        return self.advertised_servers or self.static_servers


def _boolean(value: object, _configuration: Configuration) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _source(value: object, _configuration: Configuration) -> str:
    if value not in ("DHCP", "static"):
        raise ValueError
    return str(value)


def _exponent(value: object, _configuration: Configuration) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    if not 0 <= value <= _EXPONENT_MAXIMUM:
        raise ValueError
    return value


def _names(value: object, _configuration: Configuration) -> list[str]:
    """Take a list of names; [] and [""] both clear it, says the reference."""
    if not isinstance(value, list):
        raise TypeError
    if value in ([], [""]):
        return []
    if not all(isinstance(name, str) and _is_name(name) for name in value):
        raise ValueError
    return list(value)


def _servers(value: object, configuration: Configuration) -> list[str]:
    names = _names(value, configuration)
    if len(names) > configuration.maximum_static_servers:
        raise ValueError
    return names


def _is_name(name: str) -> bool:
    """Whether it could be a server: the field facts call these opaque, so not much is asked."""
    return 0 < len(name) <= _HOST_MAXIMUM and not any(character.isspace() for character in name)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One row: the attribute of `Configuration`, the sub code of its error, and its check."""

    attribute: str
    sub_code: int
    check: Callable[[object, Configuration], object]


PARAMETERS: Mapping[str, Parameter] = {
    "enabled": Parameter("enabled", 1, _boolean),
    "serversSource": Parameter("servers_source", 2, _source),
    "staticServers": Parameter("static_servers", 3, _servers),
    "NTSEnabled": Parameter("nts_enabled", 5, _boolean),
    "staticNTSKEServers": Parameter("nts_ke_servers", 6, _servers),
    "minpoll": Parameter("minpoll", 7, _exponent),
    "maxpoll": Parameter("maxpoll", 8, _exponent),
    "NTSKEServerCACerts": Parameter("nts_ke_ca_certificates", 9, _names),
}
"""Every parameter that can be set, by its name in the API; sub code 4 is nobody's."""


def checked(
    parameters: Mapping[str, object], configuration: Configuration, known: frozenset[str]
) -> dict[str, object]:
    """Check all parameters and give the new values by attribute; nothing is changed yet.

    Raises InvalidParameterError with the sub code of the first bad one in the table's order, or
    without one for a name that is not among the `known`.
    """
    if not parameters.keys() <= known:
        raise InvalidParameterError(None)
    wanted: dict[str, object] = {}
    for name, row in PARAMETERS.items():
        if name in parameters:
            try:
                wanted[row.attribute] = row.check(parameters[name], configuration)
            except (TypeError, ValueError):
                raise InvalidParameterError(row.sub_code) from None
    _check_poll_order(wanted, configuration)
    return wanted


def _check_poll_order(wanted: Mapping[str, object], configuration: Configuration) -> None:
    """Refuse a minpoll above maxpoll; the reference's sentence on it is a misprint.

    It is the fault of the one that was sent; of minpoll if both were.
    """
    minpoll = wanted.get("minpoll", configuration.minpoll)
    maxpoll = wanted.get("maxpoll", configuration.maxpoll)
    if isinstance(minpoll, int) and isinstance(maxpoll, int) and minpoll > maxpoll:
        raise InvalidParameterError(
            PARAMETERS["minpoll" if "minpoll" in wanted else "maxpoll"].sub_code
        )
