"""The recipes of docs/recipes.md: their sections and code blocks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

PAGE: Final = Path(__file__).parents[2] / "docs/recipes.md"
_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Section(NamedTuple):
    """A heading of the page, and the code blocks below it by language."""

    heading: str
    blocks: dict[str, str]


class Step(NamedTuple):
    """A command of a `console` block and what it prints."""

    command: str
    output: str


def sections() -> dict[str, Section]:
    """Return the sections by heading. Raises `AssertionError` if one has two blocks of a kind."""
    _, *texts = re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    found = {}
    for text in texts:
        heading, _, body = text.partition("\n")
        blocks = _BLOCK.findall(body)
        assert body.count("```") == 2 * len(blocks), f"{heading}: a block without a language"
        assert len(dict(blocks)) == len(blocks), f"{heading}: two blocks of a language"
        found[heading] = Section(heading, dict(blocks))
    return found


def steps(console: str) -> list[Step]:
    """Return the commands of a `console` block with what they print."""
    _, *parts = re.split(r"^\$ ", console, flags=re.MULTILINE)
    return [Step(*part.split("\n", 1)) for part in parts]
