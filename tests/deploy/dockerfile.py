"""The instructions of the Dockerfile by stage, and the files that COPY gets with .dockerignore."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DOCKERFILE: Final = ROOT / "Dockerfile"
DOCKERIGNORE: Final = ROOT / ".dockerignore"

Instruction = tuple[str, str]
"""The keyword and its arguments."""


def _instructions() -> Iterator[Instruction]:
    for line in re.sub(r"\\\n\s*", "", DOCKERFILE.read_text("utf-8")).splitlines():
        if line and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            yield word, rest


INSTRUCTIONS: Final = list(_instructions())


def _stages() -> Iterator[list[Instruction]]:
    starts = [i for i, (word, _) in enumerate(INSTRUCTIONS) if word == "FROM"]
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        yield INSTRUCTIONS[start:end]


BUILD_STAGE, LAST_STAGE = _stages()


def all_of(instruction: str, stage: list[Instruction]) -> list[str]:
    return [rest for word, rest in stage if word == instruction]


def run_lines(stage: list[Instruction]) -> list[str]:
    """Return what the RUN instructions give to the shell: without their mounts."""
    return [re.sub(r"--mount=\S+\s+", "", line) for line in all_of("RUN", stage)]


def mounts(stage: list[Instruction]) -> list[str]:
    return [each for line in all_of("RUN", stage) for each in re.findall(r"--mount=(\S+)", line)]


def commands(stage: list[Instruction]) -> list[list[str]]:
    """Return the commands of a stage as words. Fails for any shell syntax except `&&`."""
    found = []
    for line in run_lines(stage):
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&|<>")
        lexer.whitespace_split = True
        words = list(lexer)
        assert not {word for word in words if set(word) <= set("&|<>")} - {"&&"}, line
        assert "`" not in line
        assert "$(" not in line
        found += [shlex.split(each) for each in line.split(" && ")]
    return found


def is_included(path: str) -> bool:
    """Return whether .dockerignore lets a file through: the last matching line decides."""
    included = True
    for pattern in DOCKERIGNORE.read_text("utf-8").split():
        name = pattern.removeprefix("!")
        assert name == "**" or not re.search(r"[*?\[\\]", name), f"unsupported pattern {pattern!r}"
        if name in {"**", path} or path.startswith(f"{name}/"):
            included = pattern.startswith("!")
    return included


def copy_as_the_build_stage_does(folder: Path) -> None:
    """Copy the files that COPY copies in the build stage. Raises if a source is missing."""
    for line in all_of("COPY", BUILD_STAGE):
        *sources, target = line.split()
        for source in sources:
            _copy(source, folder / target, contents=len(sources) == 1)


def _copy(source: str, target: Path, *, contents: bool) -> None:
    files = [file for file in _files(ROOT / source) if is_included(_name(file))]
    if not files:
        raise FileNotFoundError(f"COPY {source}: no such file gets past .dockerignore")
    for file in files:
        # COPY copies the contents of a folder, and can give a single file another name.
        inside = file.relative_to(ROOT / source) if (ROOT / source).is_dir() else Path()
        copy = target / inside if contents else target / source
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]


def _name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()
