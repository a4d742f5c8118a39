"""Files are compared by their contents."""

from pathlib import Path

from exporter.system.files import FileWatcher, digests


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
        assert await watcher.has_changed()
        assert not await watcher.has_changed()
    file.write_text("x")
    assert await watcher.has_changed()


async def test_a_watcher_detects_a_change_made_before_it_was_created(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("x")
    before = digests([file])
    file.write_text("y")
    assert await FileWatcher(lambda: [file], before).has_changed()


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
    assert await watcher.has_changed()
    files.pop()
    assert not await watcher.has_changed()
