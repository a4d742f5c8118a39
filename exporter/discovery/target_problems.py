"""Say what is wrong with targets: one line for all that have the same problem. Pure."""

from typing import Final, NamedTuple

from exporter.system.text import shortened

_MOST_NAMED: Final = 2
"""Targets that a line names; the others are counted."""

_MAX_SHOWN_CHARACTERS: Final = 100
"""How much of a target is shown: enough to find it."""


class Refusal(NamedTuple):
    """Why a target is refused. `of_several`: the same of several targets, if it has other words."""

    problem: str
    of_several: str = ""


class TargetProblems:
    """Collects problems, in the order in which they are first seen."""

    def __init__(self) -> None:
        self._by_kind: dict[str, _Affected] = {}

    def add(self, target: str, refusal: Refusal) -> None:
        """Note a problem of a target."""
        kind = refusal.of_several or refusal.problem
        before = self._by_kind.get(kind, _Affected(0, refusal.problem, ()))
        names = before.names
        # An address with a user name usually has a password, too.
        if "@" not in target and len(names) < _MOST_NAMED:
            names = (*names, target[:_MAX_SHOWN_CHARACTERS])
        self._by_kind[kind] = before._replace(total=before.total + 1, names=names)

    def knows(self, refusal: Refusal) -> bool:
        """Whether another target has the same problem."""
        return (refusal.of_several or refusal.problem) in self._by_kind

    def lines(self) -> tuple[str, ...]:
        """Return a line for each problem."""
        return tuple(
            shortened(affected.line(kind if affected.total > 1 else affected.problem))
            for kind, affected in self._by_kind.items()
        )


class _Affected(NamedTuple):
    """How many targets have a problem, its words for the first, and the names of the first ones."""

    total: int
    problem: str
    names: tuple[str, ...]

    def line(self, problem: str) -> str:
        if self.total == 1:
            return f"target {self.names[0]!r}: {problem}" if self.names else f"a target: {problem}"
        more = ("…",) if self.total > len(self.names) else ()
        named = f" ({', '.join((*self.names, *more))})" if self.names else ""
        return f"{self.total:,} targets{named}: {problem}"
