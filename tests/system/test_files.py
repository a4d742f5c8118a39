"""Checksums of files."""

from pathlib import Path

from exporter.system.files import digests


def test_an_unreadable_file_or_invalid_name_has_no_digest(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    files = [tmp_path / "a", tmp_path / "b", tmp_path, tmp_path / "c\0.pem"]
    assert [digest is None for digest in digests(files).values()] == [False, True, True, True]
