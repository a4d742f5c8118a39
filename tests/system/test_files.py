"""Files are compared by their contents."""

from pathlib import Path
from unittest.mock import MagicMock

import pytest

from exporter.system import files
from exporter.system.files import (
    MAX_FILE_BYTES,
    FileWatcher,
    digests,
    read_regular,
    replace_file,
)


def test_an_unreadable_file_or_invalid_name_has_no_digest(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    files = [tmp_path / "a", tmp_path / "b", tmp_path, tmp_path / "c\0.pem"]
    assert [digest is None for digest in digests(files).values()] == [False, True, True, True]


async def test_a_watcher_notices_content_that_changes_appears_or_vanishes(tmp_path: Path) -> None:
    file = tmp_path / "a"
    watcher = FileWatcher(lambda: [file], digests([file]))
    assert not await watcher.has_changed()
    for change in (lambda: file.write_text("x"), lambda: file.write_text("y"), file.unlink):
        change()
        assert not await watcher.has_changed()
        assert await watcher.has_changed()
        assert not await watcher.has_changed()


async def test_a_file_that_is_being_written_has_not_changed_yet(tmp_path: Path) -> None:
    file = tmp_path / "a"
    watcher = FileWatcher(lambda: [file], digests([file]))
    for part in ("devices:", "devices: [a", "devices: [a, b]"):
        file.write_text(part)
        assert not await watcher.has_changed()
        assert not watcher.is_still
    assert await watcher.has_changed()
    assert watcher.is_still


async def test_a_file_that_changes_and_changes_back_has_not_changed(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("x")
    watcher = FileWatcher(lambda: [file], digests([file]))
    for text in ("y", "x", "x"):
        file.write_text(text)
        assert not await watcher.has_changed()


def test_a_file_without_end_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a"
    with file.open("wb") as opened:
        opened.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(OSError, match=f"larger than {MAX_FILE_BYTES} bytes"):
        read_regular(file)


def test_a_file_that_waits_for_news_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = MagicMock()
    waiting.__enter__.return_value.read.return_value = None  # as /proc/kmsg, which only root reads
    monkeypatch.setattr(files, "open_regular", lambda _file: waiting)
    with pytest.raises(OSError, match="nothing to read"):
        read_regular(Path("kmsg"))


async def test_a_watcher_detects_a_change_made_before_it_was_created(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("x")
    before = digests([file])
    file.write_text("y")
    watcher = FileWatcher(lambda: [file], before)
    assert not await watcher.has_changed()
    assert await watcher.has_changed()


async def test_adding_a_file_to_the_list_or_removing_it_is_not_a_change(
    tmp_path: Path,
) -> None:
    files = [tmp_path / "a"]
    watcher = FileWatcher(lambda: files, {})
    for name in ("a", "b"):
        (tmp_path / name).write_text("x")
    assert not await watcher.has_changed()
    files.append(tmp_path / "b")
    assert not await watcher.has_changed()
    (tmp_path / "b").write_text("y")
    assert not await watcher.has_changed()
    assert await watcher.has_changed()
    files.pop()
    assert not await watcher.has_changed()


def test_a_device_is_written_to_and_not_replaced() -> None:
    with pytest.raises(OSError, match="No space left"):
        replace_file(Path("/dev/full"), "text")
    assert Path("/dev/full").is_char_device()


def test_of_a_link_the_file_is_replaced_that_it_leads_to(tmp_path: Path) -> None:
    link, file = tmp_path / "link", tmp_path / "file"
    link.symlink_to(file)
    for text in ("new", "newer"):
        replace_file(link, text)
        assert (link.is_symlink(), file.read_text()) == (True, text)
