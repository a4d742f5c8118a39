"""The installed command as a systemd service: its notifications."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.daemon.series import NOTHING
from tests.support.daemon_process import PATIENCE_SECONDS, daemon_on
from tests.support.notify_socket import READY, STOPPING, WATCHDOG, NotifySocket, notify_socket

RELOADING = "RELOADING=1\nMONOTONIC_USEC="


def under(listening: NotifySocket, watchdog_microseconds: int = 0) -> dict[str, str]:
    """Return the environment that systemd gives a service."""
    return {"NOTIFY_SOCKET": listening.name, "WATCHDOG_USEC": str(watchdog_microseconds)}


async def silence(listening: NotifySocket, seconds: float) -> None:
    """Wait until no notification has come for that long."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            listening.waiting()
            await asyncio.sleep(seconds)
            if not listening.waiting():
                return


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
async def test_systemd_is_notified_of_start_and_stop(
    abstract: bool,  # noqa: FBT001
    tmp_path: Path,
) -> None:
    with notify_socket(tmp_path, abstract=abstract) as listening:
        async with daemon_on(NOTHING, tmp_path, env=under(listening)) as running:
            assert await listening.next() == READY
            assert (await running.get("/-/healthy"))[0] == 200
            assert listening.waiting() == []
            assert await running.stop() == 0
            assert listening.waiting() == [STOPPING]
    assert "service_manager" not in running.text


async def test_the_watchdog_is_notified_except_while_the_daemon_is_stuck(tmp_path: Path) -> None:
    with notify_socket(tmp_path) as listening:
        async with daemon_on(NOTHING, tmp_path, env=under(listening, 100_000)) as running:
            assert await listening.next() == READY
            for _ in range(5):
                assert await listening.next() == WATCHDOG
            running.process.send_signal(signal.SIGSTOP)
            await silence(listening, 0.5)
            running.process.send_signal(signal.SIGCONT)
            assert await listening.next() == WATCHDOG


@pytest.mark.parametrize("document", ["devices: []", "devices: 7"], ids=["good", "broken"])
async def test_systemd_is_notified_of_every_reload(document: str, tmp_path: Path) -> None:
    with notify_socket(tmp_path) as listening:
        async with daemon_on(NOTHING, tmp_path, env=under(listening)) as running:
            assert await listening.next() == READY
            (tmp_path / "config.yaml").write_text(document)
            running.process.send_signal(signal.SIGHUP)
            assert (await listening.next()).startswith(RELOADING)
            assert await listening.next() == READY
            assert (await running.reload())[0] == (200 if document == "devices: []" else 500)
            assert [line[: len(RELOADING)] for line in listening.waiting()] == [RELOADING, READY]


async def test_a_daemon_that_cannot_start_sends_no_notification(tmp_path: Path) -> None:
    with notify_socket(tmp_path) as listening:
        async with daemon_on(NOTHING, tmp_path) as running:
            address = running.url.removeprefix("http://")
            second = f"--web.listen-address={address}"
            with pytest.raises(AssertionError, match="the command ended"):
                async with daemon_on(NOTHING, tmp_path, second, env=under(listening)):
                    pass
        assert listening.waiting() == []


async def test_the_daemon_runs_without_a_listening_systemd(tmp_path: Path) -> None:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "no-socket"), "WATCHDOG_USEC": "20000"}
    async with daemon_on(NOTHING, tmp_path, env=environment) as running:
        assert (await running.reload())[0] == 200
        assert await running.stop() == 0
    assert running.text.count("event=service_manager.notify_failed") == 1
    assert "Traceback" not in running.text
