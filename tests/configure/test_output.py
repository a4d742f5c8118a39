"""The output of `configure`, for any device name and any stream."""

import asyncio
from pathlib import Path

import pytest

from tests.support.command_process import DIFFERENCES, is_new, run_to_end, site
from tests.support.daemon_process import COMMAND


async def test_json_is_the_only_output_on_stdout(tmp_path: Path) -> None:
    async with site(2, tmp_path) as here:
        dry = await here.configure("--json")
        run = await here.configure("--json", "--apply", "--yes")
        labels = here.config["devices"][0]["labels"]
        address = here.served.addresses[0]
    assert dry.documents["sim-00001"] == {
        "device": "sim-00001",
        "address": address,
        "labels": labels,
        "result": "different",
        "reason": None,
        "error": None,
        "differences": DIFFERENCES,
        "differences_left": [],
        "warnings": [],
    }
    assert run.documents["sim-00001"] == {**dry.documents["sim-00001"], "result": "set"}
    assert (dry.code, dry.err, run.code, run.err) == (1, "", 0, "")


FULL = "axis-ntp-exporter: cannot write the output: No space left on device"

ODD_NAMES = ['"quoted" \\ {x}/y %41', "[bold red]markup[/]", "\x1b[2J\nline", "Tür 時計", "-x"]


async def test_devices_with_odd_names_are_selected_and_printed_on_one_line_each(
    tmp_path: Path,
) -> None:
    async with site(len(ODD_NAMES), tmp_path) as here:
        for entry, name in zip(here.config["devices"], ODD_NAMES, strict=True):
            entry["name"] = name
        run = await here.configure("--verbose", "--", *ODD_NAMES)
        documents = (await here.configure("--json", "--", *ODD_NAMES)).documents
    printed = [line for line in run.out.splitlines() if line.endswith(": different")]
    assert [line.rpartition(" (")[0] for line in printed] == [
        '"quoted" \\ {x}/y %41',
        "[bold red]markup[/]",
        r"\x1b[2J\nline",
        "Tür 時計",
        "-x",
    ]
    assert list(documents) == ODD_NAMES


async def test_an_encoding_without_arrows_is_supported(tmp_path: Path) -> None:
    async with site(1, tmp_path) as here:
        run = await here.configure(PYTHONIOENCODING="ascii")
    assert r"maxpoll: 10 \u2192 12" in run.out
    assert run.code == 1


async def test_colors_and_progress_are_for_terminals_only(tmp_path: Path) -> None:
    async with site(1, tmp_path) as here:
        run = await here.configure(FORCE_COLOR="1", TTY_COMPATIBLE="1", TERM="xterm-256color")
    assert "\x1b" not in run.out + run.err
    assert run.err == ""


async def test_a_closed_pipe_causes_no_traceback_and_no_change(tmp_path: Path) -> None:
    async with site(40, tmp_path) as here:
        file = here.write_config()
        words = f"configure --config.file={file} --apply --yes --concurrency=4"
        command = f"{COMMAND} {words} | true; echo ${{PIPESTATUS[0]}}"
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        changed = sum(is_new(device) for device in here.devices)
    assert (out, err) == (b"1\n", b"axis-ntp-exporter: cannot write the output: Broken pipe\n")
    assert changed == 0, "a change that could not be shown is not made"


async def test_devices_that_were_changed_are_named_if_the_output_cannot_be_written(
    tmp_path: Path,
) -> None:
    async with site(3, tmp_path) as here:
        words = f"configure --config.file={here.write_config()} --apply --yes --json sim-00002"
        code, text = await run_to_end("sh", "-c", f"{COMMAND} {words} > /dev/full")
        assert [is_new(device) for device in here.devices] == [False, True, False]
        address = here.served.addresses[1]
    assert code == 1
    assert text.splitlines()[0] == f"sim-00002 ({address}): set"
    assert text.splitlines()[-1] == FULL


async def test_nothing_is_changed_if_it_cannot_be_shown_first(tmp_path: Path) -> None:
    async with site(3, tmp_path) as here:
        words = f"configure --config.file={here.write_config()} --apply --yes"
        end = await run_to_end("sh", "-c", f"{COMMAND} {words} > /dev/full")
        assert not any(is_new(device) for device in here.devices)
    assert end == (1, f"{FULL}\n")


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
async def test_closed_standard_streams_are_supported(closed: str, tmp_path: Path) -> None:
    async with site(1, tmp_path) as here:
        words = [
            str(COMMAND),
            "configure",
            f"--config.file={here.write_config()}",
            "--apply",
            "--yes",
        ]
        words += [f"--audit-log={here.audit_file}"]
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", f'exec "$@" {closed}', "sh", *words
        )
        assert await process.wait() == 0
        assert is_new(here.devices[0])
        assert [line["event"] for line in here.audit] == ["intended", "outcome"]
