"""Configs from text."""

from pathlib import Path

import pytest

from exporter.config import Config, ConfigError, parse_config
from exporter.config.yaml_loader import parse_yaml


def load(document: str, directory: Path = Path(), **environ: str) -> Config:
    return parse_config(parse_yaml(document), environ, directory)


def problems(document: str, directory: Path = Path(), **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(document, directory, **environ)
    return caught.value.problems
