"""What every mapping of a config, a web-config or a target list has in common."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator


class Section(BaseModel):
    """A mapping of the config file: unknown keys are errors, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NullIsUnset(Section):
    """A mapping in which a key with nothing behind it is as good as absent."""

    null_counts: ClassVar[frozenset[str]] = frozenset()
    """The keys for which it is not."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:  # noqa: ANN401 - whatever stands in the file
        if not isinstance(value, dict):
            return value
        return {
            key: setting
            for key, setting in value.items()
            if setting is not None or key in cls.null_counts
        }
