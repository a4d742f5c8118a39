"""How much of a config is read, and how many of its errors are shown."""

import asyncio
from pathlib import Path

import pytest

from exporter.config import ConfigError, load_config, loader, yaml_loader
from exporter.config.errors import MAX_PROBLEMS
from exporter.config.loader import MAX_PART_VALUES
from exporter.config.types import MAX_SECRET_CHARACTERS
from exporter.system.threads import is_reading, read_files
from exporter.web.web_config.schema import load_web_config
from tests.config.documents import load, problems

MORE = "there are more errors; these are the first 1,000"
VALUES = "has more than 10,000 values, which is the limit"


@pytest.mark.parametrize(
    "document",
    [
        f"devices: [{'{},' * (MAX_PROBLEMS + 1)}]",
        f"devices: [{'{address: a},' * (MAX_PROBLEMS + 2)}]",
        f"devices: [{'{address: a, module: x},' * (MAX_PROBLEMS + 1)}]",
        f"a: {'${UNSET}' * (MAX_PROBLEMS + 1)}",
        "\n".join(f"key{n}: a" for n in range(MAX_PROBLEMS + 1)),
    ],
    ids=lambda document: document[:20],
)
def test_the_first_errors_are_shown_and_the_last_line_says_that_there_are_more(
    document: str,
) -> None:
    found = problems(document)
    assert len(found) == MAX_PROBLEMS + 1
    assert found[-1] == MORE


def test_all_errors_up_to_the_limit_are_shown() -> None:
    found = problems(f"devices: [{'{},' * MAX_PROBLEMS}]")
    assert len(found) == MAX_PROBLEMS
    assert found[-1] == "devices[999].address: is missing"


def test_a_long_value_is_not_quoted_as_a_whole() -> None:
    (found,) = problems(f"global: {{interval: {'1' * 5_000}}}")
    assert found.startswith("global.interval: '1111")
    assert len(found) == 1_001
    assert found.endswith("…")


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ("x: [{values}]", "the config, without its modules and devices, "),
        ("devices: [{{address: a}}, {{address: b, labels: [{values}]}}]", "devices[1]: "),
        ("modules: {{m: {{expect: {{static_servers: [{values}]}}}}}}", "modules.m: "),
    ],
)
def test_a_part_of_a_config_may_have_ten_thousand_values(document: str, path: str) -> None:
    assert problems(document.format(values="a," * MAX_PART_VALUES)) == [f"{path}{VALUES}"]


@pytest.mark.parametrize("entries", ["devices: [{}, {}, {}]", "modules: {a: {}, b: {}, c: {}}"])
def test_the_number_of_devices_and_of_modules_is_limited(
    entries: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "MAX_ENTRIES", 2)
    key = entries.partition(":")[0]
    assert problems(entries) == [f"{key}: has more than 2 entries, which is the limit"]


def test_the_number_of_values_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_loader, "MAX_VALUES", 4)
    load("devices: []")
    with pytest.raises(yaml_loader.YamlError, match=r"^has more than 4 values, which is the limit"):
        load("devices: [a, b]")


def test_the_length_of_passwords_and_usernames_is_limited(tmp_path: Path) -> None:
    long = "x" * (MAX_SECRET_CHARACTERS + 1)
    file = tmp_path / "secret"
    file.write_text(long[1:] + "\n")
    auth = "modules: {{m: {{auth: {{{}}}}}}}".format
    in_files = auth(f"username_file: {file}, password_file: {file}")
    load(in_files)
    file.write_text(long)
    in_file = f"{file} has more than 1,000 characters"
    assert problems(in_files) == [
        f"modules.m.auth.username_file: {in_file}",
        f"modules.m.auth.password_file: {in_file}",
    ]
    inline = "must have at most 1,000 characters"
    assert problems(auth(f"username: {long}, password: {long}")) == [
        f"modules.m.auth.username: {inline}",
        f"modules.m.auth.password: {inline}",
    ]


def test_the_number_of_values_of_a_web_config_is_limited(tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text("\n".join(f"key{n}: a" for n in range(MAX_PART_VALUES + 1)))
    with pytest.raises(ConfigError) as caught:
        load_web_config(file)
    assert caught.value.problems == [f"{file}:1: {VALUES}"]


def test_the_number_of_errors_of_a_web_config_is_limited(tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text("\n".join(f"key{n}: a" for n in range(MAX_PROBLEMS + 1)))
    with pytest.raises(ConfigError) as caught:
        load_web_config(file)
    assert len(caught.value.problems) == MAX_PROBLEMS + 1
    assert caught.value.problems[-1] == f"{file}:1: {MORE}"


async def test_the_time_to_parse_and_validate_does_not_count_as_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: dict[str, bool] = {}

    def note(owner: object, name: str) -> None:
        original = getattr(owner, name)

        def noted(*arguments: object, **options: object) -> object:
            reads[name] = is_reading(task)
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, noted)

    for name in ("parse_yaml", "_cross_problems", "read_regular", "check_files"):
        note(loader, name)
    (tmp_path / "a.yaml").write_text("devices: [7]")
    task = asyncio.create_task(read_files(lambda: load_config(tmp_path / "a.yaml", {})))
    with pytest.raises(ConfigError, match=r"devices\[0\]"):
        await task
    assert reads == {
        "parse_yaml": False,
        "_cross_problems": False,
        "read_regular": True,
        "check_files": True,
    }


@pytest.mark.parametrize("document", ["a: {}", '? "{}"\n: b', "devices: [{{address: {}}}]"])
def test_the_length_of_a_key_or_value_is_limited(document: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(document.format("x" * (yaml_loader.MAX_SCALAR_CHARACTERS + 1)))
    with pytest.raises(ConfigError) as caught:
        load_config(file, {})
    [problem] = caught.value.problems
    assert problem.startswith(f"{file}:1:")
    assert problem.endswith(": a value has more than 1,000,000 characters, which is the limit")
