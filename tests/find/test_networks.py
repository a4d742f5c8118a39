"""Networks, addresses and ports on the command line."""

import pytest

from exporter.find.networks import list_addresses, parse_ports
from exporter.system.addresses import IpNetwork, parse_network


def network_of(text: str) -> IpNetwork:
    return parse_network(text, "10.0.0.0/24")


@pytest.mark.parametrize(
    ("texts", "addresses"),
    [
        (["10.0.0.0/30"], ["10.0.0.1", "10.0.0.2"]),
        (["10.0.0.0/31"], ["10.0.0.0", "10.0.0.1"]),
        (["10.0.0.7"], ["10.0.0.7"]),
        (["10.0.0.7", "10.0.0.4/30"], ["10.0.0.7", "10.0.0.5", "10.0.0.6"]),
        (["2001:db8::8/126"], ["2001:db8::9", "2001:db8::a", "2001:db8::b"]),
    ],
)
def test_each_host_of_a_network_is_listed_once(texts: list[str], addresses: list[str]) -> None:
    assert list_addresses([network_of(text) for text in texts]) == addresses


@pytest.mark.parametrize("texts", [["10.0.0.0/15"], ["2001:db8::/64"], ["10.0.0.0/16", "10.2.0.1"]])
def test_too_many_addresses_are_refused_before_they_are_listed(texts: list[str]) -> None:
    with pytest.raises(ValueError, match="are more than 65,536, which is the limit"):
        list_addresses([network_of(text) for text in texts])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("10.0.0.7/24", r"within a network \(did you mean 10.0.0.0/24\?\)"),
        ("cam.example", "is not a network such as 10.0.0.0/24"),
        ("", "is not a network"),
    ],
)
def test_what_is_no_network_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        network_of(text)


def test_ports_are_listed_once() -> None:
    assert parse_ports("80, 443,80") == (80, 443)


@pytest.mark.parametrize("text", ["", "0", "80;443", "65536", "http", ",".join(["1"] * 17)])
def test_what_is_no_list_of_ports_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a list of at most 16 ports"):
        parse_ports(text)
