"""TLS records that carry no data: how much of them a connection takes, without any socket."""

import ssl
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
import trustme

from exporter.system.tls import FREE_OVERHEAD_BYTES, BoundedSSLContext
from tests.support.empty_records import KEY_UPDATE_BYTES, Kind, queue_empty_record

ONE_READ_BYTES = 256 * 1024
"""What uvloop and asyncio read from a socket at once."""


class Pair:
    """A bounded client and a server that talk through memory."""

    def __init__(self, authority: trustme.CA, version: ssl.TLSVersion) -> None:
        listening = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        listening.maximum_version = version
        authority.issue_cert("localhost").configure_cert(listening)
        context = BoundedSSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(context)
        self.to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.server = listening.wrap_bio(to_server, self.to_client, server_side=True)
        self.client = context.wrap_bio(self.to_client, to_server, server_hostname="localhost")
        for side in (self.client, self.server) * 2:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue

    def received(self) -> bytes:
        """Read as the event loops do: until nothing is left."""
        return b"".join(self.chunks())

    def chunks(self) -> Iterator[bytes]:
        with suppress(ssl.SSLWantReadError):
            while chunk := self.client.read(ONE_READ_BYTES):
                yield chunk

    def send_empty(self, total_bytes: int, kind: Kind = "keyupdate") -> None:
        end = self.to_client.pending + total_bytes
        while self.to_client.pending < end:
            queue_empty_record(self.server, kind)


def assert_ended(pair: Pair) -> None:
    for use in (pair.received, lambda: pair.client.write(b"request")):
        with pytest.raises(ssl.SSLError, match="without data"):
            use()


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2])
def pair(request: pytest.FixtureRequest) -> Pair:
    return Pair(trustme.CA(), request.param)


@pytest.fixture
def pair13() -> Pair:
    return Pair(trustme.CA(), ssl.TLSVersion.TLSv1_3)


@pytest.mark.parametrize("kind", ["keyupdate", "ticket"])
def test_one_read_full_of_records_without_data_ends_the_connection_at_once(
    pair13: Pair, kind: Kind
) -> None:
    pair13.send_empty(ONE_READ_BYTES, kind)
    before = time.thread_time()
    assert pair13.received() == b""
    assert_ended(pair13)
    assert time.thread_time() - before < 0.1
    assert pair13.to_client.pending > ONE_READ_BYTES / 2, "the rest was not even decrypted"


def test_the_records_of_a_usual_connection_are_free(pair13: Pair) -> None:
    for _ in range(1000):
        pair13.client.write(b"request")
        queue_empty_record(pair13.server, "keyupdate")
        queue_empty_record(pair13.server, "ticket")
        pair13.server.write(b"response")
        assert pair13.received() == b"response"


def test_records_without_data_add_up_until_we_write(pair13: Pair) -> None:
    pair13.received()
    for _ in range(3):
        pair13.client.write(b"request")
        for _ in range(2):
            pair13.send_empty(FREE_OVERHEAD_BYTES // 2 - KEY_UPDATE_BYTES)
            assert pair13.received() == b""
    pair13.send_empty(3 * KEY_UPDATE_BYTES)
    assert pair13.received() == b""
    assert_ended(pair13)


def test_what_arrives_just_before_a_flood_is_still_read(pair13: Pair) -> None:
    pair13.server.write(b"response")
    pair13.send_empty(ONE_READ_BYTES)
    assert pair13.received() == b"response"
    assert_ended(pair13)


def test_a_long_response_in_small_records_is_read_whole(pair: Pair) -> None:
    for _ in range(4000):
        pair.server.write(b"x" * 1024)
    assert pair.received() == b"x" * 4000 * 1024


def test_records_of_one_byte_each_end_the_connection(pair: Pair) -> None:
    for _ in range(10_000):
        pair.server.write(b"x")
    assert len(pair.received()) < FREE_OVERHEAD_BYTES
    assert_ended(pair)


def test_a_record_that_arrives_in_pieces_is_read_once_it_is_whole(pair: Pair) -> None:
    pair.received()
    pair.server.write(b"x" * 16_384)
    record = pair.to_client.read()
    for each in range(len(record)):
        assert pair.received() == b""
        pair.to_client.write(record[each : each + 1])
    assert pair.received() == b"x" * 16_384


def test_what_is_left_undecrypted_counts_as_pending(pair: Pair) -> None:
    pair.received()
    pair.server.write(b"first")
    pair.server.write(b"second")
    assert pair.client.read(100) == b"first"
    assert pair.to_client.pending + pair.client.pending() > 0, "the loops stop reading at 0"
    assert pair.received() == b"second"


def test_data_can_be_read_into_a_buffer(pair: Pair) -> None:
    pair.server.write(b"response")
    buffer = bytearray(100)
    assert pair.client.read(100, buffer) == len(b"response")
    assert buffer.startswith(b"response")


HELLO_REQUESTS = b"\x16\x03\x03\x40\x00" + b"\0\0\0\0" * 4096
"""A record of TLS 1.2 HelloRequests. OpenSSL skips any number of them during the handshake."""


def test_a_handshake_that_never_ends_is_ended() -> None:
    context, received = BoundedSSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.MemoryBIO()
    client = context.wrap_bio(received, ssl.MemoryBIO(), server_hostname="localhost")

    def receive_flood() -> None:
        for _ in range(100):
            received.write(HELLO_REQUESTS * 16)
            with suppress(ssl.SSLWantReadError):
                client.do_handshake()

    before = time.thread_time()
    with pytest.raises(ssl.SSLError, match="handshake"):
        receive_flood()
    assert received.pending > ONE_READ_BYTES / 4, "the rest was not even looked at"
    assert time.thread_time() - before < 0.1
