"""Addresses with a zone, such as `fe80::1%eth0`, against Apache httpd.

Apache answers 400 to a `Host` with a zone, and no certificate can name one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exporter.config.schema import AuthConfig, DeviceConfig, ModuleConfig
from exporter.config.tls import DeviceTlsConfig
from exporter.config.types import Secret
from exporter.fleet.client_factory import ClientFactory, read_client_settings
from exporter.system.addresses import without_zone
from exporter.vapix import errors
from exporter.vapix.client import NtpClient
from exporter.vapix.connection import open_session
from tests.real.conftest import StartApache
from tests.support.apache import Apache
from tests.support.apache_config import PASSWORD, USERNAME, ApacheSettings
from tests.support.certificates import authority


def zoned_addresses() -> list[str]:
    """Return this machine's addresses with a zone: loopback's, and the link-local ones."""
    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        return []  # no IPv6
    return sorted(filter(None, map(_zoned, lines)))


def _zoned(line: str) -> str | None:
    digits, index, _prefix, _scope, _flags, interface = line.split()
    address = ipaddress.IPv6Address(bytes.fromhex(digits))
    if address.is_link_local:
        return f"{address}%{interface}"
    # The C library takes only numbers as zones of addresses that are not link-local.
    return f"{address}%{int(index, 16)}" if address.is_loopback else None


def listen_host(address: str) -> str:
    """Return where Apache listens: it takes zones of link-local addresses only."""
    return "[::1]" if address.startswith("::1%") else f"[{address}]"


ADDRESSES = zoned_addresses()
pytestmark = pytest.mark.skipif(not ADDRESSES, reason="this machine has no IPv6")
each_address = pytest.mark.parametrize("address", ADDRESSES)
ACCOUNT = AuthConfig(username=USERNAME, password=Secret(PASSWORD))


@asynccontextmanager
async def client_of(apache: Apache, zoned: str, module: ModuleConfig) -> AsyncIterator[NtpClient]:
    """Open the client that the daemon would make for the device as configured."""
    device = DeviceConfig(address=f"[{zoned}]:{apache.port}")
    async with open_session() as session:
        factory = ClientFactory(read_client_settings(module))
        yield factory.client(device.address, session)


@each_address
async def test_a_zone_is_for_the_connection_and_not_in_the_host_header(
    start_apache: StartApache, address: str
) -> None:
    apache = start_apache(ApacheSettings(host=listen_host(address)))
    async with client_of(apache, address, ModuleConfig(scheme="http", auth=ACCOUNT)) as client:
        for _ in range(3):
            await client.get_info()
    requests = apache.requests()
    assert [request.status for request in requests] == [401, 200, 200, 200]
    assert {request.host for request in requests} == {
        f"[{address.split('%', maxsplit=1)[0]}]:{apache.port}"
    }


@each_address
@pytest.mark.parametrize("names", ["the device", "another device"])
async def test_a_certificate_is_compared_with_the_address_without_its_zone(
    start_apache: StartApache, tmp_path: Path, address: str, names: str
) -> None:
    ca = authority(tmp_path / "ca")
    named = without_zone(address) if names == "the device" else "2001:db8::1"
    certificate, key = ca.issue("camera", named)
    chain = tmp_path / "camera.pem"
    chain.write_bytes(certificate.read_bytes() + key.read_bytes())
    apache = start_apache(ApacheSettings(host=listen_host(address), certificate=chain))
    tls = DeviceTlsConfig(ca_file=ca.file)
    module = ModuleConfig(scheme="https", auth=ACCOUNT, tls_config=tls)
    async with client_of(apache, address, module) as client:
        if names == "the device":
            await client.get_info()
        else:
            with pytest.raises(errors.CertificateNotTrusted, match="IP address mismatch"):
                await client.get_info()
