"""What the commands say to a user who has no config yet, or writes a URL for an address."""

from pathlib import Path

import pytest

from exporter.cli import COMMANDS
from tests.support.command_process import Run, running_command

ADVICE = (
    "write one with `axis-ntp-exporter init`, or look at simulated devices first with "
    "`axis-ntp-exporter demo`"
)

ONLY = f", only {', '.join(COMMANDS)}\n"


async def run_in(folder: Path, *words: str) -> Run:
    async with running_command(*words, folder=folder) as run:
        pass
    return run


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("run",), 1),
        (("run", "--config.check"), 1),
        (("run", "--config.check", "--offline"), 1),
        (("check",), 2),
        (("check", "--config.file=missing.yaml"), 2),
        (("check", "--config.file=missing.yaml", "192.168.0.90"), 2),
        (("check", "--pin", "--yes"), 2),
        (("check", "--pin", "--yes", "192.168.0.90"), 2),
        (("configure",), 2),
        (("configure", "lobby"), 2),
        (("rules", "--config.file=missing.yaml"), 2),
    ],
    ids=str,
)
async def test_without_a_config_each_command_says_how_to_get_one(
    words: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    run = await run_in(tmp_path, *words)
    file = "missing.yaml" if "missing" in " ".join(words) else "config.yaml"
    assert (run.code, run.out) == (code, "")
    assert f"there is no {file}" in run.err or f"{file}: cannot be read" in run.err
    assert run.err.splitlines()[1:] == [f"To have a config, {ADVICE}."]


async def test_only_a_config_has_a_file_for_pins(tmp_path: Path) -> None:
    assert "--username" not in (await run_in(tmp_path, "check", "--pin", "--yes")).err


async def test_a_mistyped_command_is_refused_with_the_one_that_is_like_it(tmp_path: Path) -> None:
    run = await run_in(tmp_path, "chek")
    assert (run.code, run.out) == (2, "")
    assert run.err == f"axis-ntp-exporter: no command 'chek' (did you mean check?){ONLY}"
    run = await run_in(tmp_path, "zzz\x1b")
    assert run.err == rf"axis-ntp-exporter: no command 'zzz\x1b'{ONLY}"


async def test_a_config_that_exists_needs_no_such_advice(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("devices: [{}]")
    for command in (("run",), ("check",), ("configure",)):
        assert ADVICE not in (await run_in(tmp_path, *command)).err


@pytest.mark.parametrize(
    ("device", "instead"),
    [
        ("http://192.168.0.90", "192.168.0.90 --scheme http"),
        ("HTTP://192.168.0.90:8080/index.html?a=b", "192.168.0.90:8080 --scheme http"),
        ("https://root:s3cret@[2001:db8::1]/", "[2001:db8::1] --scheme https"),
        ("rtsp://192.168.0.90/axis-media", "192.168.0.90"),
    ],
)
@pytest.mark.parametrize("flags", [(), ("--username=root",)], ids=["no flags", "flags"])
async def test_a_url_for_a_device_is_refused_with_what_to_write(
    device: str, instead: str, flags: tuple[str, ...], tmp_path: Path
) -> None:
    run = await run_in(tmp_path, "check", device, *flags)
    assert run.code == 2
    last = run.err.splitlines()[-1]
    assert last == f"check: a DEVICE is an address and no URL: write {instead}"
    assert "s3cret" not in run.err


async def test_with_a_config_a_url_for_a_device_leads_to_the_device(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("devices: [{address: 192.168.0.90}]")
    for command in ("check", "configure"):
        run = await run_in(tmp_path, command, "http://192.168.0.90/")
        assert run.code == 2
        assert run.err.endswith("(did you mean '192.168.0.90'?)\n")


async def test_a_url_in_the_config_is_refused_with_where_the_scheme_belongs(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("devices: [{address: 'http://192.168.0.90'}]")
    run = await run_in(tmp_path, "check")
    assert run.err == (
        "check: config.yaml:1: devices[0].address: is a URL: write host, host:port or [v6]:port "
        "here, and `scheme: http` in its module\n"
    )
