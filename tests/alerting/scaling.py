"""Rules and Alertmanager's config with every duration divided, for short tests."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from exporter.system.text import parse_duration

_IN_EXPRESSION: Final = re.compile(r"(?P<before>\[|\boffset )(?P<duration>\d+[smhd])\b")
# The durations that the rules write as a number of seconds, or of a device's intervals. The day of
# AxisNTPClockDrifting is not one of them: drift is not faster.
_SECONDS: Final = re.compile(
    r"> (?P<seconds>(?<=_timestamp_seconds > )\d+|4096|4(?= \* last_over_time\(\w+_interval_))\b"
)


def shorter(duration: str, scale: float) -> str:
    """Divide a duration; return whole milliseconds: `5m` by 60 is `5000ms`."""
    return f"{round(parse_duration(duration) * 1000 / scale)}ms"


def scaled_expression(expression: str, scale: float) -> str:
    """Divide the ranges, offsets and seconds of a PromQL expression."""
    expression = _IN_EXPRESSION.sub(
        lambda found: found["before"] + shorter(found["duration"], scale), expression
    )
    return _SECONDS.sub(lambda found: f"> {int(found['seconds']) / scale:g}", expression)


def scaled_rules(rules: Any, scale: float) -> Any:
    """Divide `for`, `keep_firing_for`, `interval` and the durations in expressions of a file."""
    return _scaled(rules, ("for", "keep_firing_for", "interval"), ("expr",), scale)


def scaled_alertmanager(config: Any, scale: float) -> Any:
    """Divide `group_wait`, `group_interval` and `repeat_interval` of Alertmanager's config."""
    return _scaled(config, ("group_wait", "group_interval", "repeat_interval"), (), scale)


def _scaled(
    value: Any, durations: tuple[str, ...], expressions: tuple[str, ...], scale: float
) -> Any:
    changes: dict[str, Callable[[str, float], str]] = dict.fromkeys(durations, shorter)
    changes |= dict.fromkeys(expressions, scaled_expression)
    return _map_texts(
        value, lambda key, text: changes[key](text, scale) if key in changes else text
    )


def _map_texts(value: Any, change: Callable[[str, str], str], key: str = "") -> Any:
    """Return the same lists and mappings with `change(key, text)` applied to every text."""
    if isinstance(value, dict):
        return {name: _map_texts(each, change, name) for name, each in value.items()}
    if isinstance(value, list):
        return [_map_texts(each, change) for each in value]
    return change(key, value) if isinstance(value, str) else value
