"""Reloads that overlap, as one of them hangs on a disk: the newest contents win."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from exporter.config import Config, ConfigError
from exporter.daemon import Settings, running
from exporter.fleet import loads
from exporter.fleet.loads import SLOW_SECONDS, SharedLoads
from exporter.fleet.reconciler import Changes, DeviceSpec, Reconciler
from exporter.web.settings import WebSettings
from tests.support.fake_time import FakeTimeLoop, run_in_fake_time

OLD, NEW = (Config.model_validate({"devices": [{"address": name}]}) for name in ("old", "new"))
PATIENCE_SECONDS = 30.0


class Disk:
    """Loads `contents` one after the other; the first load hangs until `released` is set."""

    def __init__(self, *contents: Config | ConfigError) -> None:
        self.contents = list(contents)
        self.first_hangs = threading.Event()
        self.released = threading.Event()

    def load(self) -> Config:
        content = self.contents.pop(0)
        if not self.first_hangs.is_set():
            self.first_hangs.set()
            self.released.wait(PATIENCE_SECONDS)
        if isinstance(content, ConfigError):
            raise content
        return content


@contextmanager
def released(disk: Disk) -> Iterator[None]:
    try:
        yield
    finally:
        disk.released.set()


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [(OLD, NEW, 200), (ConfigError(["old"]), NEW, 200), (OLD, ConfigError(["new"]), 500)],
)
async def test_a_load_that_hung_has_no_effect_after_a_newer_one(
    first: Config | ConfigError,
    second: Config | ConfigError,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loads, "SLOW_SECONDS", 0.01)
    disk = Disk(first, second)
    settings = Settings(WebSettings((("127.0.0.1", 0),)), disk.load)
    async with running(Config(), settings) as (url,), aiohttp.ClientSession() as visitor:

        async def reload() -> int:
            async with visitor.post(f"{url}/-/reload") as response:
                await response.read()
                return response.status

        async def get(path: str) -> str:
            async with visitor.get(url + path) as response:
                return await response.text()

        with released(disk):
            hanging = asyncio.create_task(reload())
            await asyncio.to_thread(disk.first_hangs.wait, PATIENCE_SECONDS)
            assert await reload() == status
            before = await get("/config")
        assert await hanging == status
        assert await get("/config") == before
        assert ("address: new" in before) is (status == 200)
        success = "axis_ntp_exporter_config_last_reload_successful"
        assert f"\n{success} {float(status == 200)}\n" in await get("/metrics")


@pytest.mark.parametrize(("reads", "second"), [(True, SLOW_SECONDS), (False, 3600.5)])
def test_at_most_two_loads_read_one_parses_and_all_requests_share_the_next(
    reads: object, second: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loads, "is_reading", lambda _task: reads)
    started: list[float] = []
    release = asyncio.Event()

    async def load(number: int) -> str | None:
        started.append(asyncio.get_running_loop().time())
        await release.wait()
        return f"load {number}"

    async def main(_loop: FakeTimeLoop) -> None:
        shared = SharedLoads(load)
        first = asyncio.create_task(shared.result())
        await asyncio.sleep(0.5)
        others = [asyncio.create_task(shared.result()) for _ in range(100)]
        await asyncio.sleep(3600)
        release.set()
        assert await first == "load 1"
        assert {*await asyncio.gather(*others)} == {"load 2"}

    run_in_fake_time(main)
    assert started == [0.0, second]


async def test_stopping_cancels_the_loads() -> None:
    started = asyncio.Event()

    async def load(_number: int) -> str | None:
        started.set()
        await asyncio.Event().wait()
        return None

    shared = SharedLoads(load)
    waiting = asyncio.create_task(shared.result())
    await started.wait()
    await shared.stop()
    with pytest.raises(asyncio.CancelledError):
        await waiting


class SlowUpdates:
    """Counts the updates of the devices that run at once; each waits for `may_go_on`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.running = self.most = self.ended = 0
        self.may_go_on = asyncio.Event()
        update = Reconciler.update

        async def slow_update(
            reconciler: Reconciler, specs: Mapping[str, DeviceSpec], concurrency: int
        ) -> Changes:
            self.running += 1
            self.most = max(self.most, self.running)
            if specs:  # the first config has no devices
                await self.may_go_on.wait()
            changes = await update(reconciler, specs, concurrency)
            self.running -= 1
            self.ended += 1
            return changes

        monkeypatch.setattr(Reconciler, "update", slow_update)


async def test_changes_wait_for_each_other_and_the_exporter_is_not_ready_before_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "sd.json"
    file.write_text('[{"targets": ["127.0.0.1:9"]}]')
    sd = {"files": [str(file)], "refresh_interval": "10ms"}
    config = Config.model_validate({"file_sd_configs": [sd]})
    settings = Settings(WebSettings((("127.0.0.1", 0),)), lambda: config)
    updates = SlowUpdates(monkeypatch)
    async with running(config, settings) as (url,), aiohttp.ClientSession() as visitor:

        async def ask(method: str, path: str) -> int:
            async with visitor.request(method, url + path) as response:
                return response.status

        async with asyncio.timeout(PATIENCE_SECONDS):
            while not updates.running:
                assert await ask("get", "/-/ready") == 503
            reloads = [asyncio.create_task(ask("post", "/-/reload")) for _ in range(3)]
            assert await ask("get", "/-/ready") == 503
            updates.may_go_on.set()
            assert {*await asyncio.gather(*reloads)} == {200}
            file.write_text('[{"targets": ["127.0.0.1:9", "127.0.0.1:10"]}]')
            while '"127.0.0.1:10"' not in await text_of(visitor, f"{url}/discover"):
                await asyncio.sleep(0)
    assert updates.most == 1
    assert updates.ended >= 3


async def text_of(visitor: aiohttp.ClientSession, url: str) -> str:
    async with visitor.get(url) as response:
        return await response.text()
