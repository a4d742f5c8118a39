"""Changes of a web-config while the server runs: which are loaded, and what is logged."""

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
    # Truncated files, with users last or first.
    f"{SERVED}",
    f"{SERVED}basic_auth_users:\n",
    f"{SERVED}basic_auth_users:\n  alice:\n",
    f"{SERVED}basic_auth_users:\n  alice: {HASH[:-1]}\n",
    f"basic_auth_users:\n  alice: {HASH}\ntls_server_config:\n",
]


@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
async def test_a_broken_file_changes_nothing_and_is_logged_once(
    broken: str, ours: Authority, log: list[EventDict]
) -> None:
    async with site(ours.folder, ALICE | TLS) as served:
        file = write(ours.folder, broken)
        for _ in range(5):
            await served.check_files_twice()
        tls = ours.client_context()
        assert (await served.get(tls=tls))[0] == 401
        assert (await served.get(tls=tls, headers=AS_ALICE))[0] == 200
    [entry] = log
    assert (entry["event"], entry["log_level"]) == ("web_config.reload_failed", "error")
    assert entry["error"].startswith(f"{file}:")
    assert "secret" not in entry["error"]


async def test_a_different_error_in_a_broken_file_is_logged_too(
    tmp_path: Path, log: list[EventDict]
) -> None:
    async with site(tmp_path, ALICE) as served:
        for broken in ("a: 1", "a: 2", "b: 1"):
            write(tmp_path, broken)
            await served.check_files_twice()
    assert [entry["error"].partition("web.yml:1: ")[2] for entry in log] == [
        "a: unknown key",
        "b: unknown key",
    ]


async def test_a_repaired_file_is_loaded_and_logged(tmp_path: Path, log: list[EventDict]) -> None:
    async with site(tmp_path, ALICE) as served:
        for document in ("a: 1", ALICE, "a: 1"):
            write(tmp_path, document)
            await served.check_files_twice()
    assert [entry["event"] for entry in log] == [
        "web_config.reload_failed",
        "web_config.loaded",
        "web_config.reload_failed",
    ]


async def test_an_unchanged_file_logs_nothing(ours: Authority, log: list[EventDict]) -> None:
    async with site(ours.folder, ALICE | TLS) as served:
        write(ours.folder, ALICE | TLS)
        for _ in range(5):
            await served.live.check_files()
    assert log == []


async def test_a_deleted_file_changes_nothing(tmp_path: Path, log: list[EventDict]) -> None:
    async with site(tmp_path, ALICE) as served:
        (tmp_path / "web.yml").unlink()
        await served.check_files_twice()
        assert (await served.get())[0] == 401
        write(tmp_path, ALICE)
        await served.check_files_twice()
        assert (await served.get())[0] == 401
    assert [entry["event"] for entry in log] == ["web_config.reload_failed", "web_config.loaded"]


async def test_a_half_written_file_is_not_loaded(tmp_path: Path, log: list[EventDict]) -> None:
    async with site(tmp_path, ALICE) as served:
        for half in ("http_server", "http_server_config:", "http_server_config: {http2: true}"):
            (tmp_path / "web.yml").write_text(half)
            await served.live.check_files()
        write(tmp_path, ALICE)
        await served.check_files_twice()
        assert (await served.get())[0] == 401
    assert log == []


async def test_a_new_certificate_is_loaded_only_once_its_key_matches(
    ours: Authority, log: list[EventDict]
) -> None:
    async with site(ours.folder, TLS) as served:
        before = await served.served_certificate()
        old_key = (ours.folder / "server.key").read_bytes()
        certificate, key = ours.issue("server")
        new_key = key.read_bytes()
        key.write_bytes(old_key)
        await served.check_files_twice()
        assert await served.served_certificate() == before
        key.write_bytes(new_key)
        await served.check_files_twice()
        assert await served.served_certificate() in certificate.read_text()
    assert log[0]["error"].endswith("cannot be used: the key does not match the certificate")
    assert [entry["event"] for entry in log] == ["web_config.reload_failed", "web_config.loaded"]


async def test_files_named_in_a_broken_web_config_are_watched_too(
    ours: Authority, log: list[EventDict]
) -> None:
    async with site(ours.folder, TLS) as served:
        later = {"cert_file": "later.crt", "key_file": "later.key"}
        write(ours.folder, {"tls_server_config": later})
        await served.check_files_twice()
        certificate, _ = ours.issue("later")
        await served.check_files_twice()
        assert await served.served_certificate() in certificate.read_text()
    assert [entry["event"] for entry in log] == ["web_config.reload_failed", "web_config.loaded"]


@pytest.mark.parametrize(("first", "then"), [(TLS, ALICE), (ALICE, ALICE | TLS)])
async def test_a_reload_cannot_turn_tls_on_or_off(
    first: dict[str, object], then: dict[str, object], ours: Authority, log: list[EventDict]
) -> None:
    async with site(ours.folder, first) as served:
        write(ours.folder, then)
        await served.check_files_twice()
        tls = ours.client_context() if "tls_server_config" in first else None
        expected = 401 if "basic_auth_users" in first else 200
        assert (await served.get(tls=tls))[0] == expected
    [entry] = log
    assert entry["error"].endswith(
        "web.yml: tls_server_config: restart the exporter to turn TLS on or off"
    )


CLIENTS = f"""{SERVED}  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
  client_allowed_sans:
  - prometheus.example
"""


@pytest.mark.parametrize("lines", range(1, CLIENTS.count("\n")))
async def test_a_truncated_file_still_rejects_clients_without_an_allowed_certificate(
    lines: int, ours: Authority, log: list[EventDict]
) -> None:
    ours.issue("client", "prometheus.example")
    ours.issue("other", "other.example")
    async with site(ours.folder, CLIENTS) as served:
        write(ours.folder, "".join(CLIENTS.splitlines(keepends=True)[:lines]))
        await served.check_files_twice()
        assert (await served.get(tls=ours.client_context("client")))[0] == 200
        for stranger in (None, "other"):
            with pytest.raises(aiohttp.ClientError):
                await served.get(tls=ours.client_context(stranger))
    assert [entry["event"] for entry in log] == ["web_config.reload_failed"]


@pytest.mark.parametrize(
    ("first", "then", "problems"),
    [
        (
            ALICE,
            "{}",
            ["basic_auth_users: is missing; write {} to remove all users"],
        ),
        (
            CLIENTS,
            SERVED,
            [
                "tls_server_config.client_auth_type: is missing; "
                "write NoClientCert to stop asking for client certificates"
            ],
        ),
        (
            CLIENTS,
            f"{SERVED}  client_auth_type: RequireAndVerifyClientCert\n",
            [
                "tls_server_config.client_ca_file: is missing; restart the exporter to remove it",
                "tls_server_config.client_allowed_sans: is missing; "
                "restart the exporter to remove it",
            ],
        ),
    ],
)
async def test_the_error_about_a_missing_key_says_what_to_write(
    first: dict[str, object] | str,
    then: str,
    problems: list[str],
    ours: Authority,
    log: list[EventDict],
) -> None:
    async with site(ours.folder, first) as served:
        file = write(ours.folder, then)
        await served.check_files_twice()
    assert [entry["error"] for entry in log] == ["; ".join(f"{file}: {each}" for each in problems)]


async def test_users_and_client_certificates_can_be_removed_explicitly(
    ours: Authority, log: list[EventDict]
) -> None:
    async with site(ours.folder, CLIENTS) as served:
        file = write(ours.folder, f"{SERVED}  client_auth_type: NoClientCert\n")
        await served.check_files_twice()
        assert (await served.get(tls=ours.client_context()))[0] == 200
        write(ours.folder, ALICE | TLS)
        await served.check_files_twice()
        assert (await served.get(tls=ours.client_context()))[0] == 401
        write(ours.folder, TLS | {"basic_auth_users": {}})
        await served.check_files_twice()
        assert (await served.get(tls=ours.client_context()))[0] == 200
    logged = [(entry["event"], entry["log_level"]) for entry in log]
    loaded = ("web_config.loaded", "info")
    assert logged == [loaded, loaded, loaded, ("web_config.authentication_disabled", "warning")]
    assert log[-1]["file"] == str(file)


async def test_unchanged_users_keep_their_cached_passwords(
    ours: Authority, log: list[EventDict]
) -> None:
    async with site(ours.folder, ALICE | TLS) as served:
        users = served.live.users
        ours.issue("server")
        await served.check_files_twice()
        assert served.live.users is users
    assert [entry["event"] for entry in log] == ["web_config.loaded"]


async def test_an_internal_error_does_not_stop_watching(
    tmp_path: Path, log: list[EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.web.web_config.live.CHECK_INTERVAL_SECONDS", 0)
    async with site(tmp_path, ALICE) as served:
        checks = 0

        async def check_files() -> None:
            nonlocal checks
            checks += 1
            if checks < 3:
                raise RuntimeError("no such luck")
            raise KeyboardInterrupt

        monkeypatch.setattr(served.live, "check_files", check_files)
        with pytest.raises(KeyboardInterrupt):
            await served.live.watch()
    assert [entry["event"] for entry in log] == ["web_config.internal_error"] * 2


def test_a_broken_file_at_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape("web.yml:1: a: unknown key")):
        LiveWebConfig(write(tmp_path, "a: 1"))


def test_every_named_file_is_watched(ours: Authority) -> None:
    client_ca = {"client_ca_file": "ca.pem", "client_auth_type": "RequestClientCert"}
    file = write(ours.folder, {"tls_server_config": TLS["tls_server_config"] | client_ca})
    names = {"web.yml", "server.crt", "server.key", "ca.pem"}
    assert set(checksums(file)) == {ours.folder / name for name in names}


async def test_no_repr_shows_a_secret(tmp_path: Path) -> None:
    async with site(tmp_path, ALICE) as served:
        await served.get(headers=AS_ALICE)
        shown = f"{served.live!r} {served.live.users!r}"
    assert PASSWORD not in shown
    assert HASH not in shown
