"""`expect`: the NTP configuration that a site wants of its devices."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from annotated_types import Ge, Le, MaxLen
from pydantic import BeforeValidator, model_validator

from exporter.config.section import Section
from exporter.config.types import ServerName


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


MOST_SERVERS = 32
"""No device has room for more; a longer list is none that it could tell again."""


class Servers(Section):
    """A list of servers: as a set, or in this order if `ordered`. Written as a list, or so."""

    servers: Annotated[tuple[ServerName, ...], MaxLen(MOST_SERVERS)]
    ordered: bool = False

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:  # noqa: ANN401 - whatever stands in the file
        return {"servers": value} if isinstance(value, list) else value


PollExponent = Annotated[int, Ge(0), Le(24)]


class Expect(Section):
    """What is expected of a device; what is not named may be as it is.

    `minpoll` and `maxpoll` are exponents (log2 of seconds), as the API has them.
    """

    enabled: bool | None = None
    nts_enabled: bool | None = None
    servers_source: Annotated[Literal["static", "dhcp"], BeforeValidator(_lower)] | None = None
    static_servers: Servers | None = None
    nts_ke_servers: Servers | None = None
    minpoll: PollExponent | None = None
    maxpoll: PollExponent | None = None

    @property
    def problem(self) -> str | None:
        """Why a device would refuse this; `None` if it would not."""
        if self.minpoll is not None and self.maxpoll is not None and self.minpoll > self.maxpoll:
            return f"minpoll {self.minpoll} exceeds maxpoll {self.maxpoll}"
        return None

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.problem:
            raise ValueError(self.problem)
        return self

    def named(self) -> dict[str, Any]:
        """The parameters that are expected, by their names here."""
        return {name: getattr(self, name) for name in self.model_fields_set}

    def laid_over(self, under: Expect) -> Expect:
        """This one, with what it does not name taken from `under`. May have a `problem`."""
        return Expect.model_construct(**(under.named() | self.named()))
