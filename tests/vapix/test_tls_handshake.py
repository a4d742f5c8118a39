"""TLS to a device on real sockets: what is reported if the handshake fails."""

import asyncio
import socket

import pytest

from exporter.vapix import errors
from exporter.vapix.tls import TlsSettings
from tests.vapix.tls_device import Behaviour, client_of, device_that, drain, explanation, failure_of


async def test_plain_http_on_the_tls_port_is_a_tls_error() -> None:
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
    """Close without reading the client's hello: a reset if the hello has arrived already."""


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
        with pytest.raises(errors.PollTimeout) as timeout:
            await client.get_info(timeout_seconds=0.2)
    assert timeout.value.times.responses == ()
    assert left == [True], "the connection is closed, not left behind"


async def test_a_handshake_of_endless_messages_is_a_tls_error_long_before_the_deadline() -> None:
    hello_requests = b"\x16\x03\x03\x40\x00" + b"\0\0\0\0" * 4096

    def floods(connection: socket.socket) -> None:
        connection.recv(65_536)
        while True:
            connection.sendall(hello_requests)

    async with device_that(floods) as address:
        error = await failure_of(address, TlsSettings(insecure_skip_verify=True))
    assert (error.reason, str(error)) == ("tls", "TLS failed: the handshake is too long")
