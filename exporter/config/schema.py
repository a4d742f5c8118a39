"""The schema of the config file: every key with its type, its default and its rules.

Validation opens no file: `exporter.config.files` reads the files that a config names.
"""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from annotated_types import Ge, Le, Len, MaxLen
from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)
from yarl import URL

from exporter.config.base import AccountConfig, Section
from exporter.config.http_client import HttpClientConfig
from exporter.config.relabel import RelabelConfig
from exporter.config.tls import DeviceTlsConfig
from exporter.config.types import (
    Address,
    AllowedServer,
    DeviceName,
    DurationSeconds,
    FilePattern,
    Fingerprint,
    HttpUrl,
    Labels,
    QueryIntervalSeconds,
    ServerName,
    TimeServerAddress,
    lower_case,
    redact_url,
)
from exporter.system.addresses import canonical_host, split_address
from exporter.system.text import format_duration
from exporter.vapix.http_auth import Policy
from exporter.vapix.ntp_info import NtpClientReading

DEFAULT_MODULE: Final = "default"

MAX_SERVERS: Final = 32
"""No device has room for more servers, so none could report a longer list."""


class GlobalConfig(Section):
    """`global`: the settings of modules that have none of their own."""

    interval: DurationSeconds = 60.0
    timeout: DurationSeconds = 10.0
    concurrency: Annotated[int, Ge(1)] = 1000


class AuthConfig(AccountConfig):
    """`auth`: the account on the devices."""

    scheme: Policy = "auto"

    @model_validator(mode="after")
    def _is_one_account(self) -> Self:
        if self.username is not None and self.username_file is not None:
            raise ValueError("set username or username_file, not both")
        if self.password is not None and self.password_file is not None:
            raise ValueError("set password or password_file, not both")
        has_username = self.username is not None or self.username_file is not None
        has_password = self.password is not None or self.password_file is not None
        if has_username != has_password:
            raise ValueError("set both username and password")
        return self


class Servers(Section):
    """A list of servers: compared as a set, or in this order if `ordered`.

    The file has a mapping with these keys, or only the list.
    """

    servers: Annotated[tuple[ServerName, ...], MaxLen(MAX_SERVERS)]
    ordered: bool = False

    def match(self, reported: tuple[str, ...] | None) -> bool:
        """Return whether a device reports these servers; `None` never matches."""
        if reported is None:
            return False
        wanted, found = unique_servers(self.servers), [canonical_host(each) for each in reported]
        return [*wanted] == found if self.ordered else wanted.keys() == set(found)

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the file has
        return {"servers": value} if isinstance(value, list) else value


def unique_servers(servers: Iterable[str]) -> dict[str, str]:
    """Return the servers, each once and as first written, by their canonical form."""
    named: dict[str, str] = {}
    for server in servers:
        named.setdefault(canonical_host(server), server)
    return named


PollExponent = Annotated[int, Ge(0), Le(24)]


class Expect(Section):
    """`expect`: the NTP settings that a site wants on its devices. Unset keys are not compared.

    `minpoll` and `maxpoll` are exponents (log2 of seconds), as in the API.
    """

    enabled: bool | None = None
    nts_enabled: bool | None = None
    servers_source: Annotated[Literal["static", "dhcp"], BeforeValidator(lower_case)] | None = None
    static_servers: Servers | None = None
    nts_ke_servers: Servers | None = None
    minpoll: PollExponent | None = None
    maxpoll: PollExponent | None = None

    @property
    def problem(self) -> str | None:
        """Why a device would refuse these settings; `None` if it would not."""
        if self.minpoll is not None and self.maxpoll is not None and self.minpoll > self.maxpoll:
            return f"minpoll {self.minpoll} exceeds maxpoll {self.maxpoll}"
        return None

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.problem:
            raise ValueError(self.problem)
        return self

    def named(self) -> dict[str, Any]:
        """Return the settings that are expected, by their keys."""
        return {name: getattr(self, name) for name in self.model_fields_set}

    def find_mismatches(self, client: NtpClientReading | None) -> tuple[str, ...]:
        """Return the keys of the settings that differ, in alphabetical order.

        A setting that the device does not report differs; without a client section all do.
        """

        def differs(name: str, wanted: object) -> bool:
            reported = None if client is None else getattr(client.settings, name)
            if isinstance(wanted, Servers):
                return not wanted.match(reported)
            return client is None or wanted != reported

        return tuple(name for name, wanted in sorted(self.named().items()) if differs(name, wanted))

    def laid_over(self, under: "Expect") -> "Expect":
        """Return these settings, else those of `under`. The result may have a `problem`."""
        return Expect.model_construct(**(under.named() | self.named()))


class ModuleConfig(Section):
    """`modules.NAME`: how to talk to one kind of device."""

    scheme: Literal["http", "https"] = "https"
    auth: AuthConfig = AuthConfig()
    tls_config: DeviceTlsConfig = Field(default_factory=DeviceTlsConfig)
    interval: DurationSeconds | None = None
    timeout: DurationSeconds | None = None
    clock_only: bool = False
    expect: Expect = Expect()

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.clock_only and self.expect.named():
            raise ValueError("clock_only devices report no settings to compare: remove `expect`")
        if self.scheme == "http" and self.auth.scheme == "basic":
            raise ValueError(
                "auth.scheme basic needs scheme https: plain HTTP would expose the password"
            )
        if self.scheme == "http" and self.tls_config.has_pins:
            raise ValueError("pinned certificates need scheme https: plain HTTP has none")
        return self

    @property
    def needs_https(self) -> bool:
        """Whether no device of it may be asked over plain HTTP."""
        is_verified = self.tls_config.has_anchor or self.auth.scheme == "basic"
        return self.scheme == "https" and is_verified

    @property
    def files(self) -> dict[str, Path]:
        """The files that the module names, by the path of their key."""
        files = {
            "auth.username_file": self.auth.username_file,
            "auth.password_file": self.auth.password_file,
            **self.tls_config.files,
        }
        return {key: file for key, file in files.items() if file is not None}


class DeviceConfig(Section):
    """One entry of `devices`."""

    address: Address
    name: DeviceName | None = None
    module: str = DEFAULT_MODULE
    labels: Labels = Field(default_factory=dict)
    expect: Expect = Expect()
    fingerprint_sha256: Fingerprint | None = None

    @property
    def label(self) -> str:
        """The value of the label `device`."""
        return self.name or self.address

    @property
    def settings_of_its_own(self) -> "TargetSettings":
        """What it has instead of its module's settings."""
        return _NO_SETTINGS


FINGERPRINT_LABEL: Final = "__fingerprint_sha256__"


class TargetSettings(Section):
    """What a discovered target may have instead of its module's settings, by its labels."""

    scheme: Literal["http", "https"] | None = Field(None, alias="__scheme__")
    interval: DurationSeconds | None = Field(None, alias="__scrape_interval__")
    timeout: DurationSeconds | None = Field(None, alias="__scrape_timeout__")
    fingerprint_sha256: Fingerprint | None = Field(None, alias=FINGERPRINT_LABEL)


_NO_SETTINGS: Final = TargetSettings()

SETTING_LABELS: Final = frozenset(
    str(field.alias) for field in TargetSettings.model_fields.values()
)


class TargetConfig(DeviceConfig):
    """A discovered target with settings of its own. Most have none: they would take memory."""

    settings: TargetSettings

    @property
    def settings_of_its_own(self) -> TargetSettings:
        """What it has instead of its module's settings."""
        return self.settings

    @model_serializer(mode="wrap")
    def _as_listed(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Show the settings where a source has them: among the labels."""
        shown: dict[str, Any] = serialize(self)
        settings = shown.pop("settings", {})
        return {**shown, "labels": {**shown.get("labels", {}), **settings}}


class FileSdConfig(Section):
    """One entry of `file_sd_configs`: patterns of files with target groups."""

    files: Annotated[tuple[FilePattern, ...], Len(1)]
    refresh_interval: DurationSeconds = 60.0


class HttpSdConfig(HttpClientConfig):
    """One entry of `http_sd_configs`: a server of target groups, and how to ask it."""

    url: HttpUrl
    refresh_interval: DurationSeconds = 60.0

    def __hash__(self) -> int:
        """Discovery has sections as keys, and the headers in one have no hash."""
        return hash(self.url)

    @model_validator(mode="after")
    def _hides_its_credentials(self) -> Self:
        if self.exposes_credentials(URL(self.url)):
            raise ValueError("credentials need a URL with https: plain HTTP would expose them")
        return self


MAX_TIME_SERVERS: Final = 256


class TimeServersConfig(Section):
    """`time_servers`: the NTP servers that the exporter asks for the time itself.

    `used_by_devices` adds the active servers of devices that are in `allowed`: networks, addresses
    and host names.
    """

    servers: Annotated[tuple[TimeServerAddress, ...], MaxLen(MAX_TIME_SERVERS)] = ()
    used_by_devices: bool = False
    allowed: tuple[AllowedServer, ...] = ()
    interval: QueryIntervalSeconds = 64.0
    timeout: DurationSeconds = 5.0

    @field_validator("servers")
    @classmethod
    def _are_unique(cls, servers: tuple[str, ...]) -> tuple[str, ...]:
        first: dict[tuple[str, int], str] = {}
        for server in servers:
            if (known := first.get(key := time_server_key(server))) is not None:
                raise ValueError(f"{server!r} is the same server as {known!r}")
            first[key] = server
        return servers

    @model_validator(mode="after")
    def _limits_devices(self) -> Self:
        if self.used_by_devices and not self.allowed:
            raise ValueError(
                "used_by_devices needs `allowed`: the networks and names that devices may send "
                "the exporter to"
            )
        return self


NTP_PORT: Final = 123


def time_server_key(address: str) -> tuple[str, int]:
    """Return one spelling of a time server's address: host and port. Raises `ValueError`."""
    host, port = split_address(address)
    return canonical_host(host), port or NTP_PORT


MAX_RELABEL_RULES: Final = 1_000


class ThresholdPair(Section):
    """Offsets above which there is a warning, and above which it is critical; seconds."""

    warning: DurationSeconds
    critical: DurationSeconds

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        if self.warning >= self.critical:
            warning, critical = format_duration(self.warning), format_duration(self.critical)
            raise ValueError(f"warning ({warning}) must be less than critical ({critical})")
        return self


class OffsetThresholds(ThresholdPair):
    """`thresholds.offset`: of the offset that a device reports."""

    warning: DurationSeconds = 0.1
    critical: DurationSeconds = 1.0


SUSPECT_SECONDS: Final = 0.5
"""The clock of the exporter's host is suspect when it is further off, whatever the thresholds."""


class SkewThresholds(ThresholdPair):
    """`thresholds.skew`: of the measured offset, less its uncertainty."""

    warning: DurationSeconds = 0.5
    critical: DurationSeconds = 2.0

    @property
    def host_clock(self) -> float:
        """From where on the clock of this host is suspect: it would make right devices wrong."""
        return min(SUSPECT_SECONDS, self.warning)


class Thresholds(Section):
    """`thresholds`: from which offset on a clock is off. Pages, `check` and `rules` use them."""

    offset: OffsetThresholds = OffsetThresholds()
    skew: SkewThresholds = SkewThresholds()


class Config(Section):
    """The whole file."""

    global_: GlobalConfig = Field(GlobalConfig(), alias="global")
    modules: dict[str, ModuleConfig] = Field(default_factory=dict, validate_default=True)
    devices: tuple[SerializeAsAny[DeviceConfig], ...] = ()
    relabel_configs: Annotated[tuple[RelabelConfig, ...], MaxLen(MAX_RELABEL_RULES)] = ()
    file_sd_configs: tuple[FileSdConfig, ...] = ()
    http_sd_configs: tuple[HttpSdConfig, ...] = ()
    time_servers: TimeServersConfig = TimeServersConfig()
    thresholds: Thresholds = Thresholds()

    @field_validator("http_sd_configs")
    @classmethod
    def _are_different(cls, sections: tuple[HttpSdConfig, ...]) -> tuple[HttpSdConfig, ...]:
        names = [redact_url(section.url) for section in sections]
        if repeated := [name for number, name in enumerate(names) if name in names[:number]]:
            raise ValueError(
                f"{repeated[0]!r} is there twice (secrets do not count): metrics and logs could "
                "not tell them apart; add a parameter such as &list=2 to one"
            )
        return sections

    @field_validator("modules")
    @classmethod
    def _default_exists(cls, modules: dict[str, ModuleConfig]) -> dict[str, ModuleConfig]:
        return modules if DEFAULT_MODULE in modules else {**modules, DEFAULT_MODULE: ModuleConfig()}

    _source: Path | None = PrivateAttr(None)

    @property
    def source(self) -> Path | None:
        """The file that the config was read from."""
        return self._source

    def note_source(self, file: Path) -> None:
        """Remember the file that the config was read from, for the lines of later errors."""
        self._source = file

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that the config names, but lists of targets."""
        of_sources = (each.files.values() for each in self.http_sd_configs)
        return (*self.module_files, *chain.from_iterable(of_sources))

    @property
    def module_files(self) -> tuple[Path, ...]:
        """Every file that a module names."""
        return tuple(file for module in self.modules.values() for file in module.files.values())

    def module(self, name: str) -> ModuleConfig:
        """Return the module called `name`; `default` always exists. Raises `KeyError`."""
        return self.modules[name]

    def expect(self, device: DeviceConfig) -> Expect:
        """Return the expected settings: the device's `expect` laid over its module's."""
        under = self.module(device.module).expect
        return device.expect.laid_over(under) if device.expect.named() else under
