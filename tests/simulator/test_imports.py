import ast
from collections.abc import Iterator
from pathlib import Path

import exporter.simulator


def imported(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield node.module or "."


def test_the_simulator_imports_nothing_else_of_the_exporter() -> None:
    (folder,) = exporter.simulator.__path__
    names = {name for module in Path(folder).glob("*.py") for name in imported(module)}
    ours = {name for name in names if name.split(".")[0] in {"exporter", ""}}
    assert {name for name in ours if not name.startswith("exporter.simulator")} == set()
