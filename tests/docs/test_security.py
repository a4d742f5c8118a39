"""docs/security.md: each promise names the tests that hold it, and they exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
SECURITY: Final = (ROOT / "docs/security.md").read_text("utf-8")
PROMISED: Final = SECURITY.partition("## What is promised")[2].partition("\n## ")[0]
PROMISES: Final = re.findall(r"^\| (?!promise|---)(.+?) \| (.+) \|$", PROMISED, re.MULTILINE)
NAMED: Final = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", SECURITY)


def functions_in(file: str) -> set[str]:
    """The names of a file's test functions."""
    nodes = ast.walk(ast.parse((ROOT / file).read_text("utf-8")))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(("file", "test"), NAMED, ids="::".join)
def test_a_test_that_holds_a_promise_exists(file: str, test: str) -> None:
    assert test in functions_in(file)


@pytest.mark.parametrize(("promise", "held_by"), PROMISES)
def test_every_promise_is_held_by_a_test(promise: str, held_by: str) -> None:
    assert re.fullmatch(r"`tests/[\w/]+\.py::test_\w+`(?:, `tests/[\w/]+\.py::test_\w+`)*", held_by)
    assert not promise.startswith("`tests/")


def test_no_promise_is_missed_by_these_tests() -> None:
    assert len(PROMISES) == PROMISED.count("\n| ") - 2 * PROMISED.count("| promise |")
    assert len(PROMISES) > 20
