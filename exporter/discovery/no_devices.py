"""Say why a config has no devices: mostly, a pattern of `file_sd_configs` matches no file. Pure."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from exporter.config import Config
from exporter.discovery.file_sd import file_source, matches
from exporter.discovery.target_groups import Source

_HOW_TO_GET_FILES: Final = "`axis-ntp-exporter find` and `import` write such files"


def explain_no_devices(config: Config, sources: Collection[Source]) -> str:
    """Return why there are none, if the sources of `config` are these, and what to do."""
    if not (config.file_sd_configs or config.http_sd_configs):
        return (
            "the config has neither devices nor sources: list devices under `devices`, or name "
            "their files under `file_sd_configs`"
        )
    missing = describe_patterns_without_files(config, sources)
    return "; ".join(missing) or "the sources list no devices, or `relabel_configs` drops them"


def describe_patterns_without_files(config: Config, sources: Iterable[Source]) -> list[str]:
    """Return a sentence for each pattern of `file_sd_configs` that is none of the sources'."""
    files = [Path(source.name) for source in sources if source.mechanism == "file"]
    patterns = [pattern for section in config.file_sd_configs for pattern in section.files]
    missing = [
        name
        for name in dict.fromkeys(file_source(pattern).name for pattern in patterns)
        if not any(str(file) == name or matches(file, Path(name)) for file in files)
    ]
    return [f"no file matches {name}{_hint(name)}" for name in missing]


def _hint(pattern: str) -> str:
    return "" if pattern.lower().endswith(".json") else f": {_HOW_TO_GET_FILES}"
