"""Time made shorter: rules and Alertmanager's config in which every duration is divided."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from exporter.system.durations import parse_duration

_IN_EXPRESSION: Final = re.compile(r"(?P<before>\[|\boffset )(?P<duration>\d+[smhd])\b")
# The one duration that PromQL writes as a number of seconds.
_OVERDUE: Final = re.compile(r"(?P<before>_timestamp_seconds > )(?P<seconds>\d+)\b")


def shorter(duration: str, scale: float) -> str:
    """A duration divided, in whole milliseconds: `5m` by 60 is `5000ms`."""
    return f"{round(parse_duration(duration) * 1000 / scale)}ms"


def scaled_expression(expression: str, scale: float) -> str:
    """PromQL with its ranges, offsets and seconds overdue divided."""
    expression = _IN_EXPRESSION.sub(
        lambda found: found["before"] + shorter(found["duration"], scale), expression
    )
    return _OVERDUE.sub(
        lambda found: f"{found['before']}{int(found['seconds']) / scale:g}", expression
    )


def scaled_rules(rules: Any, scale: float) -> Any:
    """A rule file's content with `for`, `interval` and expressions divided."""
    return _changed(rules, ("for", "interval"), ("expr",), scale)


def scaled_alertmanager(config: Any, scale: float) -> Any:
    """Alertmanager's config with `group_wait`, `group_interval` and `repeat_interval` divided."""
    return _changed(config, ("group_wait", "group_interval", "repeat_interval"), (), scale)


def _changed(
    value: Any, durations: tuple[str, ...], expressions: tuple[str, ...], scale: float
) -> Any:
    changes: dict[str, Callable[[str, float], str]] = dict.fromkeys(durations, shorter)
    changes |= dict.fromkeys(expressions, scaled_expression)
    return _walked(value, lambda key, text: changes[key](text, scale) if key in changes else text)


def _walked(value: Any, change: Callable[[str, str], str], key: str = "") -> Any:
    """The same lists and mappings, each text changed by the key that it stands under."""
    if isinstance(value, dict):
        return {name: _walked(each, change, name) for name, each in value.items()}
    if isinstance(value, list):
        return [_walked(each, change) for each in value]
    return change(key, value) if isinstance(value, str) else value
