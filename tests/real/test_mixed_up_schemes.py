"""http spoken to with https and the other way round, by Apache and OpenSSL's server."""

from __future__ import annotations

import html
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporter.vapix import errors
from exporter.vapix.tls import TlsSettings
from tests.check.process import check, empty_folder
from tests.real.conftest import StartApache
from tests.support.apache import Apache
from tests.support.apache_client import ClientOptions, open_client
from tests.support.apache_config import PASSWORD, USERNAME, ApacheSettings
from tests.support.certificates import self_signed
from tests.support.daemon_process import blocking_daemon
from tests.support.programs import LOOPBACK, find_program, free_port, running, wait_until

ANY_CERTIFICATE = ClientOptions(tls=TlsSettings(insecure_skip_verify=True))

ON_HTTP = "TLS failed: the device seems to speak plain HTTP on this port, not https"
ON_HTTPS = "HTTP 400: the device speaks https on this port, not plain HTTP"


@pytest.fixture
def plain(start_apache: StartApache) -> Apache:
    return start_apache(ApacheSettings())


@pytest.fixture
def secure(start_apache: StartApache, tmp_path: Path) -> Apache:
    return start_apache(ApacheSettings(certificate=self_signed(tmp_path).with_key))


async def test_https_to_apache_in_plain_http_says_so(plain: Apache) -> None:
    async with open_client(plain, ANY_CERTIFICATE) as client:
        with pytest.raises(errors.PlainHttp) as caught:
            await client.get_info()
    assert (caught.value.reason, str(caught.value)) == ("tls", ON_HTTP)


async def test_plain_http_to_apache_with_https_says_so(secure: Apache) -> None:
    async with open_client(secure) as client:
        with pytest.raises(errors.HttpsPort) as caught:
            await client.get_info()
    error = caught.value
    assert (error.reason, error.code, str(error)) == ("http_status", 400, ON_HTTPS)


@contextmanager
def openssl_server(folder: Path) -> Iterator[str]:
    """OpenSSL's server, which closes the connection of a client that does not speak TLS."""
    port = free_port()
    command = [find_program("openssl", "openssl"), "s_server", "-accept", f"{LOOPBACK}:{port}"]
    command += ["-cert", str(self_signed(folder).with_key), "-www"]

    def is_listening(_program: object) -> bool:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True

    with running(command, folder / "openssl.log", is_listening):
        yield f"{LOOPBACK}:{port}"


async def test_plain_http_to_openssls_server_says_what_to_check(tmp_path: Path) -> None:
    folder = empty_folder(tmp_path)
    with openssl_server(tmp_path) as address:
        run = await check(address, "--scheme=http", folder=folder)
    assert "  problem      disconnected: " in run.out
    assert "Check whether http and https are mixed up (--scheme)" in run.out


ACCOUNT = (f"--username={USERNAME}", "--insecure-skip-verify")


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_check_names_the_flag_and_hides_the_password(
    scheme: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    apache: Apache = request.getfixturevalue("secure" if scheme == "http" else "plain")
    words = (*ACCOUNT, f"--scheme={scheme}")
    folder, typed = empty_folder(tmp_path), f"{PASSWORD}\n".encode()
    run = await check(apache.address, *words, folder=folder, typed=typed)
    problem, advice = {
        "https": (ON_HTTP, "Use the device's https port, or add --scheme http."),
        "http": (ON_HTTPS, "Add --scheme https."),
    }[scheme]
    assert f": {problem}\n" in run.out
    assert f"  what to do   {advice}\n" in run.out
    assert PASSWORD not in run.out + run.err
    assert {request.authorization for request in apache.requests()} == {None}
    assert run.code == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_daemons_log_and_page_name_the_setting(
    scheme: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    apache: Apache = request.getfixturevalue("secure" if scheme == "http" else "plain")
    account = {"username": USERNAME, "password": PASSWORD}
    config = {
        "global": {"interval": "100ms"},
        "modules": {"default": {"scheme": scheme, "auth": account}},
        "devices": [{"address": apache.address, "name": "lobby"}],
    }
    problem, advice = {
        "https": (ON_HTTP, "Use the device's https port, or set `scheme: http` in its module."),
        "http": (ON_HTTPS, "Set `scheme: https` in its module."),
    }[scheme]
    with blocking_daemon(config, tmp_path) as daemon:
        wait_until(lambda: daemon.get("/-/ready").status == 200, "a poll", daemon.program.log)
        page = html.unescape(daemon.get("/device/lobby").text)
        assert problem in daemon.program.log()
    assert problem in page
    assert advice in page
    assert PASSWORD not in page + daemon.program.log()
