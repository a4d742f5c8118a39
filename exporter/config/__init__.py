"""The config file: its schema, its loader, its errors and the files that it names."""

from exporter.config.errors import ConfigError
from exporter.config.loader import dump_redacted, load_config, parse_config
from exporter.config.schema import (
    AuthConfig,
    Config,
    DeviceConfig,
    Expect,
    FileSdConfig,
    HttpSdConfig,
    ModuleConfig,
    TlsConfig,
)

__all__ = [
    "AuthConfig",
    "Config",
    "ConfigError",
    "DeviceConfig",
    "Expect",
    "FileSdConfig",
    "HttpSdConfig",
    "ModuleConfig",
    "TlsConfig",
    "dump_redacted",
    "load_config",
    "parse_config",
]
