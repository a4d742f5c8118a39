"""Which files a pattern finds, and what may be read of them."""

import os
from pathlib import Path

import pytest

from exporter.discovery.file_sd import LARGEST_BYTES, UnreadableFile, matches, matching, read_text


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
def test_a_pattern_finds_what_it_finds_for_prometheus(
    pattern: str, found: list[str], tmp_path: Path
) -> None:
    for name in ("a.yaml", "b[1].yaml", ".c.yaml", "d.YML", "e.json"):
        (tmp_path / name).touch()
    files = matching([tmp_path / pattern])
    assert files == [tmp_path / name for name in found]
    assert all(matches(file, tmp_path / pattern) for file in files)


def test_the_folder_is_no_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "a[b]*"
    folder.mkdir()
    (folder / "a.yaml").touch()
    assert matching([folder / "*.yaml"]) == [folder / "a.yaml"]


def test_a_file_of_two_patterns_is_found_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").touch()
    assert len(matching([tmp_path / "*.yaml", tmp_path / "a.yaml"])) == 1


def test_a_pipe_is_no_file_to_wait_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.yaml")
    (tmp_path / "link.yaml").symlink_to("p.yaml")
    for file in (tmp_path / "p.yaml", tmp_path / "link.yaml", Path("/dev/zero")):
        with pytest.raises(UnreadableFile, match=r"^cannot be read: not a regular file$"):
            read_text(file)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    with file.open("wb") as opened:
        opened.truncate(LARGEST_BYTES + 1)
    with pytest.raises(UnreadableFile, match=r"^is larger than 67108864 bytes$"):
        read_text(file)


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"^cannot be read: No such file or directory$"):
        read_text(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_bytes(b"\xff")
    with pytest.raises(UnreadableFile, match=r"^is not UTF-8 text$"):
        read_text(tmp_path / "a.yaml")
