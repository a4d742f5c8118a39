"""A device as configured."""

from __future__ import annotations

import pytest

from exporter.devices.device import DeviceTarget


@pytest.mark.parametrize(
    ("scheme", "address", "url"),
    [
        ("https", "192.0.2.1", "https://192.0.2.1/"),
        ("http", "lobby.example:8080", "http://lobby.example:8080/"),
        ("https", "[2001:db8::1]:8443", "https://[2001:db8::1]:8443/"),
        ("https", "2001:db8::1", "https://[2001:db8::1]/"),
        ("https", 'evil@x/"><b>', "https://evil%40x%2F%22%3E%3Cb%3E/"),
    ],
)
def test_the_web_page_of_a_device_is_at_its_scheme_and_address(
    scheme: str, address: str, url: str
) -> None:
    assert DeviceTarget("lobby", address, {}, 60, 10, scheme).web_url == url
