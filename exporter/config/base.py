"""What all sections of the config file are made of."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

from exporter.config.types import FilePath, Password, Username


class Section(BaseModel):
    """A mapping of a config file, a web-config or a target list; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NullIsUnset(Section):
    """A mapping in which a key without a value counts as absent."""

    null_counts: ClassVar[frozenset[str]] = frozenset()
    """The keys that keep their null."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the file has
        if not isinstance(value, dict):
            return value
        return {k: v for k, v in value.items() if v is not None or k in cls.null_counts}


class AccountConfig(Section):
    """An account. Username and password are each inline or in a file."""

    username: Username | None = None
    username_file: FilePath | None = None
    password: Password | None = None
    password_file: FilePath | None = None
