"""The audit log: complete lines that are on disk when a call returns, or an error."""

import asyncio
import json
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exporter.configure.audit import AuditFailed, open_audit_log, operator
from exporter.devices.device import DeviceTarget
from exporter.vapix.ntp_configuration import NtpClientConfiguration

TARGET = DeviceTarget('lobby "1"\n', "192.0.2.1", {}, 60.0, 10.0)
BEFORE = NtpClientConfiguration(enabled=False, static_servers=("a",))
AFTER = NtpClientConfiguration(enabled=True, static_servers=("a",))
WHO = {"user": "ada"}


def now() -> datetime:
    return datetime(2026, 11, 22, 8, 30, 0, 123_456, tzinfo=UTC)


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


async def test_a_line_has_user_time_device_before_and_after(tmp_path: Path) -> None:
    file = tmp_path / "audit"
    with open_audit_log(file, WHO, now) as audit:
        await audit.append("intended", TARGET, BEFORE, AFTER)
        await audit.append("outcome", TARGET, BEFORE, None, result="uncertain", reason="late")
    nothing = dict.fromkeys(
        ("nts_enabled", "servers_source", "nts_ke_servers", "nts_ke_ca_certs", "minpoll", "maxpoll")
    )
    intended = {
        "time": "2026-11-22T08:30:00.123Z",
        "event": "intended",
        "user": "ada",
        "device": 'lobby "1"\n',
        "address": "192.0.2.1",
        "before": {"enabled": False, "static_servers": ["a"], **nothing},
        "after": {"enabled": True, "static_servers": ["a"], **nothing},
    }
    outcome = {**intended, "event": "outcome", "after": None}
    assert lines(file) == [intended, {**outcome, "result": "uncertain", "reason": "late"}]


async def test_a_line_is_on_disk_before_the_call_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "audit"
    synced = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        synced.append(file.read_text().count("\n"))

    with open_audit_log(file, WHO, now) as audit:
        monkeypatch.setattr(os, "fsync", noted)
        await audit.append("intended", TARGET, BEFORE, AFTER)
        assert synced == [1]


async def test_a_slow_disk_does_not_block_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, reached = asyncio.get_running_loop(), asyncio.Event()

    def slow(_descriptor: int) -> None:
        # Returns only if the loop runs meanwhile.
        asyncio.run_coroutine_threadsafe(_set(reached), loop).result(timeout=10)

    with open_audit_log(tmp_path / "audit", WHO, now) as audit:
        monkeypatch.setattr(os, "fsync", slow)
        await audit.append("intended", TARGET, BEFORE, AFTER)
    assert reached.is_set()


async def _set(event: asyncio.Event) -> None:
    event.set()


async def test_lines_are_appended_to_an_existing_file(tmp_path: Path) -> None:
    file = tmp_path / "audit"
    for _ in range(2):
        with open_audit_log(file, WHO, now) as audit:
            await asyncio.gather(
                *(audit.append("intended", TARGET, BEFORE, AFTER) for _ in range(20))
            )
    assert len(lines(file)) == 40


async def test_an_incomplete_line_does_not_damage_the_next_one(tmp_path: Path) -> None:
    file = tmp_path / "audit"
    file.write_text('{"time": "2026-')
    with open_audit_log(file, WHO, now) as audit:
        await audit.append("intended", TARGET, BEFORE, AFTER)
    cut, whole = file.read_text().splitlines()
    assert cut == '{"time": "2026-'
    assert json.loads(whole)["user"] == "ada"


def opening_fails(path: Path) -> str:
    with pytest.raises(AuditFailed) as caught, open_audit_log(path, WHO, now):
        pass
    return str(caught.value)


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "audit"
    assert opening_fails(missing) == f"{missing}: cannot be opened: No such file or directory"
    assert opening_fails(tmp_path) == f"{tmp_path}: cannot be opened: Is a directory"


def test_an_audit_log_must_be_a_regular_file(tmp_path: Path) -> None:
    device = Path("/dev/full")
    problem = "not a regular file, so the audit log would be lost"
    assert opening_fails(device) == f"{device}: {problem}"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert opening_fails(pipe).startswith(f"{pipe}: cannot be opened: ")
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert opening_fails(pipe) == f"{pipe}: {problem}"
    os.close(reading)


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """Simulate a disk that is full once a file has this size."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize(
    ("room", "problem"), [(0, "File too large"), (20, "the disk is full")], ids=str
)
async def test_a_failed_write_is_an_error_and_the_last_attempt(
    room: int, problem: str, tmp_path: Path
) -> None:
    file = tmp_path / "audit"
    with open_audit_log(file, WHO, now) as audit:
        with files_end_at(room), pytest.raises(AuditFailed) as caught:
            await audit.append("intended", TARGET, BEFORE, AFTER)
        assert str(caught.value) == f"{file}: cannot be written: {problem}"
        with pytest.raises(AuditFailed):
            await audit.append("intended", TARGET, BEFORE, AFTER)
    assert len(file.read_bytes()) == room


def test_the_operator_is_the_account_of_the_process_not_of_the_environment() -> None:
    who = operator({"USER": "mallory", "LOGNAME": "mallory"})
    assert who != {"user": "mallory"}
    assert operator({"SUDO_USER": "ada"}) == {**who, "sudo_user": "ada"}


def test_an_account_without_a_name_is_recorded_by_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_000_123)
    assert operator({}) == {"user": "uid 4000123"}
