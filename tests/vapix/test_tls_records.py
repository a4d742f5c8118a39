"""A device that sends TLS records without data, between polls or instead of a response."""

import asyncio
import socket
import ssl
from contextlib import suppress

import pytest

from exporter.vapix.tls import TlsSettings
from tests.support.certificates import Certificate
from tests.support.empty_records import Kind, queue_empty_record
from tests.vapix.tls_device import (
    INFO,
    Behaviour,
    Seen,
    client_of,
    context_with,
    device_that,
    failure_of,
    read_request,
)

SETTINGS = TlsSettings(insecure_skip_verify=True)

MANY_RECORDS = 1_000_000
"""Some 27 MB, or 9 s of CPU for who reads them all; a device stops when its connection ends."""


def _flooding(context: ssl.SSLContext, kind: Kind, sent: list[int], *, answers: bool) -> Behaviour:
    def behave(plain: socket.socket) -> None:
        with context.wrap_socket(plain, server_side=True) as tls:
            with tls.makefile("rb") as stream:
                assert read_request(stream, Seen())
            if answers:
                tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(INFO) + INFO)
            sent.append(_count_sent(tls, kind))

    return behave


def _count_sent(tls: ssl.SSLSocket, kind: Kind) -> int:
    """Send records until the connection ends; return how many."""
    for count in range(MANY_RECORDS):
        try:
            queue_empty_record(tls, kind)
            tls.getpeername()  # OpenSSL hides that a ticket could not be sent
        except OSError:
            return count
    return MANY_RECORDS


@pytest.mark.parametrize("kind", ["keyupdate", "ticket"])
async def test_a_flood_without_data_ends_the_idle_connection_and_the_next_poll_is_answered(
    factory: Certificate, kind: Kind
) -> None:
    sent: list[int] = []
    behave = _flooding(context_with(factory), kind, sent, answers=True)
    async with (
        asyncio.timeout(30),
        device_that(behave) as address,
        client_of(address, SETTINGS) as client,
    ):
        for polls in (1, 2):
            assert (await client.get_info()).value.client is not None
            while len(sent) < polls:
                await asyncio.sleep(0.001)
    assert max(sent) < MANY_RECORDS / 2


async def test_a_flood_without_data_instead_of_a_response_is_a_tls_error(
    factory: Certificate,
) -> None:
    sent: list[int] = []
    behave = _flooding(context_with(factory), "keyupdate", sent, answers=False)
    async with asyncio.timeout(30), device_that(behave) as address:
        error = await failure_of(address, SETTINGS)
    assert (error.reason, str(error)) == ("tls", "TLS failed: too many TLS records without data")
    assert max(sent) < MANY_RECORDS / 2


async def test_a_device_that_changes_its_keys_at_every_response_keeps_its_connection(
    factory: Certificate,
) -> None:
    context, connections = context_with(factory), 0

    def behave(plain: socket.socket) -> None:
        nonlocal connections
        connections += 1
        with (
            context.wrap_socket(plain, server_side=True) as tls,
            tls.makefile("rb") as stream,
            suppress(OSError),
        ):
            while read_request(stream, Seen()):
                queue_empty_record(tls, "keyupdate")
                queue_empty_record(tls, "ticket")
                tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(INFO) + INFO)

    async with device_that(behave) as address, client_of(address, SETTINGS) as client:
        for _ in range(5):
            assert (await client.get_info()).value.client is not None
    assert connections == 1
