"""The config file: how it is written, checked and loaded."""

from exporter.config.errors import ConfigError
from exporter.config.expect import Expect
from exporter.config.loader import load_config, parse_config
from exporter.config.redacted import config_text
from exporter.config.schema import Auth, Config, Device, FileSd, Global, HttpSd, Module, Tls
from exporter.config.types import Secret

__all__ = [
    "Auth",
    "Config",
    "ConfigError",
    "Device",
    "Expect",
    "FileSd",
    "Global",
    "HttpSd",
    "Module",
    "Secret",
    "Tls",
    "config_text",
    "load_config",
    "parse_config",
]
