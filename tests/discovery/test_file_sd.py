"""File discovery: which files a pattern matches, what is read, and a read that hangs."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest

from exporter.config.schema import FileSdConfig
from exporter.discovery import target_groups
from exporter.discovery.file_sd import (
    FileSD,
    find_files,
    matches,
)
from exporter.discovery.target_groups import RefreshFailed, RefreshResult
from exporter.system.files import MAX_FILE_BYTES
from exporter.system.threads import HungCallGuard

HANGING_CALL = """
import asyncio, threading
from exporter.discovery.file_sd import HungCallGuard

async def main():
    try:
        await HungCallGuard(threading.Event().wait, 0.05).result()
    except TimeoutError:
        print("timed out")

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("a.yaml", ["a.yaml"]),
        ("*.yaml", [".c.yaml", "a.yaml", "b[1].yaml"]),
        ("**.yaml", [".c.yaml", "a.yaml", "b[1].yaml"]),
        ("*.YML", ["d.YML"]),
        ("[^a]*.yaml", [".c.yaml", "b[1].yaml"]),
        ("b.yaml", []),
        ("nowhere/*.yaml", []),
        ("a.yaml/*.yaml", []),
    ],
)
def test_a_pattern_matches_the_same_files_as_in_prometheus(
    pattern: str, found: list[str], tmp_path: Path
) -> None:
    for name in ("a.yaml", "b[1].yaml", ".c.yaml", "d.YML", "e.json"):
        (tmp_path / name).touch()
    files = find_files([tmp_path / pattern])
    assert files == [tmp_path / name for name in found]
    assert all(matches(file, tmp_path / pattern) for file in files)


def test_the_folder_of_a_pattern_is_taken_literally(tmp_path: Path) -> None:
    folder = tmp_path / "a[b]*"
    folder.mkdir()
    (folder / "a.yaml").touch()
    assert find_files([folder / "*.yaml"]) == [folder / "a.yaml"]


def test_a_file_that_two_patterns_match_is_found_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").touch()
    assert len(find_files([tmp_path / "*.yaml", tmp_path / "a.yaml"])) == 1


async def problems_of(file: Path) -> tuple[str, ...]:
    (result,) = await FileSD(FileSdConfig(files=(file,))).refresh()
    assert (result.devices is None) is bool(result.problems)
    return result.problems


async def test_a_pipe_or_device_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.yaml")
    (tmp_path / "link.yaml").symlink_to("p.yaml")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    for name in ("p", "link", "zero"):
        problems = await problems_of(tmp_path / f"{name}.yaml")
        assert problems == ("cannot be read: not a regular file",)


async def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    with file.open("wb") as opened:
        opened.truncate(MAX_FILE_BYTES + 1)
    assert await problems_of(file) == ("cannot be read: larger than 67108864 bytes",)


@pytest.mark.parametrize("suffix", ["yaml", "json"])
async def test_the_error_says_why_a_file_cannot_be_read(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"a.{suffix}"
    file.symlink_to("nowhere")
    assert await problems_of(file) == ("cannot be read: No such file or directory",)
    file.unlink()
    file.write_bytes(b'["\xff"]')
    assert await problems_of(file) == ("is not UTF-8 text",)


async def test_a_read_that_hangs_fails_the_refresh_and_the_patterns_are_the_sources(
    tmp_path: Path,
) -> None:
    files = FileSD(FileSdConfig(files=(tmp_path / "*.json",)), timeout_seconds=0)
    assert files.configured_sources == (("file", str(tmp_path / "*.json")),)
    with pytest.raises(RefreshFailed, match="could not be read within 0 s"):
        await files.refresh()


async def test_relabelling_that_takes_long_is_no_fault_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"targets": ["a"]}]')
    files = FileSD(FileSdConfig(files=(tmp_path / "a.json",)), timeout_seconds=1)
    with target_groups._one_at_a_time:
        refresh = asyncio.create_task(files.refresh())
        while not files._reader.is_busy:
            await asyncio.sleep(0)
        done, _ = await asyncio.wait([refresh], timeout=1.5)
        assert not done
    assert addresses_of(await refresh) == [["a"]]


async def test_a_call_that_hangs_times_out_and_is_not_started_again_until_it_ends() -> None:
    started, go_on = [], Event()

    def call() -> int:
        started.append(1)
        go_on.wait()
        return len(started)

    guard = HungCallGuard(call, 0.05)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await guard.result()
    assert len(started) == 1
    go_on.set()
    assert await guard.result() == 1
    assert await guard.result() == 2


async def test_an_error_of_the_call_is_raised_and_the_next_call_starts_afresh() -> None:
    errors = [OSError("a"), ValueError("b")]

    def call() -> None:
        raise errors.pop(0)

    guard = HungCallGuard(call, 5)
    with pytest.raises(OSError, match="a"):
        await guard.result()
    with pytest.raises(ValueError, match="b"):
        await guard.result()


def test_a_call_that_hangs_does_not_keep_the_process_from_ending() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGING_CALL], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout == "timed out\n"


@pytest.mark.parametrize("suffix", ["yaml", "json"])
async def test_a_byte_order_mark_is_no_part_of_the_text(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"a.{suffix}").write_text("[]", "utf-8-sig")
    assert await problems_of(tmp_path / f"a.{suffix}") == ()


def addresses_of(results: list[RefreshResult]) -> list[list[str] | None]:
    return [
        None if devices is None else [device.address for device in devices]
        for _source, devices, _problems in results
    ]


async def test_a_file_that_is_being_written_is_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    whole = "- targets:\n  - 10.0.0.1\n  - 10.0.0.2\n"
    file.write_text(whole)
    files = FileSD(FileSdConfig(files=(tmp_path / "*.yaml",), refresh_interval=300))
    assert addresses_of(await files.refresh()) == [["10.0.0.1", "10.0.0.2"]]
    assert files.interval_seconds == 300
    for end in (0, 22, 30):  # emptied; one target; one and the beginning of another
        file.write_text(whole[:end])
        assert addresses_of(await files.refresh()) == [["10.0.0.1", "10.0.0.2"]]
        assert files.interval_seconds == 5
    file.write_text(f"{whole}  - 10.0.0.3\n")
    assert addresses_of(await files.refresh()) == [["10.0.0.1", "10.0.0.2"]]
    assert addresses_of(await files.refresh()) == [["10.0.0.1", "10.0.0.2", "10.0.0.3"]]
    assert files.interval_seconds == 300


async def test_a_new_file_that_is_being_written_does_not_hold_up_the_others(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.yaml").write_text("[targets: [10.0.0.1]]")
    files = FileSD(FileSdConfig(files=(tmp_path / "*.yaml",)))
    await files.refresh()
    (tmp_path / "b.yaml").write_text("- targets: [10.0.0.2]")
    assert addresses_of(await files.refresh()) == [["10.0.0.1"]]
    assert addresses_of(await files.refresh()) == [["10.0.0.1"], ["10.0.0.2"]]
    (tmp_path / "b.yaml").unlink()
    assert addresses_of(await files.refresh()) == [["10.0.0.1"]]


@pytest.mark.parametrize("text", ["", "\n", "# to be written\n", "---\n"])
@pytest.mark.parametrize("suffix", ["yaml", "json"])
async def test_an_empty_file_is_a_failure(text: str, suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"a.{suffix}").write_text(text)
    assert await problems_of(tmp_path / f"a.{suffix}")


@pytest.mark.parametrize("suffix", ["yaml", "json"])
@pytest.mark.parametrize("text", ["[]", "null"])
async def test_an_empty_list_has_no_targets(text: str, suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"a.{suffix}").write_text(text)
    assert await problems_of(tmp_path / f"a.{suffix}") == ()
