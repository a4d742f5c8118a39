"""Files that modules name, while they are being written."""

import asyncio
from pathlib import Path

import pytest

from exporter.config import Config
from exporter.daemon import Settings, running
from exporter.fleet import client_factory, reloader
from exporter.fleet.client_factory import ClientSettings
from exporter.web.settings import WebSettings

LOOK_SECONDS = 0.0123
PATIENCE_SECONDS = 30.0


async def test_half_a_password_is_never_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, parts, sleep = tmp_path / "password", ["", "n", "new", "new-pass"], asyncio.sleep
    used: list[str] = []
    is_used = asyncio.Event()

    async def sleep_and_write(seconds: float) -> None:
        await sleep(seconds)
        if seconds == LOOK_SECONDS and parts:
            file.write_text(parts.pop(0))

    class NotedFactory(client_factory.ClientFactory):
        def __init__(self, settings: ClientSettings) -> None:
            super().__init__(settings)
            assert settings.credentials is not None
            used.append(settings.credentials.password)
            if len(used) > 1:
                loop.call_soon_threadsafe(is_used.set)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(reloader, "MODULE_FILES_INTERVAL_SECONDS", LOOK_SECONDS)
    monkeypatch.setattr(asyncio, "sleep", sleep_and_write)
    monkeypatch.setattr(client_factory, "ClientFactory", NotedFactory)
    file.write_text("old")
    module = {"auth": {"username": "root", "password_file": str(file)}}
    config = Config.model_validate({"modules": {"default": module}})
    settings = Settings(WebSettings((("127.0.0.1", 0),)), lambda: config)
    async with running(config, settings), asyncio.timeout(PATIENCE_SECONDS):
        await is_used.wait()
    assert used == ["old", "new-pass"]
