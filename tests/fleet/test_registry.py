"""A device is found by its name, else by its address."""

from exporter.fleet.registry import Fleet
from tests.support.devices import make_device


def test_a_name_goes_before_an_address() -> None:
    one, other = make_device("10.0.0.2", address="10.0.0.1"), make_device("b", address="10.0.0.2")
    fleet = Fleet([one, other])
    assert fleet.find("10.0.0.2") is one
    assert fleet.find("10.0.0.1") is one
    assert fleet.find("b") is other
    assert fleet.find("c") is None


def test_of_devices_with_one_address_the_first_is_found_while_it_is_there() -> None:
    one, other = (make_device(name, address="10.0.0.1") for name in "ab")
    fleet = Fleet([one])
    fleet.add(other)
    assert fleet.find("10.0.0.1") is one
    assert fleet.remove("a") is one
    assert fleet.find("10.0.0.1") is other
    fleet.remove("b")
    assert fleet.find("10.0.0.1") is None
