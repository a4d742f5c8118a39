"""The config file: how it is written, checked and loaded."""

from exporter.config.expect import Expect
from exporter.config.fields import Secret
from exporter.config.load import load_config, parse_config
from exporter.config.model import Auth, Config, Device, FileSd, Global, HttpSd, Module, Tls
from exporter.config.problems import ConfigError
from exporter.config.shown import config_text

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
