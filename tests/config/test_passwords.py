"""No error and no dump of a config shows a password, however it was written."""

import pytest
import yaml

from exporter.config import ConfigError, dump_redacted
from exporter.config.yaml_loader import YamlError
from tests.config.documents import load, problems


def test_no_error_shows_a_password() -> None:
    document = "modules: {a: {auth: {username: [x], password: hunter2, scheme: x}, scheme: y}}"
    assert "hunter2" not in "\n".join(problems(document))
    assert "hunter2" not in "\n".join(problems("modules: {a: {auth: hunter2}}"))
    assert "hunter2" not in "\n".join(problems("modules: {a: {auth: {password: [hunter2]}}}"))


INDICATORS = [*"-?:,[]{}#&*!|>'\"%@`<=~.\\$", "!!", "!<", "${", "<<", "&a *"]


MISTAKES = (
    "{0}",
    " {0}",
    "\n{0}",
    "{0}: y",
    "{0}: [",
    "{0}!y",
    "{0}>",
    "{0}, {0}}}",
    "{0}: 1, {0}: 2}}",
    "!{0}",
    "\\{0}",
    "{0}'",
)


def everything_shown_for(document: str) -> str:
    try:
        config = load(document)
    except (YamlError, ConfigError) as problem:
        return str(problem)
    return f"{config!r} {dump_redacted(config)}"


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
@pytest.mark.parametrize("first", INDICATORS)
def test_no_error_shows_an_unquoted_password(
    first: str, loader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yaml, "CSafeLoader", getattr(yaml, loader), raising=False)
    for rest in MISTAKES:
        password = first + rest.format("Sesam77x")
        document = f"modules:\n  m:\n    auth:\n      username: a\n      password: {password}\n"
        assert "Sesam77x" not in everything_shown_for(document)


def test_a_loaded_config_does_not_show_its_password() -> None:
    config = load("modules: {default: {auth: {username: root, password: hunter2}}}")
    assert "hunter2" not in f"{config!r} {config}"
    assert "hunter2" not in str(config.model_dump())
    assert "hunter2" not in config.model_dump_json()
    assert "<secret>" in repr(config)
