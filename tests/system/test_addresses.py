"""Addresses of devices: what is accepted can be used by the client."""

import pytest
from aiohttp.helpers import is_canonical_ipv4_address, is_ip_address
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from exporter.config import DeviceConfig
from exporter.config.schema import ModuleConfig
from exporter.fleet.client_factory import ClientFactory, read_client_settings
from exporter.system.addresses import split_address, without_zone
from exporter.vapix.connection import Session

FACTORY = ClientFactory(read_client_settings(ModuleConfig(scheme="http")))
NO_SESSION: Session = None  # type: ignore[assignment] # a client that is made sends nothing


@pytest.mark.parametrize(
    ("address", "split"),
    [
        ("fe80::1%eth0", ("fe80::1%eth0", None)),
        ("[fe80::1%eth0.100]:8080", ("fe80::1%eth0.100", 8080)),
        ("[FE80:0::1%Br-lan_2~]", ("fe80::1%Br-lan_2~", None)),
        ("fe80::1%3", ("fe80::1%3", None)),
        ("fe80::1%125", ("fe80::1%125", None)),
    ],
)
def test_a_zone_is_the_name_or_number_of_an_interface(
    address: str, split: tuple[str, int | None]
) -> None:
    assert split_address(address) == split
    FACTORY.client(address, NO_SESSION)


@pytest.mark.parametrize(
    "zone",
    [
        "\x01",
        "a[b",
        "a b",
        "a/b",
        "a@b",
        "a:b",
        "a?b",
        "a#b",
        "ä",
        "25eth0%",
        "%eth0",
        "",
        "x" * 16,
    ],
)
def test_any_other_zone_is_refused(zone: str) -> None:
    for address in (f"fe80::1%{zone}", f"[fe80::1%{zone}]:80"):
        with pytest.raises(ValueError, match=r"zone after % must be|is not host|user name"):
            split_address(address)


@pytest.mark.parametrize(
    ("zone", "right"), [("25eth0", "%eth0"), ("25", "%NAME"), ("253", "%NAME"), ("2525", "%NAME")]
)
def test_the_spelling_of_urls_is_refused_with_the_right_one(zone: str, right: str) -> None:
    for address in (f"fe80::1%{zone}", f"[fe80::1%{zone}]:80"):
        with pytest.raises(ValueError, match=f"%25 is how URLs write %: write {right},"):
            split_address(address)


@pytest.mark.parametrize(
    "address",
    ["10.0.0.256", "10.0.0", "10.0.0.1.2", "192.168.000.090", "12345", "10.0.0.1."],
)
def test_digits_and_dots_that_are_no_address_are_refused(address: str) -> None:
    for text in (address, f"{address}:80"):
        with pytest.raises(ValueError, match="is not an IPv4 address: four numbers from 0 to 255"):
            split_address(text)


@given(st.one_of(st.text(), st.from_regex(r"[0-9]{1,4}(\.[0-9]{1,4}){0,4}", fullmatch=True)))
def test_every_accepted_address_of_digits_is_one_that_aiohttp_connects_to(address: str) -> None:
    try:
        host, _port = split_address(address)
    except ValueError:
        return
    raw_host = URL.build(scheme="http", host=host).raw_host or ""
    if ":" not in raw_host and is_ip_address(raw_host):
        assert is_canonical_ipv4_address(raw_host)


@given(st.one_of(st.text(), st.from_regex(r"\[?(fe80::1|::1|a)(%[^a]{1,3}\]?)?(:\w{1,5})?")))
def test_the_client_can_use_every_address_that_the_config_accepts(address: str) -> None:
    try:
        device = DeviceConfig(address=address)
    except ValueError:
        return
    FACTORY.client(device.address, NO_SESSION)


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%eth0]", "[fe80::1]"),
        ("[fe80::1%eth0]:8080", "[fe80::1]:8080"),
        ("[fe80::1]:8080", "[fe80::1]:8080"),
        ("camera.example:80", "camera.example:80"),
    ],
)
def test_a_zone_can_be_removed(host: str, shown: str) -> None:
    assert without_zone(host) == shown
