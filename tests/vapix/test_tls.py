"""TLS towards a device on real sockets: who is believed, how old a protocol, what is told."""

import asyncio
import socket
import socketserver
import ssl
import threading
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest
import trustme
from yarl import URL

from exporter.device import Device, Target
from exporter.hold import Hold
from exporter.poller import poll_once
from exporter.tls_versions import TlsVersion
from exporter.vapix import errors, ntp
from exporter.vapix.auth import Authenticator
from exporter.vapix.client import Endpoint, NtpClient
from exporter.vapix.session import open_session
from exporter.vapix.tls import TlsSettings, make_ssl_context
from tests.real.certificates import Certificate, self_signed

PATIENCE_SECONDS = 30.0
LOBBY = "lobby.cameras.example"
GATE = "gate.cameras.example"
INFO = b'{"apiVersion": "1.0", "data": {"client": {"enabled": true}}}'
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@dataclass
class Seen:
    """What a device saw of its visitors; complete once it is gone. `http` is after decryption."""

    server_names: list[str | None] = field(default_factory=list)
    versions: list[str | None] = field(default_factory=list)
    visitors: list[str | None] = field(default_factory=list)
    http: bytes = b""


Behaviour = Callable[[socket.socket], None]
"""What a device does with a connection, in a thread of its own, until the connection ends."""


@asynccontextmanager
async def device_that(behave: Behaviour) -> AsyncIterator[str]:
    """A device's address. It is Python's plain sockets: no code in common with the client's."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(PATIENCE_SECONDS)
            with suppress(OSError):
                behave(self.request)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        await asyncio.to_thread(server.shutdown)
        await asyncio.to_thread(server.server_close)
        await asyncio.to_thread(thread.join)


def speaks(context: ssl.SSLContext, seen: Seen) -> Behaviour:
    """A device as it should be: it takes note of who comes, and answers every request."""

    def note_name(_connection: object, name: str | None, _context: object) -> None:
        seen.server_names.append(name)

    def behave(connection: socket.socket) -> None:
        with context.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        ) as secured:
            try:
                secured.do_handshake()
            except ssl.SSLError:
                # The alert is out. Whoever closes on unread data takes it back.
                drain(lambda: socket.socket.recv(secured, 65_536))
                return
            seen.versions.append(secured.version())
            seen.visitors.append(common_name(secured.getpeercert()))
            answer_requests(secured, seen)

    context.sni_callback = note_name
    return behave


def common_name(certificate: Any) -> str | None:
    parts = dict(part[0] for part in (certificate or {}).get("subject", ()))
    name: str | None = parts.get("commonName")
    return name


def drain(receive: Callable[[], bytes]) -> None:
    while receive():
        pass


def answer_requests(connection: socket.socket, seen: Seen) -> None:
    with connection.makefile("rwb") as stream:
        while read_request(stream, seen):
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(INFO)}\r\n\r\n"
            stream.write(head.encode() + INFO)
            stream.flush()


class Readable(Protocol):
    def readline(self) -> bytes: ...
    def read(self, size: int) -> bytes: ...


def read_request(stream: Readable, seen: Seen) -> bool:
    """Take one request in, byte for byte what came; whether it was whole."""
    length = 0
    for line in iter(stream.readline, b""):
        seen.http += line
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
        if line == b"\r\n":
            body = stream.read(length)
            seen.http += body
            return len(body) == length
    return False


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def trusted(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(file)
    return file


@pytest.fixture(scope="session")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return self_signed(tmp_path_factory.mktemp("factory"))


def issued_to(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def as_made(factory: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(factory.with_key)
    return context


def only(version: ssl.TLSVersion, context: ssl.SSLContext) -> ssl.SSLContext:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    if version < TLS12:
        context.set_ciphers("ALL:@SECLEVEL=0")
    return context


@asynccontextmanager
async def client_of(
    address: str, settings: TlsSettings, server_name: str | None = None
) -> AsyncIterator[NtpClient]:
    endpoint = Endpoint(
        URL(f"https://{address}{ntp.PATH}"), make_ssl_context(settings), server_name
    )
    async with open_session() as session:
        yield NtpClient(session, endpoint, Authenticator("auto", None, secure=True))


async def is_read(address: str, settings: TlsSettings, server_name: str | None = None) -> bool:
    async with client_of(address, settings, server_name) as client:
        return (await client.get_info()).client is not None


async def failure_of(
    address: str, settings: TlsSettings, server_name: str | None = None
) -> errors.DeviceError:
    async with client_of(address, settings, server_name) as client:
        with pytest.raises(errors.DeviceError) as caught:
            await client.get_info()
    return caught.value


def explanation(error: errors.DeviceError) -> str:
    return str(error).partition(":")[2].strip()


async def test_a_self_signed_certificate_is_refused_by_default(factory: Certificate) -> None:
    seen = Seen()
    async with device_that(speaks(as_made(factory), seen)) as address:
        error = await failure_of(address, TlsSettings(), factory.name)
    assert error.reason == "tls"
    assert explanation(error) == (
        "self-signed certificate; to believe it: "
        f"tls_config.fingerprint_sha256: {factory.fingerprint.hex()}, or ca_file"
    )
    assert seen.http == b""


async def test_an_issuer_that_is_not_configured_is_refused_by_default(
    authority: trustme.CA,
) -> None:
    seen = Seen()
    async with device_that(speaks(issued_to(authority, "127.0.0.1"), seen)) as address:
        error = await failure_of(address, TlsSettings())
    assert error.reason == "tls"
    assert "unable to get local issuer certificate" in explanation(error)
    assert seen.http == b""


async def test_a_certificate_of_ca_file_for_the_address_is_accepted(
    authority: trustme.CA, trusted: Path
) -> None:
    async with device_that(speaks(issued_to(authority, "127.0.0.1"), Seen())) as address:
        assert await is_read(address, TlsSettings(ca_file=trusted))


@pytest.mark.parametrize(
    ("server_name", "asked_for"), [(None, "127.0.0.1"), (GATE, GATE), ("127.0.0.2", "127.0.0.2")]
)
async def test_a_certificate_of_ca_file_for_another_name_is_refused_and_the_name_told(
    server_name: str | None, asked_for: str, authority: trustme.CA, trusted: Path
) -> None:
    seen = Seen()
    async with device_that(speaks(issued_to(authority, LOBBY), seen)) as address:
        error = await failure_of(address, TlsSettings(ca_file=trusted), server_name)
    assert error.reason == "tls"
    assert asked_for in explanation(error)
    assert explanation(error).endswith(", or server_name")
    assert seen.http == b""


async def test_server_name_is_the_name_that_is_asked_for_and_verified(
    authority: trustme.CA, trusted: Path
) -> None:
    seen = Seen()
    async with device_that(speaks(issued_to(authority, LOBBY), seen)) as address:
        assert await is_read(address, TlsSettings(ca_file=trusted), LOBBY)
    assert seen.server_names == [LOBBY]


async def test_without_verification_any_certificate_is_accepted(factory: Certificate) -> None:
    async with device_that(speaks(as_made(factory), Seen())) as address:
        assert await is_read(address, TlsSettings(insecure_skip_verify=True))


async def test_a_connection_without_verification_is_not_lent_to_a_client_that_verifies(
    factory: Certificate,
) -> None:
    seen = Seen()
    async with device_that(speaks(as_made(factory), seen)) as address, open_session() as session:
        url = URL(f"https://{address}{ntp.PATH}")
        careless, careful = (
            NtpClient(
                session,
                Endpoint(url, make_ssl_context(TlsSettings(insecure_skip_verify=skip))),
                Authenticator("auto", None, secure=True),
            )
            for skip in (True, False)
        )
        await careless.get_info()
        with pytest.raises(errors.TlsFailed):
            await careful.get_info()
    assert seen.http.count(b"POST ") == 1


@pytest.mark.parametrize("version", [TLS12, TLS13])
async def test_the_pinned_certificate_is_accepted_whoever_signed_it(
    version: ssl.TLSVersion, factory: Certificate
) -> None:
    tls = TlsSettings(fingerprint_sha256=factory.fingerprint)
    async with device_that(speaks(only(version, as_made(factory)), Seen())) as address:
        assert await is_read(address, tls)


@pytest.mark.parametrize("also", [{}, {"insecure_skip_verify": True}])
@pytest.mark.parametrize("version", [TLS12, TLS13])
async def test_another_certificate_than_the_pinned_is_told_and_gets_no_byte_of_http(
    version: ssl.TLSVersion, also: dict[str, Any], factory: Certificate
) -> None:
    seen = Seen()
    tls = TlsSettings(fingerprint_sha256=bytes(32), **also)
    async with device_that(speaks(only(version, as_made(factory)), seen)) as address:
        error = await failure_of(address, tls)
    assert error.reason == "tls"
    assert f"tls_config.fingerprint_sha256: {factory.fingerprint.hex()}" in explanation(error)
    assert seen.http == b""


async def test_the_pin_is_checked_at_every_connection(
    factory: Certificate, authority: trustme.CA
) -> None:
    # The device's identity changes between two connections of one client.
    seen, contexts = Seen(), iter([as_made(factory), issued_to(authority, "127.0.0.1")])

    def once(connection: socket.socket) -> None:
        with next(contexts).wrap_socket(connection, server_side=True) as secured:
            with secured.makefile("rwb") as stream:
                if read_request(stream, seen):
                    head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(INFO)}"
                    stream.write(head.encode() + b"\r\n\r\n" + INFO)
                    stream.flush()
            drain(lambda: secured.recv(65_536))

    tls = TlsSettings(fingerprint_sha256=factory.fingerprint)
    async with device_that(once) as address, client_of(address, tls) as client:
        await client.get_info()
        with pytest.raises(errors.TlsFailed):
            await client.get_info()
    assert seen.http.count(b"POST ") == 1


async def test_a_device_that_speaks_only_tls_1_2_is_refused_by_min_version_tls13(
    authority: trustme.CA, trusted: Path
) -> None:
    seen = Seen()
    context = only(TLS12, issued_to(authority, "127.0.0.1"))
    async with device_that(speaks(context, seen)) as address:
        error = await failure_of(address, TlsSettings(ca_file=trusted, min_version="TLS13"))
    assert error.reason == "tls"
    assert "version" in explanation(error)
    assert seen.http == b""


@pytest.mark.parametrize(
    ("min_version", "offered", "spoken"),
    [("TLS12", TLS12, "TLSv1.2"), ("TLS12", TLS13, "TLSv1.3"), ("TLS13", TLS13, "TLSv1.3")],
)
async def test_a_device_that_speaks_at_least_min_version_is_read(
    min_version: TlsVersion,
    offered: ssl.TLSVersion,
    spoken: str,
    authority: trustme.CA,
    trusted: Path,
) -> None:
    seen = Seen()
    context = only(offered, issued_to(authority, "127.0.0.1"))
    async with device_that(speaks(context, seen)) as address:
        assert await is_read(address, TlsSettings(ca_file=trusted, min_version=min_version))
    assert seen.versions == [spoken]


def speaks_here(version: ssl.TLSVersion, authority: trustme.CA) -> bool:
    """Whether the OpenSSL that Python has here speaks an old version at all, made to."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        client = only(version, context).wrap_bio(to_client, to_server)
        server = only(version, issued_to(authority, LOBBY)).wrap_bio(
            to_server, to_client, server_side=True
        )
        for _ in range(4):
            for side in (client, server):
                with suppress(ssl.SSLWantReadError):
                    side.do_handshake()
    except ssl.SSLError:
        return False
    return client.version() is not None


@pytest.mark.parametrize(
    ("offered", "accepted_by"),
    [
        (ssl.TLSVersion.TLSv1, {"TLS10"}),
        (ssl.TLSVersion.TLSv1_1, {"TLS10", "TLS11"}),
    ],
)
@pytest.mark.parametrize("min_version", ["TLS10", "TLS11", "TLS12", "TLS13"])
async def test_an_old_version_is_spoken_only_where_min_version_asks_for_it(
    offered: ssl.TLSVersion,
    accepted_by: set[TlsVersion],
    min_version: TlsVersion,
    authority: trustme.CA,
    trusted: Path,
) -> None:
    if not speaks_here(offered, authority):
        pytest.skip(f"{ssl.OPENSSL_VERSION} as it is set up here does not speak {offered.name}")
    seen = Seen()
    settings = TlsSettings(ca_file=trusted, min_version=min_version)
    context = only(offered, issued_to(authority, "127.0.0.1"))
    async with device_that(speaks(context, seen)) as address:
        if min_version in accepted_by:
            assert await is_read(address, settings)
        else:
            assert (await failure_of(address, settings)).reason == "tls"
    assert bool(seen.http) == (min_version in accepted_by)


@pytest.fixture(scope="session")
def client_certificate(
    authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("client")
    issued = authority.issue_cert("exporter@example.org", common_name="the exporter")
    files = {"cert_file": folder / "cert.pem", "key_file": folder / "key.pem"}
    issued.cert_chain_pems[0].write_to_path(files["cert_file"])
    issued.private_key_pem.write_to_path(files["key_file"])
    return files


def demanding(version: ssl.TLSVersion, authority: trustme.CA) -> ssl.SSLContext:
    context = only(version, issued_to(authority, "127.0.0.1"))
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    return context


@pytest.mark.parametrize("version", [TLS12, TLS13])
async def test_the_client_certificate_is_shown_to_a_device_that_demands_one(
    version: ssl.TLSVersion,
    authority: trustme.CA,
    trusted: Path,
    client_certificate: dict[str, Any],
) -> None:
    seen = Seen()
    async with device_that(speaks(demanding(version, authority), seen)) as address:
        assert await is_read(address, TlsSettings(ca_file=trusted, **client_certificate))
    assert seen.visitors == ["the exporter"]


@pytest.mark.parametrize(
    ("version", "told"), [(TLS12, "alert handshake failure"), (TLS13, "certificate required")]
)
async def test_a_client_certificate_that_is_missing_is_told_as_the_devices_refusal(
    version: ssl.TLSVersion, told: str, authority: trustme.CA, trusted: Path
) -> None:
    # In TLS 1.3 the handshake is over for the client before the device refuses it: the refusal
    # may come before, while or after the request is written. Twenty times, so that all are met.
    async with device_that(speaks(demanding(version, authority), Seen())) as address:
        failures = [await failure_of(address, TlsSettings(ca_file=trusted)) for _ in range(20)]
    assert {failure.reason for failure in failures} == {"tls"}
    said = [explanation(failure).lower().replace("_", " ") for failure in failures]
    assert all(told in each for each in said)


async def test_plain_http_on_the_tls_port_is_a_failure_of_tls() -> None:
    def answers_in_the_clear(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        drain(lambda: connection.recv(65_536))

    async with device_that(answers_in_the_clear) as address:
        error = await failure_of(address, TlsSettings(insecure_skip_verify=True))
    assert error.reason == "tls"
    assert explanation(error)


def close_at_once(_connection: socket.socket) -> None:
    """The visitor's hello stays unread: where it came first the end is a reset."""


def close_after_the_hello(connection: socket.socket) -> None:
    connection.recv(65_536)


def reset_after_the_hello(connection: socket.socket) -> None:
    connection.recv(65_536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


@pytest.mark.parametrize("behave", [close_at_once, close_after_the_hello, reset_after_the_hello])
async def test_a_connection_that_ends_within_the_handshake_has_a_reason_and_an_explanation(
    behave: Behaviour,
) -> None:
    async with device_that(behave) as address:
        error = await failure_of(address, TlsSettings(insecure_skip_verify=True))
    assert error.reason in ("tls", "connect")
    assert explanation(error)


async def test_a_handshake_that_stalls_ends_with_the_polls_deadline() -> None:
    left: list[bool] = []

    def stalls(connection: socket.socket) -> None:
        drain(lambda: connection.recv(65_536))
        left.append(True)

    async with (
        asyncio.timeout(10),
        device_that(stalls) as address,
        client_of(address, TlsSettings(insecure_skip_verify=True)) as client,
    ):
        result, sightings = await poll_once(
            Device(Target("x", address, {}, 60, 0.2), client), Hold()
        )
    assert isinstance(result, errors.DeviceError)
    assert (result.reason, sightings) == ("timeout", [])
    assert left == [True], "the connection is closed, not left behind"
