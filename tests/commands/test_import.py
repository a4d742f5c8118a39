"""`import` as users run it: the installed command, files, and what it prints."""

import json
from pathlib import Path

import pytest

from exporter.discovery.target_groups import read_groups
from tests.support.command_process import Run, running_command

CSV = "Name,IP address,MAC,Site Name\nlobby,10.0.0.7,00:40:8C:12:34:56,Lund\ngate,,,\n"


async def run_import(folder: Path, *words: str) -> Run:
    async with running_command("import", *words, folder=folder) as run:
        pass
    return run


async def test_the_good_rows_are_written_and_the_others_told(tmp_path: Path) -> None:
    (tmp_path / "cameras.csv").write_text(CSV)
    run = await run_import(tmp_path, "cameras.csv", "--label", "site=Site Name")
    [device], problems = read_groups(run.out.encode(), is_json=False)
    assert problems == ()
    assert (device.address, device.name) == ("10.0.0.7", "lobby")
    assert device.labels == {"serial": "00408C123456", "site": "Lund"}
    assert run.err.splitlines() == [
        "import: cameras.csv: line 3: has no address",
        "import: 1 device",
    ]
    assert run.code == 1


async def test_the_output_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "cameras.csv").write_text("address\n10.0.0.7\n")
    output = tmp_path / "devices.yaml"
    output.write_text("old")
    output.chmod(0o640)
    run = await run_import(tmp_path, "cameras.csv", "--output", "devices.yaml")
    assert (run.code, run.out, run.err) == (0, "", "import: 1 device in devices.yaml\n")
    assert output.read_text() == "- targets: [10.0.0.7]\n  labels: {}\n"
    assert output.stat().st_mode & 0o777 == 0o640
    assert sorted(each.name for each in tmp_path.iterdir()) == ["cameras.csv", "devices.yaml"]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("missing.csv",), "import: missing.csv: cannot be read: No such file or directory"),
        (("models.csv",), "import: models.csv: line 1: has no column of addresses, only 'model'"),
        (("models.csv", "--label", "a-b=model"), "'a-b' is not a label name"),
        (("models.csv", "--label", "site"), "'site' is not LABEL=VALUE"),
    ],
)
async def test_a_file_or_flag_that_cannot_be_used_is_code_2(
    words: tuple[str, ...], problem: str, tmp_path: Path
) -> None:
    (tmp_path / "models.csv").write_text("model\nM1\n")
    run = await run_import(tmp_path, *words)
    assert (run.code, run.out) == (2, "")
    assert problem in run.err


async def test_an_output_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "cameras.csv").write_text("address\n10.0.0.7\n")
    run = await run_import(tmp_path, "cameras.csv", "--output", "no/devices.yaml")
    assert run.code == 1
    assert run.err == "import: no/devices.yaml: cannot be written: there is no folder no\n"


async def test_a_name_with_control_characters_does_not_reach_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "cameras.csv").write_text("name,address\na\x1b[2J,not an address\n")
    run = await run_import(tmp_path, "cameras.csv")
    assert "\x1b" not in run.err
    assert json.dumps(run.out) == '"[]\\n"'
