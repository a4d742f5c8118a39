"""The config file: how it is written, checked and loaded."""

from exporter.config.errors import ConfigError
from exporter.config.expect import Expect
from exporter.config.loader import load_config, parse_config
from exporter.config.redacted import config_text
from exporter.config.schema import (
    AuthConfig,
    Config,
    DeviceConfig,
    FileSdConfig,
    GlobalConfig,
    HttpSdConfig,
    ModuleConfig,
    TlsConfig,
)
from exporter.config.types import Secret

__all__ = [
    "AuthConfig",
    "Config",
    "ConfigError",
    "DeviceConfig",
    "Expect",
    "FileSdConfig",
    "GlobalConfig",
    "HttpSdConfig",
    "ModuleConfig",
    "Secret",
    "TlsConfig",
    "config_text",
    "load_config",
    "parse_config",
]
