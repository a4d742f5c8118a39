"""The config file: its schema, its loader, its errors and the files that it names."""

from exporter.config.errors import ConfigError
from exporter.config.loader import dump_redacted, load_config, parse_config
from exporter.config.schema import (
    Config,
    DeviceConfig,
    Expect,
    ModuleConfig,
    ThresholdPair,
    Thresholds,
    TimeServersConfig,
)

__all__ = [
    "Config",
    "ConfigError",
    "DeviceConfig",
    "Expect",
    "ModuleConfig",
    "ThresholdPair",
    "Thresholds",
    "TimeServersConfig",
    "dump_redacted",
    "load_config",
    "parse_config",
]
