"""Servers of targets that want credentials get them, and no other host does."""

import asyncio
import os
import ssl
from contextlib import AsyncExitStack
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import trustme
from pydantic import ValidationError

from exporter.config import ConfigError, dump_redacted, files, parse_config
from exporter.config.relabel import RelabelConfig
from exporter.config.schema import HttpSdConfig
from exporter.discovery.http_request import prepare_request
from exporter.discovery.http_sd import HTTPSD
from exporter.discovery.target_groups import RefreshFailed
from tests.check.fingerprints import fingerprint_at
from tests.discovery.inventory import TOKEN, Inventory, serving_inventory
from tests.support.programs import free_port

HTTPS = "https://sd.example/"


def config_for(inventory: Inventory, **more: Any) -> HttpSdConfig:
    tls = {"ca_file": str(inventory.ca_file)}
    return HttpSdConfig.model_validate({"url": inventory.url, "tls_config": tls, **more})


async def addresses(config: HttpSdConfig) -> list[str]:
    address = {"source_labels": ["__meta_netbox_primary_ip"], "target_label": "__address__"}
    [result] = await HTTPSD(config, [RelabelConfig.model_validate(address)]).refresh()
    assert result.problems == ()
    return [each.address for each in result.devices or ()]


async def test_a_server_with_a_private_ca_gets_the_token_that_it_wants(tmp_path: Path) -> None:
    async with serving_inventory(tmp_path) as inventory:
        token = {"type": "Token", "credentials": TOKEN}
        found = await addresses(config_for(inventory, authorization=token))
    assert found == ["10.0.0.7", "10.0.0.8"]


async def test_a_token_is_read_from_its_file_at_each_refresh(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old\n")
    token = {"type": "Token", "credentials_file": str(file)}
    async with serving_inventory(tmp_path) as inventory:
        server = HTTPSD(config_for(inventory, authorization=token))
        with pytest.raises(RefreshFailed, match="HTTP 403"):
            await server.refresh()
        file.write_text(f"{TOKEN}\n")
        [result] = await server.refresh()
    assert result.devices is not None


async def test_without_its_ca_a_server_is_not_trusted(tmp_path: Path) -> None:
    async with serving_inventory(tmp_path) as inventory:
        with pytest.raises(RefreshFailed, match=r"^TLS failed: .* set tls_config.*, or ca_file$"):
            await HTTPSD(config_for(inventory, tls_config={})).refresh()
    assert inventory.requests == []


async def test_a_server_may_be_pinned_by_its_fingerprint(tmp_path: Path) -> None:
    async with serving_inventory(tmp_path) as inventory:
        pin = await fingerprint_at(f"localhost:{inventory.port}")
        token = {"type": "Token", "credentials": TOKEN}
        pinned = config_for(inventory, authorization=token, tls_config={"fingerprint_sha256": pin})
        assert await addresses(pinned) == ["10.0.0.7", "10.0.0.8"]
        seen = len(inventory.requests)
        # Every byte counts.
        other = f"{pin[:-2]}{int(pin[-2:], 16) ^ 1:02x}"
        wrong = config_for(inventory, authorization=token, tls_config={"fingerprint_sha256": other})
        with pytest.raises(RefreshFailed, match="is not the pinned one"):
            await HTTPSD(wrong).refresh()
        assert len(inventory.requests) == seen


async def test_basic_auth_and_headers_are_sent(tmp_path: Path) -> None:
    secret = tmp_path / "header"
    secret.write_text("from a file\n")
    headers = {"X-Team": {"values": ["video"], "secrets": ["s1"], "files": [str(secret)]}}
    account = {"username": "sd", "password": "p"}
    async with serving_inventory(tmp_path) as inventory:
        server = HTTPSD(config_for(inventory, basic_auth=account, http_headers=headers))
        with pytest.raises(RefreshFailed, match="HTTP 403"):
            await server.refresh()
    request = inventory.requests[0]
    assert request["authorization"] == "Basic c2Q6cA=="
    assert prepare_request(server._config).headers.getall("X-Team") == [
        "video",
        "s1",
        "from a file",
    ]
    assert request["x-team"] == "from a file"  # the last of three fields


async def test_another_host_gets_no_credentials_after_a_redirect(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(serving_inventory(tmp_path))
        first = await stack.enter_async_context(serving_inventory(tmp_path, redirect=other.url))
        both = tmp_path / "both.pem"
        both.write_text(first.ca_file.read_text() + other.ca_file.read_text())
        config = config_for(
            first,
            tls_config={"ca_file": str(both)},
            authorization={"type": "Token", "credentials": TOKEN},
            http_headers={"X-Key": {"secrets": ["s3cret"]}},
        )
        with pytest.raises(RefreshFailed, match="HTTP 403: a redirect led to another server"):
            await HTTPSD(config).refresh()
    assert first.requests[0]["authorization"] == f"Token {TOKEN}"
    assert "x-key" in first.requests[0]
    assert not {"authorization", "x-key"} & set(other.requests[0])


@pytest.mark.parametrize(
    ("keys", "advice"),
    [
        ({}, "the server wants credentials: set `authorization` or `basic_auth`"),
        ({"authorization": {"credentials": "s3cret"}}, "does not accept `authorization`"),
        ({"basic_auth": {"username": "u", "password": "s3cret"}}, "does not accept `basic_auth`"),
        ({"http_headers": {"X": {"secrets": ["s3cret"]}}}, "the secrets in `http_headers`"),
    ],
    ids=str,
)
async def test_a_refused_login_says_which_setting_to_look_at(
    keys: dict[str, Any], advice: str, tmp_path: Path
) -> None:
    async with serving_inventory(tmp_path) as inventory:
        with pytest.raises(RefreshFailed, match=f"HTTP 403: .*{advice}") as failed:
            await HTTPSD(config_for(inventory, **keys)).refresh()
    assert "s3cret" not in str(failed.value)


async def test_a_server_that_is_not_there_is_said_in_words() -> None:
    server = HTTPSD(HttpSdConfig(url=f"https://127.0.0.1:{free_port()}/?token=s3cret"))
    with pytest.raises(RefreshFailed) as failed:
        await server.refresh()
    assert str(failed.value) == "cannot connect: connection refused"


async def test_a_certificate_of_another_name_says_which_setting_to_look_at(tmp_path: Path) -> None:
    async with serving_inventory(tmp_path) as inventory:
        tls = {"ca_file": str(inventory.ca_file), "server_name": "other.example"}
        with pytest.raises(RefreshFailed, match=r"^TLS failed: .*, or server_name$"):
            await HTTPSD(config_for(inventory, tls_config=tls)).refresh()


async def test_https_spoken_to_a_server_of_http_is_said_in_words() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/?token=s3cret"
        with pytest.raises(RefreshFailed, match=r"^TLS failed: .*check `tls_config`") as failed:
            await HTTPSD(HttpSdConfig(url=url)).refresh()
    assert "s3cret" not in str(failed.value)


async def test_a_redirect_to_the_same_server_keeps_the_credentials(tmp_path: Path) -> None:
    async with serving_inventory(tmp_path, redirect="/next") as inventory:
        token = {"type": "Token", "credentials": TOKEN}
        with pytest.raises(RefreshFailed, match="redirected more than 10 times"):
            await HTTPSD(config_for(inventory, authorization=token)).refresh()
    assert {each["authorization"] for each in inventory.requests} == {f"Token {TOKEN}"}
    assert len(inventory.requests) == 11


async def test_a_redirect_is_not_followed_if_that_is_not_wanted(tmp_path: Path) -> None:
    async with serving_inventory(tmp_path, redirect="/next") as inventory:
        with pytest.raises(RefreshFailed, match="HTTP 302"):
            await HTTPSD(config_for(inventory, follow_redirects=False)).refresh()
    assert len(inventory.requests) == 1


@pytest.mark.parametrize("url", ["http://sd.example/", "ftp://sd.example/", "file:///etc/passwd"])
async def test_a_redirect_away_from_https_is_refused(tmp_path: Path, url: str) -> None:
    async with serving_inventory(tmp_path, redirect=url) as inventory:
        with pytest.raises(RefreshFailed, match="redirected"):
            await HTTPSD(config_for(inventory)).refresh()


async def test_a_proxy_is_asked_to_connect_to_the_server_and_sees_no_credentials() -> None:
    heads: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        url = f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
        token = {"credentials": TOKEN}
        config = HttpSdConfig.model_validate(
            {"url": HTTPS, "proxy_url": url, "authorization": token}
        )
        with pytest.raises(RefreshFailed, match="the proxy answered HTTP 502"):
            await HTTPSD(config).refresh()
    assert heads[0].startswith(b"CONNECT sd.example:443 HTTP/1.1\r\n")
    assert TOKEN.encode() not in heads[0]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"authorization": {}}, "set either credentials or credentials_file"),
        (
            {"authorization": {"credentials": "a", "credentials_file": "b"}},
            "set either credentials or credentials_file",
        ),
        ({"authorization": {"type": "Basic", "credentials": "a"}}, "must not be basic"),
        ({"authorization": {"type": "a b", "credentials": "a"}}, "is not the name of an auth"),
        ({"authorization": {"credentials": "a\r\nX: y"}}, "must be one line of ASCII"),
        ({"basic_auth": {"password": "p"}}, "set either username or username_file"),
        (
            {"basic_auth": {"username": "u"}, "authorization": {"credentials": "a"}},
            "set authorization or basic_auth, not both",
        ),
        ({"http_headers": {"Host": {"values": ["x"]}}}, "is a header that the exporter sets"),
        ({"http_headers": {"a b": {"values": ["x"]}}}, "number 1 of these is not the name"),
        ({"http_headers": {"X": {"values": ["a\nb"]}}}, "must be one line of ASCII"),
        ({"proxy_url": "socks5://x"}, "must be a URL with http or https"),
        (
            {"url": "http://sd.example/", "basic_auth": {"username": "u", "password": "p"}},
            "credentials need a URL with https",
        ),
    ],
    ids=str,
)
def test_invalid_keys_are_refused_without_a_secret(keys: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError) as refused:
        HttpSdConfig.model_validate({"url": HTTPS, **keys})
    assert problem in str(refused.value.errors(include_input=False))


@pytest.mark.parametrize(
    "headers",
    [
        {"Bearer s3cret": {"values": ["x"]}},
        {"Bearer s3cret": "x"},
        {"s3cret" * 20: {"secret": ["x"]}},
        {"s3cret: x": None},
    ],
    ids=str,
)
def test_a_secret_in_the_place_of_a_headers_name_is_not_shown(headers: dict[str, Any]) -> None:
    section = {"url": HTTPS, "http_headers": {"X-Key": {"values": ["y"]}, **headers}}
    with pytest.raises(ConfigError) as refused:
        parse_config({"http_sd_configs": [section]}, {}, Path())
    text = str(refused.value)
    assert text.startswith("http_sd_configs[0].http_headers: number 2 of these is not the name")
    assert "s3cret" not in text


def test_credentials_do_not_go_to_a_proxy_over_http() -> None:
    keys = {"url": "http://127.0.0.1:8000/", "authorization": {"credentials": "a"}}
    with pytest.raises(ValidationError, match="credentials need a URL with https"):
        HttpSdConfig.model_validate({**keys, "proxy_url": "http://proxy.example:3128"})


def test_two_sections_that_only_differ_in_a_secret_are_refused() -> None:
    sections = [{"url": f"{HTTPS}?token={token}"} for token in "ab"]
    with pytest.raises(ConfigError, match="is there twice") as refused:
        parse_config({"http_sd_configs": sections}, {}, Path())
    assert "token=<secret>" in str(refused.value)


async def test_our_certificate_is_only_for_the_configured_server(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("client.example")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "client.pem"))
    tls = {"cert_file": str(tmp_path / "client.pem")}
    request = prepare_request(HttpSdConfig.model_validate({"url": HTTPS, "tls_config": tls}))
    assert request.tls is not request.tls_elsewhere


def test_credentials_may_go_to_loopback_over_http() -> None:
    keys = {"url": "http://127.0.0.1:8000/", "authorization": {"credentials": "a"}}
    assert HttpSdConfig.model_validate(keys).has_credentials


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"authorization": {"credentials_file": "missing"}}, "cannot read .*missing"),
        ({"authorization": {"credentials_file": "bad"}}, "bad must be one line of ASCII"),
        ({"basic_auth": {"username_file": "missing", "password": "p"}}, "cannot read .*missing"),
        ({"tls_config": {"ca_file": "bad"}}, "tls_config: it contains no PEM certificate"),
    ],
    ids=str,
)
async def test_a_file_that_cannot_be_used_fails_the_refresh(
    keys: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    (tmp_path / "bad").write_text("s3cret\x01")
    section = {"url": HTTPS, **keys}
    config = parse_config({"http_sd_configs": [section]}, {}, tmp_path)
    with pytest.raises(RefreshFailed, match=problem) as failed:
        await HTTPSD(config.http_sd_configs[0]).refresh()
    assert "s3cret" not in str(failed.value)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "keys",
    [
        {"authorization": {"credentials_file": "pipe"}},
        {"basic_auth": {"username": "u", "password_file": "pipe"}},
        {"http_headers": {"X": {"files": ["pipe"]}}},
        {"tls_config": {"ca_file": "pipe"}},
        {"tls_config": {"cert_file": "pipe"}},
    ],
    ids=str,
)
async def test_a_pipe_fails_the_refresh_and_is_not_waited_for(
    keys: dict[str, Any], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    config = parse_config({"http_sd_configs": [{"url": HTTPS, **keys}]}, {}, tmp_path)
    with pytest.raises(RefreshFailed, match=r"cannot read .*pipe: not a regular file"):
        await HTTPSD(config.http_sd_configs[0]).refresh()


async def test_a_file_that_hangs_fails_the_refresh_and_one_thread_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, go_on = [], Event()

    def hang(_file: Path) -> bytes:
        started.append(1)
        go_on.wait()
        return b"token"

    monkeypatch.setattr(files, "read_regular", hang)
    token = {"credentials_file": str(tmp_path / "token")}
    config = HttpSdConfig.model_validate({"url": HTTPS, "authorization": token})
    server = HTTPSD(config, files_timeout_seconds=0.05)
    for _ in range(3):
        with pytest.raises(RefreshFailed, match=r"could not be read within 0.05 s: check their"):
            await server.refresh()
    go_on.set()
    assert len(started) == 1


def test_no_secret_is_shown() -> None:
    section = {
        "url": HTTPS,
        "authorization": {"credentials": "s3cret-1"},
        "http_headers": {"X-Key": {"secrets": ["s3cret-2"], "values": ["shown"]}},
    }
    config = parse_config({"http_sd_configs": [section]}, {}, Path())
    texts = (dump_redacted(config), repr(config), repr(prepare_request(config.http_sd_configs[0])))
    assert not [text for text in texts if "s3cret" in text]
    assert "shown" in texts[0]


def test_the_tls_of_a_server_is_that_of_devices() -> None:
    request = prepare_request(HttpSdConfig(url=HTTPS))
    assert request.tls.verify_mode == ssl.CERT_REQUIRED
    assert request.tls.check_hostname
