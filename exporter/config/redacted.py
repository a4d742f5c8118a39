"""The config in force, as it may be shown: no secret in it."""

from __future__ import annotations

from typing import Any

import yaml

from exporter.config.schema import Config

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def config_text(config: Config) -> str:
    """The config as YAML, with its defaults; secrets are `<secret>`."""
    document = config.model_dump(mode="json", by_alias=True, exclude_none=True)
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text
