"""The config in force, as it may be shown: no secret in it."""

from __future__ import annotations

import yaml

from exporter.config.model import Config


def config_text(config: Config) -> str:
    """The config as YAML, with its defaults; secrets are `<secret>`."""
    document = config.model_dump(mode="json", by_alias=True, exclude_none=True)
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
