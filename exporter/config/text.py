"""From a YAML document to a tree of mappings, lists and texts.

Every scalar stays the text that stands in the file: what a key's value means is the model's to
say, so that a label `0123` or a password `1e5` is what was written. Nothing (`key:`, `~`,
`null`) counts as not written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import yaml

Tree = dict[str, Any] | list[Any] | str | None

_VARIABLE: Final = re.compile(r"\$(?:\$|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}|(?P<broken>\{))")


class NotYaml(ValueError):
    """A document that is not YAML or gives a key twice; `str()` says where and what."""


# libyaml reads the file of a big fleet ten times faster; PyYAML may come without it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _TextLoader(_Loader):  # type: ignore[misc]
    """Resolves null and merge keys only; refuses a key that is given twice."""

    def construct_mapping(self, node: yaml.MappingNode, *, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key.value, str) and key.value in seen:
                problem = f"{key.value!r} is given twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add(str(key.value))
        return cast("dict[Any, Any]", super().construct_mapping(node, deep=deep))


_TextLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.endswith((":null", ":merge"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_yaml(document: str, *, keep_nulls: bool = False) -> Tree:
    """The tree of a YAML (or JSON) document; `keep_nulls` where nothing is not as good as absent.

    Raises `NotYaml`.
    """
    try:
        tree = yaml.load(document, _TextLoader)  # noqa: S506 - a SafeLoader
        return _with_text_keys(tree, keep_nulls=keep_nulls)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise NotYaml(f"{where}{problem.problem}") from None
    except (yaml.YAMLError, RecursionError) as problem:
        raise NotYaml(f"not YAML: {problem}") from None


def _with_text_keys(tree: Tree, *, keep_nulls: bool) -> Tree:
    if isinstance(tree, dict):
        return {
            str(key): _with_text_keys(value, keep_nulls=keep_nulls)
            for key, value in tree.items()
            if keep_nulls or value is not None
        }
    if isinstance(tree, list):
        return [_with_text_keys(value, keep_nulls=keep_nulls) for value in tree]
    return tree


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
