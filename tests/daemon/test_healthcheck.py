"""`healthcheck` of the installed command against a daemon, as a container engine runs it."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.series import NOTHING
from tests.support.certificates import authority, encrypt
from tests.support.command_process import run_to_end
from tests.support.daemon_process import COMMAND, PATIENCE_SECONDS, DaemonProcess, daemon_on
from tests.support.web_config import ALICE, TLS, write

LOOPBACK = "127.0.0.1"
SOON = {"global": {"interval": "1s"}}
FOR_KNOWN_CLIENTS = {
    "client_auth_type": "RequireAndVerifyClientCert",
    "client_ca_file": "ca.pem",
}


async def healthcheck(address: str, *flags: str) -> tuple[int | None, str]:
    return await run_to_end(str(COMMAND), "healthcheck", f"--web.listen-address={address}", *flags)


async def until_ready(address: str, *flags: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await healthcheck(address, "--ready", *flags) != (0, "ready\n"):
            await asyncio.sleep(0.05)


def address_of(running: DaemonProcess) -> str:
    return running.url.partition("://")[2]


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address that is in use but does not accept connections."""
    with socket.socket() as bound:
        bound.bind((LOOPBACK, 0))
        yield f"{LOOPBACK}:{bound.getsockname()[1]}"


@pytest.mark.parametrize(
    "web_config",
    [
        {},
        ALICE,
        ALICE | TLS,
        {"tls_server_config": TLS["tls_server_config"] | FOR_KNOWN_CLIENTS},
        {
            "tls_server_config": TLS["tls_server_config"]
            | FOR_KNOWN_CLIENTS
            | {"max_version": "TLS12"}
        },
    ],
    ids=["open", "password", "TLS", "client certificate", "client certificate by TLS 1.2"],
)
async def test_a_daemon_that_responds_is_healthy_with_any_web_config(
    web_config: dict[str, Any], tmp_path: Path
) -> None:
    authority(tmp_path)
    flag = f"--web.config.file={write(tmp_path, web_config)}"
    async with daemon_on(NOTHING, tmp_path, flag) as running:
        assert await healthcheck(address_of(running)) == (0, "healthy\n")
    assert "Traceback" not in running.text
    assert "level=error" not in running.text


@pytest.mark.parametrize(
    ("of_daemon", "of_healthcheck"),
    [
        (["--web.route-prefix=/clocks"], ["--web.route-prefix=clocks/"]),
        (["--web.external-url=https://h.example/clocks/"], ["--web.route-prefix=/clocks"]),
        2 * (["--web.external-url=https://h.example/clocks"],),
        2 * (["--web.external-url=https://h.example/clocks", "--web.route-prefix=/"],),
    ],
)
async def test_a_daemon_below_a_prefix_is_asked_there_without_a_password(
    of_daemon: list[str], of_healthcheck: list[str], tmp_path: Path
) -> None:
    flag = f"--web.config.file={write(tmp_path, ALICE)}"
    async with daemon_on(NOTHING, tmp_path, flag, *of_daemon) as running:
        found = await healthcheck(address_of(running), *of_healthcheck)
        elsewhere = await healthcheck(address_of(running), "--web.route-prefix=/other")
    assert found == (0, "healthy\n")
    assert elsewhere == (1, "unhealthy: /other/-/healthy returned 401\n")


async def test_a_daemon_that_hangs_is_unhealthy(tmp_path: Path) -> None:
    async with daemon_on(NOTHING, tmp_path) as running:
        running.process.send_signal(signal.SIGSTOP)
        where = address_of(running)
        assert await healthcheck(where) == (1, f"unhealthy: {where}: timed out\n")
        running.process.send_signal(signal.SIGCONT)


async def test_without_a_daemon_the_check_fails(nowhere: str) -> None:
    refused = f"{nowhere}: Connection refused\n"
    assert await healthcheck(nowhere) == (1, f"unhealthy: {refused}")
    assert await healthcheck(nowhere, "--ready") == (1, f"not ready: {refused}")


@pytest.mark.parametrize("web_config", [{}, ALICE | TLS], ids=["open", "TLS and a password"])
async def test_a_daemon_is_ready_when_each_device_was_polled_once(
    web_config: dict[str, Any], tmp_path: Path
) -> None:
    authority(tmp_path)
    flag = f"--web.config.file={write(tmp_path, web_config)}"
    # Linux accepts the connection of the poll, and nothing answers it until the socket is closed.
    with socket.create_server((LOOPBACK, 0)) as silent:
        device = {"address": f"{LOOPBACK}:{silent.getsockname()[1]}"}
        async with daemon_on(SOON | {"devices": [device]}, tmp_path, flag) as running:
            address = address_of(running)
            assert await healthcheck(address, "--ready") == (
                1,
                "not ready: /-/ready returned 503\n",
            )
            assert await healthcheck(address) == (0, "healthy\n")
            silent.close()
            await until_ready(address)


async def test_whether_a_daemon_is_ready_needs_its_client_certificate(tmp_path: Path) -> None:
    issuer = authority(tmp_path)
    certificate, key = issuer.issue("client")
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    other_certificate, other_key = authority(tmp_path / "other").issue("client")
    config = {"tls_server_config": TLS["tls_server_config"] | FOR_KNOWN_CLIENTS}
    flag = f"--web.config.file={write(tmp_path, config)}"
    async with daemon_on(SOON | NOTHING, tmp_path, flag) as running:
        address = address_of(running)

        async def ask(*files: Path) -> tuple[int | None, str]:
            names = ("--cert-file", "--key-file")
            flags = [f"{name}={file}" for name, file in zip(names, files, strict=False)]
            return await healthcheck(address, "--ready", *flags)

        await until_ready(address, f"--cert-file={certificate}", f"--key-file={key}")
        assert await ask(certificate, key) == (0, "ready\n")
        assert await ask(both) == (0, "ready\n")
        for files, alert in [
            ((), "TLSV13_ALERT_CERTIFICATE_REQUIRED"),
            ((other_certificate, other_key), "TLSV1_ALERT_UNKNOWN_CA"),
        ]:
            assert await ask(*files) == (
                1,
                f"not ready: the daemon refused the TLS connection ({alert}): add --cert-file and "
                "--key-file with a certificate that its client_ca_file has signed\n",
            )


async def test_an_unusable_client_certificate_is_an_error_not_a_question(tmp_path: Path) -> None:
    issuer = authority(tmp_path)
    certificate, key = issuer.issue("client")
    encrypt(key, tmp_path / "encrypted.key")
    async with daemon_on(NOTHING, tmp_path, f"--web.config.file={write(tmp_path, TLS)}") as running:
        for name in ("missing.key", "encrypted.key", "server.key"):
            code, output = await healthcheck(
                address_of(running),
                "--ready",
                f"--cert-file={certificate}",
                f"--key-file={tmp_path / name}",
            )
            assert code == 1
            assert output.startswith(f"not ready: {certificate}, {tmp_path / name}: ")
            assert "Traceback" not in output


async def test_a_key_without_its_certificate_is_a_usage_error(nowhere: str) -> None:
    code, output = await healthcheck(nowhere, "--key-file=client.key")
    assert (code, output) == (2, "healthcheck: --key-file needs --cert-file\n")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "unhealthy: /-/healthy returned 503\n"),
        (b"", "unhealthy: "),
        (b"220 mail.example ESMTP\r\n", "unhealthy: "),
    ],
    ids=["503", "nothing", "another protocol"],
)
async def test_any_other_response_on_the_port_is_unhealthy(answer: bytes, message: str) -> None:
    async def answer_and_close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(answer_and_close, LOOPBACK, 0) as server:
        port = server.sockets[0].getsockname()[1]
        code, output = await healthcheck(f"{LOOPBACK}:{port}")
    assert code == 1
    assert output.startswith(message)
    assert "Traceback" not in output


def has(address: str) -> bool:
    """Return whether this machine has that IPv6 address."""
    try:
        with socket.create_server((address, 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


WHERE_THERE_IS_IPV6 = pytest.mark.skipif(not has("::1"), reason="this machine has no ::1")


@pytest.mark.parametrize(
    ("every", "asked"),
    [
        ("", LOOPBACK),
        ("0.0.0.0", LOOPBACK),
        pytest.param("[::]", "::1", marks=WHERE_THERE_IS_IPV6),
    ],
    ids=["", "IPv4", "IPv6"],
)
async def test_wildcard_addresses_are_checked_on_loopback(every: str, asked: str) -> None:
    # Linux itself connects `::` to `::1`, so a response proves nothing: check the Host header.
    requests: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, asked, 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await healthcheck(f"{every}:{port}") == (0, "healthy\n")
    name = f"[{asked}]" if ":" in asked else asked
    assert f"\r\nHost: {name}:{port}\r\n".encode() in requests[0]


@pytest.mark.parametrize("host", ["", "0.0.0.0"])
async def test_a_daemon_is_found_on_loopback_under_a_wildcard_address(
    host: str, tmp_path: Path
) -> None:
    async with daemon_on(NOTHING, tmp_path) as running:
        port = address_of(running).rpartition(":")[2]
        assert (await healthcheck(f"{host}:{port}"))[0] == 0
