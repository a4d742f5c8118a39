"""Inputs for a target: its seeds, changed in some places, and any bytes. For hypothesis."""

import itertools
import re
import time
from collections.abc import Iterable
from typing import Final

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.seeds import MARKUP
from tests.fuzz.target import FuzzTarget

LONGEST_INPUT: Final = 4096

_ROUND: Final = 100

_NASTY: Final = (
    *(
        b"\0",
        b"\n",
        b"\r\n",
        b"\t",
        b" ",
        b'"',
        b"'",
        b"\\",
        b"%",
        b"{",
        b"[",
        b",",
        b":",
        b"=",
        b";",
    ),
    *(
        b"\xff",
        b"\xef\xbb\xbf",
        b"\x1b[31m",
        b"-1",
        b"0",
        b"1e999",
        b"9" * 30,
        b"null",
        b"<<",
        MARKUP,
    ),
    *(text.encode() for text in ("\x85", "\u2028", "\u202e", "\ufeff", "İ", "ß", "\u0660", "😀")),
)
"""What parsers often get wrong."""


def words(seeds: Iterable[bytes]) -> list[bytes]:
    """Return the words of the seeds, and other pieces to insert."""
    found = {word for seed in seeds for word in re.findall(rb"[\w.+/-]{2,40}", seed)}
    return sorted({*found, *_NASTY})


def inputs(target: FuzzTarget) -> st.SearchStrategy[bytes]:
    """Return a strategy for the inputs of a target."""
    piece = st.sampled_from(words(target.seeds)) | st.binary(max_size=8)
    # Where, in thousandths of the length; how many bytes to take out; what to put in.
    edit = st.tuples(st.integers(0, 1000), st.integers(0, 30) | st.just(1000), piece)
    edited = st.builds(_edited, st.sampled_from(target.seeds), st.lists(edit, max_size=8))
    return edited | st.lists(piece, max_size=40).map(b"".join) | st.binary(max_size=300)


def _edited(text: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for place, removed, inserted in edits:
        start = len(text) * place // 1000
        text = text[:start] + inserted + text[start + removed :]
    return text[:LONGEST_INPUT]


def fuzz_with_hypothesis(target: FuzzTarget, seconds: float, first_seed: int) -> int:
    """Check inputs for so many seconds, and return how many. Raises `AssertionError`.

    The same seed gives the same inputs. A failing one is printed, to become a row of
    tests/fuzz/found.py.
    """
    count, end = 0, time.monotonic() + seconds

    @settings(
        max_examples=_ROUND,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(target))
    def check(data: bytes) -> None:
        nonlocal count
        count += 1
        target.check(data)

    for number in itertools.count(first_seed):
        if time.monotonic() >= end:
            break
        seed(number)(check)()
    return count
