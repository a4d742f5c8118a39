"""What one poll of a device yields: SI units, frozen, `None` for what it did not say."""

from __future__ import annotations

from typing import Final, NamedTuple

SOURCE_STATIC = "static"
SOURCE_ADVERTISED = "advertised"
SOURCE_NTS_KE = "nts_ke"


_SETTINGS: Final = 10
"""So many of the reading's fields, the first, are settings."""


class ServerList(NamedTuple):
    """The servers of one source and whether they are the ones in force."""

    source: str
    servers: tuple[str, ...]
    active: bool


class NtpClientReading(NamedTuple):
    """A device's NTP client.

    `minpoll` and `maxpoll` are NTP's exponents (log2 of seconds), as they are configured;
    `servers_source` is in lower case (`static`, `dhcp`); lists name each server once.
    `offset_seconds` is the result of the last NTP exchange, `None` unless synced.
    """

    enabled: bool | None = None
    nts_enabled: bool | None = None
    servers_source: str | None = None
    static_servers_max: int | None = None
    static_servers: tuple[str, ...] | None = None
    advertised_servers: tuple[str, ...] | None = None
    nts_ke_servers: tuple[str, ...] | None = None
    nts_ke_ca_certs: tuple[str, ...] | None = None
    minpoll: int | None = None
    maxpoll: int | None = None
    synced: bool | None = None
    time_to_next_sync_seconds: float | None = None
    offset_seconds: float | None = None

    @property
    def poll_interval_min_seconds(self) -> float | None:
        """Lower bound of the device's own NTP poll interval, in seconds."""
        return None if self.minpoll is None else 2.0**self.minpoll

    @property
    def poll_interval_max_seconds(self) -> float | None:
        """Upper bound of the device's own NTP poll interval, in seconds."""
        return None if self.maxpoll is None else 2.0**self.maxpoll

    @property
    def active_source(self) -> str | None:
        """Whose servers are in force by the API's rules; `None` where that cannot be told.

        With NTS: the NTS-KE servers. Else by the server source; DHCP falls back to the
        static servers when the lease named none.
        """
        if self.nts_enabled:
            return SOURCE_NTS_KE
        if self.servers_source == "static":
            return SOURCE_STATIC
        if self.servers_source == "dhcp" and self.advertised_servers is not None:
            return SOURCE_ADVERTISED if self.advertised_servers else SOURCE_STATIC
        return None

    @property
    def active_servers(self) -> tuple[str, ...] | None:
        """The servers in force; `None` where that cannot be told."""
        source = self.active_source
        return next((servers for name, servers in self._lists() if name == source), None)

    @property
    def active_server_count(self) -> int | None:
        """How many servers are in force; `None` where that cannot be told."""
        servers = self.active_servers
        return None if servers is None else len(servers)

    @property
    def settings(self) -> tuple[object, ...]:
        """What stays as it is while nobody changes it: all but the state of synchronization."""
        return self[:_SETTINGS]

    def server_lists(self) -> list[ServerList]:
        """The lists that the device reported, the static ones first."""
        active = self.active_source
        return [
            ServerList(source, servers, source == active)
            for source, servers in self._lists()
            if servers is not None
        ]

    def _lists(self) -> tuple[tuple[str, tuple[str, ...] | None], ...]:
        return (
            (SOURCE_STATIC, self.static_servers),
            (SOURCE_ADVERTISED, self.advertised_servers),
            (SOURCE_NTS_KE, self.nts_ke_servers),
        )


class Reading(NamedTuple):
    """A valid answer to getNTPInfo.

    `api_version` is the version the device answered with. `client` is `None` where the
    answer had no client section. `invalid_fields` maps the field of the answer that was left
    out, as the API spells it, to what was wrong with it.
    """

    api_version: str | None
    client: NtpClientReading | None
    server_present: bool
    invalid_fields: tuple[tuple[str, str], ...] = ()
