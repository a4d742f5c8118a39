"""What a device shows of itself: the serial number in its realm, the end of its certificate."""

import socket
import ssl
from datetime import UTC, datetime
from typing import Any

import pytest
import trustme

from exporter.vapix.identity import UNKNOWN_IDENTITY, find_serial
from exporter.vapix.tls import TlsSettings, certificate_end
from tests.support.certificates import Certificate
from tests.vapix.tls_device import LOBBY, Seen, client_of, context_with, device_that, serves_tls


@pytest.mark.parametrize(
    ("challenges", "serial"),
    [
        ([], ""),
        (['Digest realm="AXIS_B8A44F000001", nonce="x"'], "B8A44F000001"),
        (['Basic realm="AXIS_accc8e000001"'], "ACCC8E000001"),
        (["Basic realm=AXIS_B8A44F000001"], "B8A44F000001"),
        (['Basic realm="Camera"', 'Digest realm="AXIS_B8A44F000002"'], "B8A44F000002"),
        (['Digest realm="AXIS_B8A44F0000012"'], ""),
        (['Digest realm="AXIS_B8A44F00000"'], ""),
        ([f'Digest realm="AXIS_{chr(0x663) * 12}"'], ""),
        (['Digest nonce="AXIS_B8A44F000001"'], ""),
    ],
)
def test_the_serial_number_is_that_of_the_realm(challenges: list[str], serial: str) -> None:
    assert find_serial(challenges) == serial


NEVER = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
"""When a factory certificate ends."""


class StubCertificate:
    """The ssl module's private certificate type."""

    def __init__(self, info: dict[str, str]) -> None:
        self.info = info

    def get_info(self) -> dict[str, str]:
        return self.info


def tls_with(*chain: StubCertificate) -> Any:
    inner = type("Inner", (), {"get_unverified_chain": lambda _: list(chain)})()
    return type("Connection", (), {"_sslobj": inner})()


@pytest.mark.parametrize(
    ("info", "ends"),
    [
        ({"notAfter": "Dec 31 00:00:00 9999 GMT"}, NEVER),
        ({"notAfter": "Jan  1 00:00:00 1950 GMT"}, -631152000),
        ({"notAfter": "Bad time value"}, None),
        ({}, None),
    ],
)
def test_an_unreadable_end_of_a_certificate_is_unknown(
    info: dict[str, str], ends: float | None
) -> None:
    assert certificate_end(tls_with(StubCertificate(info))) == ends


def test_without_a_certificate_its_end_is_unknown() -> None:
    assert certificate_end(tls_with()) is None


async def test_a_client_knows_the_end_of_the_certificate_of_its_last_handshake(
    factory: Certificate, authority: trustme.CA
) -> None:
    ends = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
    renewed = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(LOBBY, not_after=ends).configure_cert(renewed)
    presented = [context_with(factory), renewed]

    def behave(connection: socket.socket) -> None:
        serves_tls(presented.pop(0), Seen())(connection)

    async with (
        device_that(behave) as address,
        client_of(address, TlsSettings(insecure_skip_verify=True)) as client,
    ):
        assert client.identity is UNKNOWN_IDENTITY
        for not_after in (NEVER, ends.timestamp()):
            for _ in range(2):
                await client.get_info()
                assert client.identity == ("", not_after)
            client.release()
