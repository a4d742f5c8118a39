"""Loads configs from text."""

from pathlib import Path

import pytest

from exporter.config import Config, ConfigError, parse_config
from exporter.config.yaml_loader import parse_yaml
from exporter.fleet.client_factory import build_client_factories


def load(document: str, directory: Path = Path(), **environ: str) -> Config:
    return parse_config(parse_yaml(document), environ, directory)


def problems(document: str, directory: Path = Path(), **environ: str) -> list[str]:
    """Returns the problems of a config, or else of the files that its clients need."""
    with pytest.raises(ConfigError) as caught:
        build_client_factories(load(document, directory, **environ).modules, {})
    return caught.value.problems
