"""A fuzz target, and what every error that a user sees must be."""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from exporter.config.errors import ConfigError

Errors = tuple[type[Exception], ...]

LONGEST_ERROR: Final = 600


class FuzzTarget(NamedTuple):
    """What to do with any bytes.

    `run` checks its result itself. It may raise an error of exactly one of the types `allowed`,
    whose text is one printable line of at most `longest_error` characters. `seeds` are inputs that
    reach much of the code.
    """

    name: str
    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    allowed: Errors = ()
    longest_error: int = LONGEST_ERROR

    def check(self, data: bytes) -> None:
        """Raise `AssertionError`, with the input, if it shows a defect."""
        try:
            self._check(data)
        except Exception as defect:
            raise AssertionError(
                f"fuzz target {self.name!r} fails with {data!r}: {defect!r}; "
                "add this input to FOUND in tests/fuzz/found.py, then fix the defect"
            ) from defect

    def _check(self, data: bytes) -> None:
        try:
            self.run(data)
        except self.allowed as error:
            if type(error) not in self.allowed:
                raise
            for line in error.problems if isinstance(error, ConfigError) else [str(error)]:
                check_text(line, self.longest_error)


def check_text(line: str, longest: int = LONGEST_ERROR) -> None:
    """Raise `AssertionError` unless a text for users is one short line that can be printed."""
    assert line.strip(), "an empty text"
    assert line.isprintable(), f"control characters or lone surrogates: {line!a}"
    assert len(line) <= longest, f"{len(line)} characters: {line[:200]}…"


def check_all(lines: Iterable[str], longest: int = LONGEST_ERROR) -> None:
    """Check each of several texts."""
    for line in lines:
        check_text(line, longest)
