"""Devices from file_sd and http_sd, through the real daemon."""

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from exporter.simulator.fleet import ServedFleet, build_fleet, serve_fleet
from tests.daemon.series import POLLS, UP
from tests.daemon.series import sd_failures as failures
from tests.support.certificates import authority
from tests.support.daemon_process import daemon_on


def config_of(served: ServedFleet, **discovery: Any) -> dict[str, Any]:
    config = served.exporter_config(interval="200ms")
    del config["devices"]
    return config | discovery


def groups(served: ServedFleet, *numbers: int, **labels: str) -> list[dict[str, Any]]:
    targets = [served.addresses[number] for number in numbers]
    return [{"targets": targets, "labels": {"site": "hq", **labels}}]


def up(*addresses: str) -> dict[str, float]:
    return dict.fromkeys(addresses, 1.0)


def put(file: Path, text: str) -> None:
    """Replace a file in one step: the daemon may read it at any moment."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


async def test_targets_follow_files_that_appear_change_break_and_disappear(tmp_path: Path) -> None:
    fleet = build_fleet(4)
    folder = tmp_path / "devices"
    folder.mkdir()
    first, second = folder / "a.yaml", folder / "b.json"
    async with serve_fleet(fleet) as served:
        at = served.addresses
        sd = {"files": ["devices/*.yaml", "devices/*.json"], "refresh_interval": "100ms"}
        put(first, yaml.safe_dump(groups(served, 0)))
        async with daemon_on(config_of(served, file_sd_configs=[sd]), tmp_path) as running:
            await running.until(lambda now: now.by_device(UP) == up(at[0]))
            put(second, json.dumps(groups(served, 1, 2)))
            await running.until(lambda now: now.by_device(UP) == up(at[0], at[1], at[2]))
            polls = (await running.scrape()).by_device(POLLS)[at[1]]
            put(second, "[{")
            broken = await running.until(lambda now: failures(now).get(str(second), 0) >= 2)
            assert broken.by_device(UP) == up(at[0], at[1], at[2]), "the last good targets stay"
            assert broken.by_device(POLLS)[at[1]] >= polls
            put(second, json.dumps(groups(served, 3)))
            await running.until(lambda now: now.by_device(UP) == up(at[0], at[3]))
            first.unlink()
            await running.until(lambda now: now.by_device(UP) == up(at[3]))
            found = await running.until(lambda now: set(failures(now)) == {str(second)})
    assert found.all(UP)[0][0] == {"device": at[3], "site": "hq"}
    assert running.text.count("event=discovery.failed") == 1
    assert running.text.count("event=discovery.recovered") == 1


@asynccontextmanager
async def sd_server(
    answer: dict[str, Any], tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Serve `answer["body"]` with the content type `answer["type"]`; yield the URL.

    The headers and the query of a request go to `answer["asked"]` and `answer["query"]`. If there
    is an `answer["elsewhere"]`, the server redirects to that URL.
    """

    async def serve(request: web.Request) -> web.Response:
        answer["asked"] = dict(request.headers)
        answer["query"] = dict(request.query)
        if "elsewhere" in answer:
            raise web.HTTPFound(answer["elsewhere"])
        return web.Response(
            text=answer["body"], content_type=answer.get("type", "application/json")
        )

    app = web.Application()
    app.add_routes([web.get("/targets", serve)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}/targets"
    finally:
        await runner.cleanup()


async def test_the_last_good_response_of_an_sd_server_stays_after_a_failure(tmp_path: Path) -> None:
    fleet = build_fleet(2)
    async with serve_fleet(fleet) as served:
        at = served.addresses
        answer: dict[str, Any] = {"body": json.dumps(groups(served, 0, device="gate"))}
        async with sd_server(answer) as url:
            sd = {"url": url, "refresh_interval": "100ms"}
            config = config_of(served, http_sd_configs=[sd])
            async with daemon_on(config, tmp_path) as running:
                await running.until(lambda now: now.by_device(UP) == up("gate"))
                assert answer["asked"]["X-Prometheus-Refresh-Interval-Seconds"] == "0.1"
                assert answer["asked"]["Accept"] == "application/json"
                answer["type"] = "text/html"
                await running.until(lambda now: failures(now) != {url: 0})
                assert (await running.scrape()).by_device(UP) == up("gate")
                body = "\ufeff" + json.dumps(groups(served, 1))  # as some servers begin a text
                answer.update(type="application/json", body=body)
                await running.until(lambda now: now.by_device(UP) == up(at[1]))
    assert "the response is text/html, not application/json" in running.text


async def test_the_config_page_shows_discovered_devices_with_their_source(tmp_path: Path) -> None:
    fleet = build_fleet(3)
    async with serve_fleet(fleet) as served:
        at = served.addresses
        file = tmp_path / "targets.json"
        used = groups(served, 2, device="lobby")
        file.write_text(json.dumps([*groups(served, 0, device="gate"), *used]))
        answer: dict[str, Any] = {"body": json.dumps(groups(served, 1))}
        async with sd_server(answer) as url:
            config = config_of(
                served,
                file_sd_configs=[{"files": [str(file)]}],
                http_sd_configs=[{"url": f"{url}?token=hunter2"}],
            )
            config["devices"] = [{"address": at[2], "name": "lobby"}]
            async with daemon_on(config, tmp_path) as running:
                await running.until(lambda now: now.by_device(UP) == up("lobby", "gate", at[1]))
                _, text = await running.get("/config")
    shown = yaml.safe_load(text)
    assert [each["name"] for each in shown["devices"]] == ["lobby"]
    by_source = {each["source"]: each for each in shown["discovered"]}
    assert [*by_source] == [str(file), f"{url}?token=<secret>"]
    [gate] = by_source[str(file)]["devices"]
    assert (gate["address"], gate["name"], gate["labels"]) == (at[0], "gate", {"site": "hq"})
    assert [each["address"] for each in by_source[f"{url}?token=<secret>"]["devices"]] == [at[1]]
    assert [each["mechanism"] for each in shown["discovered"]] == ["file", "http"]
    assert "hunter2" not in text


async def test_a_target_with_a_used_name_or_an_unknown_module_is_rejected_logged_and_counted(
    tmp_path: Path,
) -> None:
    fleet = build_fleet(3)
    async with serve_fleet(fleet) as served:
        file = tmp_path / "targets.json"
        file.write_text(
            json.dumps(
                [
                    *groups(served, 0),
                    *groups(served, 1, device="lobby"),
                    *groups(served, 2, module="unknown"),
                ]
            )
        )
        sd = {"files": ["targets.json"], "refresh_interval": "100ms"}
        config = config_of(served, file_sd_configs=[sd])
        config["devices"] = [{"address": served.addresses[1], "name": "lobby"}]
        async with daemon_on(config, tmp_path) as running:
            wanted = up("lobby", served.addresses[0])
            await running.until(lambda now: now.by_device(UP) == wanted)
            await running.until(lambda now: failures(now)[str(file)] >= 2)
    assert running.text.count("event=discovery.failed") == 1
    assert "the name 'lobby' is already used in the config" in running.text
    assert "more_problems=1" in running.text


async def test_a_reload_changes_the_sources_and_keeps_the_other_devices(tmp_path: Path) -> None:
    fleet = build_fleet(2)
    async with serve_fleet(fleet) as served:
        for number in range(2):
            (tmp_path / f"{number}.json").write_text(json.dumps(groups(served, number)))
        sds = [{"files": [f"{n}.json"], "refresh_interval": "1h"} for n in range(2)]
        config = config_of(served, file_sd_configs=sds)
        async with daemon_on(config, tmp_path) as running:
            await running.until(lambda now: now.by_device(UP) == up(*served.addresses))
            polls = (await running.scrape()).by_device(POLLS)[served.addresses[1]]
            del config["file_sd_configs"][0]
            (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
            assert (await running.reload())[0] == 200
            found = await running.scrape()
            assert found.by_device(UP) == up(served.addresses[1])
            assert found.by_device(POLLS)[served.addresses[1]] >= polls
            assert set(failures(found)) == {str(tmp_path / "1.json")}


async def test_ready_waits_for_discovery(tmp_path: Path) -> None:
    fleet = build_fleet(1)
    async with serve_fleet(fleet) as served, sd_server({"body": "[]"}) as url:
        config = config_of(served, http_sd_configs=[{"url": url}])
        async with daemon_on(config, tmp_path) as running:
            await running.ready()


@pytest.mark.parametrize(
    "poison",
    [
        pytest.param("[" * 60_000, id="brackets"),
        pytest.param("- " * 60_000, id="dashes"),
        pytest.param('- targets: [!!int ""]', id="tag"),
    ],
)
@pytest.mark.parametrize("suffix", ["yaml", "json"])
async def test_a_malicious_file_is_a_failure_of_that_file_only(
    poison: str, suffix: str, tmp_path: Path
) -> None:
    fleet = build_fleet(1)
    async with serve_fleet(fleet) as served:
        bad, good = tmp_path / f"sd-a.{suffix}", tmp_path / f"sd-b.{suffix}"
        put(bad, poison)
        put(good, json.dumps(groups(served, 0)))
        sd = {"files": [f"sd-*.{suffix}"], "refresh_interval": "100ms"}
        async with daemon_on(config_of(served, file_sd_configs=[sd]), tmp_path) as running:
            await running.until(lambda now: failures(now).get(str(bad), 0) >= 2)
            found = await running.until(lambda now: now.by_device(UP) == up(*served.addresses))
            assert failures(found)[str(good)] == 0


@pytest.mark.parametrize("mechanism", ["file", "http"])
async def test_a_reload_that_changes_a_sources_settings_keeps_its_devices_and_their_state(
    mechanism: str, tmp_path: Path
) -> None:
    async with serve_fleet(build_fleet(1)) as served:
        (tmp_path / "a.json").write_text(body := json.dumps(groups(served, 0)))
        async with sd_server(answer := {"body": body}) as url:
            before: dict[str, Any] = {"files": ["a.json"]} if mechanism == "file" else {"url": url}
            after: dict[str, Any] = {"files": ["*.json"]} if mechanism == "file" else {"url": url}
            after |= {"refresh_interval": "2m"}
            key = f"{mechanism}_sd_configs"
            async with daemon_on(config_of(served, **{key: [before]}), tmp_path) as running:
                at = served.addresses[0]
                found = await running.until(lambda now: now.by_device(POLLS).get(at, 0) >= 3)
                answer["body"] = "["
                (tmp_path / "a.json").write_text("[")
                config = config_of(served, **{key: [after]})
                (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
                assert (await running.reload())[0] == 200
                now = await running.scrape()
                assert now.by_device(POLLS)[at] >= found.by_device(POLLS)[at]
                # The first refresh fails: the last good targets stay.
                now = await running.until(lambda now: max(failures(now).values(), default=0) >= 1)
                assert now.by_device(POLLS)[at] >= found.by_device(POLLS)[at]
                assert now.by_device(UP) == up(at)


async def test_a_pipe_among_the_files_is_a_failure_and_does_not_delay_the_end(
    tmp_path: Path,
) -> None:
    async with serve_fleet(build_fleet(1)) as served:
        os.mkfifo(pipe := tmp_path / "p.json")
        sd = {"files": ["p.json"], "refresh_interval": "100ms"}
        async with daemon_on(config_of(served, file_sd_configs=[sd]), tmp_path) as running:
            await running.until(lambda now: failures(now).get(str(pipe), 0) >= 2)
            async with asyncio.timeout(5):
                assert await running.stop() == 0
    assert running.text.count("cannot be read: not a regular file") == 1


async def test_a_token_in_a_sources_url_is_sent_but_never_shown(tmp_path: Path) -> None:
    answer: dict[str, Any] = {"body": "["}
    async with serve_fleet(build_fleet(1)) as served, sd_server(answer) as url:
        sd = {"url": f"{url}?site=hq&token=t0k3n", "refresh_interval": "100ms"}
        async with daemon_on(config_of(served, http_sd_configs=[sd]), tmp_path) as running:
            shown = f"{url}?site=hq&token=<secret>"
            await running.until(lambda now: failures(now).get(shown, 0) >= 1)
            pages = [(await running.get(path))[1] for path in ("/config", "/metrics", "/")]
    assert answer["query"] == {"site": "hq", "token": "t0k3n"}
    assert "discovery.failed" in running.text
    assert "t0k3n" not in "".join([running.text, *pages])


async def test_the_target_of_a_redirect_is_not_logged(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(serve_fleet(build_fleet(1)))
        url = await stack.enter_async_context(sd_server({"elsewhere": "file:///x?token=t0k3n"}))
        config = config_of(served, http_sd_configs=[{"url": url, "refresh_interval": "100ms"}])
        async with daemon_on(config, tmp_path) as running:
            await running.until(lambda now: failures(now).get(url, 0) >= 1)
    assert "discovery.failed" in running.text
    assert "t0k3n" not in running.text


async def test_a_redirect_to_http_is_rejected_and_one_to_https_is_followed(
    tmp_path: Path,
) -> None:
    made = authority(tmp_path / "ca")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(made.folder / "server.crt", made.folder / "server.key")
    env = {"SSL_CERT_FILE": str(made.file)}
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(serve_fleet(build_fleet(1)))
        answer = {"body": json.dumps(groups(served, 0))}
        plain, safe = [await stack.enter_async_context(sd_server(answer, c)) for c in (None, tls)]
        leading: dict[str, Any] = {"elsewhere": plain}
        url = await stack.enter_async_context(sd_server(leading, tls))
        config = config_of(served, http_sd_configs=[{"url": url, "refresh_interval": "100ms"}])
        async with daemon_on(config, tmp_path, env=env) as running:
            found = await running.until(lambda now: failures(now).get(url, 0) >= 1)
            assert found.by_device(UP) == {}
            leading["elsewhere"] = safe
            await running.until(lambda now: now.by_device(UP) == up(*served.addresses))
    assert "redirected from https to http" in running.text


@pytest.mark.parametrize("suffix", ["yaml", "json"])
async def test_a_stop_while_a_large_file_is_read_ends_the_process_normally(
    suffix: str, tmp_path: Path
) -> None:
    target = '{"targets": ["127.0.0.1:9"], "labels": {"site": "hq"}}'
    put(tmp_path / f"sd.{suffix}", f"[{','.join([target] * 100_000)}]")
    sd = {"files": [f"sd.{suffix}"], "refresh_interval": "100ms"}
    async with daemon_on({"file_sd_configs": [sd]}, tmp_path) as running:
        async with asyncio.timeout(5):
            assert await running.stop() == 0
    assert "Fatal" not in running.text
    assert "Traceback" not in running.text


async def test_a_target_may_have_another_scheme_and_interval_than_its_module(
    tmp_path: Path,
) -> None:
    fleet = build_fleet(2, scheme="https")
    async with serve_fleet(fleet) as served:
        config = config_of(served, file_sd_configs=[{"files": ["a.json"]}])
        config["modules"]["default"]["scheme"] = "http"
        config["global"]["interval"] = "1h"
        labels = {"__scheme__": "https", "__scrape_interval__": "200ms"}
        put(tmp_path / "a.json", json.dumps(groups(served, 0, 1, **labels)))
        async with daemon_on(config, tmp_path) as running:
            await running.until(lambda now: min(now.by_device(POLLS).values(), default=0) >= 3)
            assert (await running.scrape()).by_device(UP) == up(*served.addresses)
