"""From a YAML document to a tree of mappings, lists and texts.

Every scalar stays the text that stands in the file: what a key's value means is the model's to
say, so that a label `0123` or a password `1e5` is what was written. Nothing (`key:`, `~`,
`null`) counts as not written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

import yaml

from exporter.config.yaml_tree import Builder, Mark, Tree, YamlError, events_of

_VARIABLE: Final = re.compile(r"\$(?:\$|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}|(?P<broken>\{))")


_QUOTED: Final = re.compile(r"""(['"]).*\w.*\1""")
"""What PyYAML without libyaml quotes of a document. It may be a part of a password."""


class InvalidYaml(ValueError):
    """A document that is not YAML or gives a key twice; `str()` says where and what."""


def parse_yaml(document: str, *, verbatim: bool = False) -> Tree:
    """The tree of a YAML (or JSON) document.

    With `verbatim` nothing is not as good as absent, nor a quoted `true` as true: it has `None`
    and `Boolean`. Raises `NotYaml`.
    """
    try:
        return Builder(verbatim=verbatim).take_all(events_of(document))
    except YamlError as misfit:
        raise InvalidYaml(f"{_place(misfit.mark)}{misfit}") from None
    except yaml.MarkedYAMLError as problem:
        said = _QUOTED.sub("…", problem.problem or problem.context or "not YAML")
        raise InvalidYaml(f"{_place(problem.problem_mark)}{said}") from None
    except yaml.YAMLError as problem:
        raise InvalidYaml(f"not YAML: {getattr(problem, 'reason', 'cannot be read')}") from None


def _place(mark: Mark | None) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""


def expand_variables(
    tree: Tree, environ: Mapping[str, str], problems: list[tuple[str, str]], path: str = ""
) -> Tree:
    """`tree` with every `${NAME}` replaced from `environ` and every `$$` by a dollar.

    What cannot be replaced is added to `problems` as (path, problem).
    """
    if isinstance(tree, dict):
        return {
            key: expand_variables(value, environ, problems, f"{path}.{key}".lstrip("."))
            for key, value in tree.items()
        }
    if isinstance(tree, list):
        return [
            expand_variables(value, environ, problems, f"{path}[{index}]")
            for index, value in enumerate(tree)
        ]
    if isinstance(tree, str) and "$" in tree:
        problems.extend((path, problem) for problem in _variable_problems(tree, environ))
        return _VARIABLE.sub(lambda found: _replacement(found, environ), tree)
    return tree


def _is_utf8(text: str) -> bool:
    # The environment may hold any bytes; those that are no UTF-8 arrive as lone surrogates.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _replacement(found: re.Match[str], environ: Mapping[str, str]) -> str:
    name = found["name"]
    return "$" if name is None else environ.get(name, "")


def _variable_problems(text: str, environ: Mapping[str, str]) -> Iterator[str]:
    for found in _VARIABLE.finditer(text):
        if found["broken"]:
            yield "${ is not followed by a variable's name and }; a literal ${ is written $${"
        elif found["name"] is not None and found["name"] not in environ:
            yield f"the environment variable {found['name']} is not set"
        elif found["name"] is not None and not _is_utf8(environ[found["name"]]):
            yield f"the environment variable {found['name']} is not UTF-8 text"
