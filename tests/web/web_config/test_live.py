"""The web-config while it runs: what is taken, what is not, and what the log tells of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from exporter.config import ConfigError
from exporter.web.web_config.live import LiveWebConfig, checksums
from tests.support.certificates import Authority, authority
from tests.support.web_config import ALICE, AS_ALICE, HASH, PASSWORD, TLS, write
from tests.web.web_config.site import site


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return authority(tmp_path)


@pytest.fixture
def log() -> Iterator[list[EventDict]]:
    structlog.reset_defaults()
    with capture_logs() as captured:
        yield captured


SERVED = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
BROKEN = [
    "",
    "tls_server_config: [",
    "basic_auth_users: {alice: secret}",
    "{tls_server_config: {}}",
    "{}",
    "http_server_config: {}",
    # What a file looks like that is cut off on its way, its accounts last or first.
    f"{SERVED}",
    f"{SERVED}basic_auth_users:\n",
    f"{SERVED}basic_auth_users:\n  alice:\n",
    f"{SERVED}basic_auth_users:\n  alice: {HASH[:-1]}\n",
    f"basic_auth_users:\n  alice: {HASH}\ntls_server_config:\n",
]


@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
async def test_a_broken_file_changes_nothing_and_is_told_once(
    broken: str, ours: Authority, log: list[EventDict]
) -> None:
    async with site(ours.folder, ALICE | TLS) as visited:
        file = write(ours.folder, broken)
        for _ in range(5):
            await visited.look_twice()
        tls = ours.client_context()
        assert (await visited.get(tls=tls))[0] == 401
        assert (await visited.get(tls=tls, headers=AS_ALICE))[0] == 200
    [entry] = log
    assert (entry["event"], entry["log_level"]) == ("web_config.reload_failed", "error")
    assert entry["error"].startswith(f"{file}: ")
    assert "secret" not in entry["error"]


async def test_another_trouble_of_a_broken_file_is_told_too(
    tmp_path: Path, log: list[EventDict]
) -> None:
    async with site(tmp_path, ALICE) as visited:
        for broken in ("a: 1", "a: 2", "b: 1"):
            write(tmp_path, broken)
            await visited.look_twice()
    assert [entry["error"].partition("web.yml: ")[2] for entry in log] == [
        "a: unknown key",
        "b: unknown key",
    ]


async def test_a_file_that_is_mended_is_taken_and_told(
    tmp_path: Path, log: list[EventDict]
) -> None:
    async with site(tmp_path, ALICE) as visited:
        for document in ("a: 1", ALICE, "a: 1"):
            write(tmp_path, document)
            await visited.look_twice()
    assert [entry["event"] for entry in log] == [
        "web_config.reload_failed",
        "web_config.loaded",
        "web_config.reload_failed",
    ]


async def test_a_file_that_does_not_change_is_not_told(
    ours: Authority, log: list[EventDict]
) -> None:
    async with site(ours.folder, ALICE | TLS) as visited:
        write(ours.folder, ALICE | TLS)
        for _ in range(5):
            await visited.live.look()
    assert log == []


async def test_a_file_that_is_gone_changes_nothing(tmp_path: Path, log: list[EventDict]) -> None:
    async with site(tmp_path, ALICE) as visited:
        (tmp_path / "web.yml").unlink()
        await visited.look_twice()
        assert (await visited.get())[0] == 401
        write(tmp_path, ALICE)
        await visited.look_twice()
        assert (await visited.get())[0] == 401
    assert [entry["event"] for entry in log] == ["web_config.reload_failed", "web_config.loaded"]


async def test_a_half_written_file_is_not_taken(tmp_path: Path, log: list[EventDict]) -> None:
    async with site(tmp_path, ALICE) as visited:
        for half in ("http_server", "http_server_config:", "http_server_config: {http2: true}"):
            (tmp_path / "web.yml").write_text(half)
            await visited.live.look()
        write(tmp_path, ALICE)
        await visited.look_twice()
        assert (await visited.get())[0] == 401
    assert log == []


async def test_a_certificate_without_its_key_is_told_and_taken_once_the_key_has_come(
    ours: Authority, log: list[EventDict]
) -> None:
    async with site(ours.folder, TLS) as visited:
        before = await visited.served_certificate()
        old_key = (ours.folder / "server.key").read_bytes()
        certificate, key = ours.issue("server")
        new_key = key.read_bytes()
        key.write_bytes(old_key)
        await visited.look_twice()
        assert await visited.served_certificate() == before
        key.write_bytes(new_key)
        await visited.look_twice()
        assert await visited.served_certificate() in certificate.read_text()
    assert log[0]["error"].endswith("cannot be used: the key is another certificate's")
    assert [entry["event"] for entry in log] == ["web_config.reload_failed", "web_config.loaded"]


async def test_a_file_that_a_broken_web_config_names_is_waited_for(
    ours: Authority, log: list[EventDict]
) -> None:
    async with site(ours.folder, TLS) as visited:
        later = {"cert_file": "later.crt", "key_file": "later.key"}
        write(ours.folder, {"tls_server_config": later})
        await visited.look_twice()
        certificate, _ = ours.issue("later")
        await visited.look_twice()
        assert await visited.served_certificate() in certificate.read_text()
    assert [entry["event"] for entry in log] == ["web_config.reload_failed", "web_config.loaded"]


@pytest.mark.parametrize(("first", "then"), [(TLS, ALICE), (ALICE, ALICE | TLS)])
async def test_tls_is_neither_switched_on_nor_off_while_it_runs(
    first: dict[str, object], then: dict[str, object], ours: Authority, log: list[EventDict]
) -> None:
    async with site(ours.folder, first) as visited:
        write(ours.folder, then)
        await visited.look_twice()
        tls = ours.client_context() if "tls_server_config" in first else None
        expected = 401 if "basic_auth_users" in first else 200
        assert (await visited.get(tls=tls))[0] == expected
    [entry] = log
    assert entry["error"].endswith(
        "web.yml: tls_server_config: TLS is switched on and off by a restart only"
    )


CLIENTS = f"""{SERVED}  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
  client_allowed_sans:
  - prometheus.example
"""


@pytest.mark.parametrize("lines", range(1, CLIENTS.count("\n")))
async def test_a_file_that_is_cut_off_anywhere_lets_in_nobody_without_the_certificate(
    lines: int, ours: Authority, log: list[EventDict]
) -> None:
    ours.issue("client", "prometheus.example")
    ours.issue("other", "other.example")
    async with site(ours.folder, CLIENTS) as visited:
        write(ours.folder, "".join(CLIENTS.splitlines(keepends=True)[:lines]))
        await visited.look_twice()
        assert (await visited.get(tls=ours.client_context("client")))[0] == 200
        for stranger in (None, "other"):
            with pytest.raises(aiohttp.ClientError):
                await visited.get(tls=ours.client_context(stranger))
    assert [entry["event"] for entry in log] == ["web_config.reload_failed"]


@pytest.mark.parametrize(
    ("first", "then", "problems"),
    [
        (
            ALICE,
            "{}",
            ["basic_auth_users: is gone: {} takes the last one away, a missing key nobody"],
        ),
        (
            CLIENTS,
            SERVED,
            [
                "tls_server_config.client_auth_type: is gone: NoClientCert asks nobody, "
                "a missing key changes nothing"
            ],
        ),
        (
            CLIENTS,
            f"{SERVED}  client_auth_type: RequireAndVerifyClientCert\n",
            [
                "tls_server_config.client_ca_file: is gone: a restart takes it away",
                "tls_server_config.client_allowed_sans: is gone: a restart takes it away",
            ],
        ),
    ],
)
async def test_what_is_missing_is_told_with_what_to_write_instead(
    first: dict[str, object] | str,
    then: str,
    problems: list[str],
    ours: Authority,
    log: list[EventDict],
) -> None:
    async with site(ours.folder, first) as visited:
        file = write(ours.folder, then)
        await visited.look_twice()
    assert [entry["error"] for entry in log] == ["; ".join(f"{file}: {each}" for each in problems)]


async def test_accounts_and_client_certificates_go_when_the_file_says_so(
    ours: Authority, log: list[EventDict]
) -> None:
    async with site(ours.folder, CLIENTS) as visited:
        file = write(ours.folder, f"{SERVED}  client_auth_type: NoClientCert\n")
        await visited.look_twice()
        assert (await visited.get(tls=ours.client_context()))[0] == 200
        write(ours.folder, ALICE | TLS)
        await visited.look_twice()
        assert (await visited.get(tls=ours.client_context()))[0] == 401
        write(ours.folder, TLS | {"basic_auth_users": {}})
        await visited.look_twice()
        assert (await visited.get(tls=ours.client_context()))[0] == 200
    told = [(entry["event"], entry["log_level"]) for entry in log]
    loaded = ("web_config.loaded", "info")
    assert told == [loaded, loaded, loaded, ("web_config.asks_no_password", "warning")]
    assert log[-1]["file"] == str(file)


async def test_accounts_that_stay_keep_what_is_known_of_their_passwords(
    ours: Authority, log: list[EventDict]
) -> None:
    async with site(ours.folder, ALICE | TLS) as visited:
        accounts = visited.live.accounts
        ours.issue("server")
        await visited.look_twice()
        assert visited.live.accounts is accounts
    assert [entry["event"] for entry in log] == ["web_config.loaded"]


async def test_a_fault_of_ours_does_not_end_the_looking(
    tmp_path: Path, log: list[EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.web.web_config.live.LOOK_EVERY_SECONDS", 0)
    async with site(tmp_path, ALICE) as visited:
        looks = 0

        async def look() -> None:
            nonlocal looks
            looks += 1
            if looks < 3:
                raise RuntimeError("no such luck")
            raise KeyboardInterrupt

        monkeypatch.setattr(visited.live, "look", look)
        with pytest.raises(KeyboardInterrupt):
            await visited.live.follow()
    assert [entry["event"] for entry in log] == ["web_config.internal_error"] * 2


def test_a_broken_file_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape("web.yml: a: unknown key")):
        LiveWebConfig(write(tmp_path, "a: 1"))


def test_every_file_that_is_named_is_looked_at(ours: Authority) -> None:
    client_ca = {"client_ca_file": "ca.pem", "client_auth_type": "RequestClientCert"}
    file = write(ours.folder, {"tls_server_config": TLS["tls_server_config"] | client_ca})
    names = {"web.yml", "server.crt", "server.key", "ca.pem"}
    assert set(checksums(file)) == {ours.folder / name for name in names}


async def test_no_secret_shows_in_what_is_at_hand(tmp_path: Path) -> None:
    async with site(tmp_path, ALICE) as visited:
        await visited.get(headers=AS_ALICE)
        shown = f"{visited.live!r} {visited.live.accounts!r}"
    assert PASSWORD not in shown
    assert HASH not in shown
