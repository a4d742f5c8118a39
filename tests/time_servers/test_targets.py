"""Which servers are asked: the configured ones, and of devices those that are allowed."""

import time
from collections.abc import Iterable

import pytest

from exporter.config import TimeServersConfig
from exporter.time_servers import targets
from exporter.time_servers.slots import MAX_DEVICE_SERVERS, Slots
from exporter.time_servers.targets import TargetRules, Usage

ALLOWED = ("10.0.0.0/8", "2001:db8::/32", "NTP.example")


def labels(
    config: TimeServersConfig, devices: Iterable[Iterable[str]]
) -> dict[str, tuple[int, bool]]:
    """Return each server to ask by its label: how many devices use it, whether it is configured."""
    rules = TargetRules(config)
    usage = Usage(rules)
    for servers in devices:
        usage.add(tuple(servers))
    slots = Slots()
    slots.use(usage, 0)
    return {
        target.label: (usage.devices.get(key, 0), target.is_configured)
        for key, target in (rules.configured | slots.targets(0)).items()
    }


def devices_config(**changes: object) -> TimeServersConfig:
    document = {"used_by_devices": True, "allowed": ALLOWED} | changes
    return TimeServersConfig.model_validate(document)


@pytest.mark.parametrize(
    "server",
    ["10.1.2.3", "10.1.2.3:123", "2001:DB8::1", "[2001:db8::1]", "ntp.example", "ntp.EXAMPLE."],
)
def test_an_allowed_server_of_a_device_is_asked_under_the_devices_name(server: str) -> None:
    assert labels(devices_config(), [[server], [server]]) == {server: (2, False)}


@pytest.mark.parametrize(
    "server",
    [
        "192.0.2.1",
        "evil.example",
        "a.ntp.example",
        "10.1.2.3:53",  # only NTP's own port
        "ntp.example:8080",
        "::ffff:10.1.2.3",
        "10.0.0.0",  # all hosts of the network
        "10.255.255.255",
        "fe80::1%eth0",  # the zone is one of the device's
        "10.1",  # addresses to the C library, not to us
        "0x0a.1.2.3",
        "http://10.1.2.3",
        "10.1.2.3/24",
        "10.1.2.3, 10.1.2.4",
        "",
        "x" * 400,
    ],
)
def test_a_device_cannot_send_the_exporter_anywhere_else(server: str) -> None:
    assert labels(devices_config(), [[server]]) == {}


@pytest.mark.parametrize(
    "server",
    [
        "0.0.0.0",
        "127.0.0.1",
        "127.9.9.9",
        "224.0.1.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "fe80::1",
        "2001:db8::1%eth0",
        "ff02::101",
    ],
)
def test_addresses_that_are_no_single_host_are_not_asked_even_if_allowed(server: str) -> None:
    config = devices_config(allowed=("0.0.0.0/0", "::/0"))
    assert labels(config, [[server], ["192.0.2.1"]]) == {"192.0.2.1": (1, False)}


@pytest.mark.parametrize(
    ("allowed", "servers"),
    [
        ("[2001:db8::1]", ["2001:db8::1", "2001:DB8:0::1"]),
        ("64:ff9b::/96", ["64:ff9b::a00:1"]),
        ("10.0.0.1.", ["10.0.0.1"]),
        ("192.0.2.6/31", ["192.0.2.6", "192.0.2.7"]),
        ("192.0.2.6/32", ["192.0.2.6"]),
        ("NTP.exämple", ["ntp.exämple", "ntp.xn--exmple-cua"]),
        ("ntp.xn--exmple-cua", ["ntp.exämple", "ntp.xn--exmple-cua"]),
        ("xn--strae-oqa.example", ["xn--strae-oqa.example"]),  # IDNA 2008; Python has IDNA 2003
        ("xn--a.example", ["xn--a.example"]),
    ],
)
def test_what_may_be_allowed_matches_however_it_is_spelled(
    allowed: str, servers: list[str]
) -> None:
    found = labels(devices_config(allowed=(allowed,)), [[server] for server in servers])
    assert sum(devices for devices, _ in found.values()) == len(servers)


def test_half_of_the_slots_are_for_servers_that_more_than_one_device_uses() -> None:
    hostile = [[f"10.66.{n}.{i}" for i in range(1, 33)] for n in range(8)]
    real = [["10.0.0.1"]] * 2
    rules = TargetRules(devices_config())
    slots = Slots()
    for devices in (hostile, [*hostile, *real]):
        usage = Usage(rules, slots.keys)
        for servers in devices:
            usage.add(tuple(servers))
        slots.use(usage, 0)
    assert len(slots.targets(0)) == MAX_DEVICE_SERVERS // 2 + 1
    assert ("10.0.0.1", 123) in slots.targets(0)


def test_servers_that_are_asked_are_counted_whatever_hostile_devices_name_first() -> None:
    rules = TargetRules(devices_config(servers=("192.0.2.1",)))
    usage = Usage(rules, [("10.8.8.8", 123)])
    for n in range(64):
        usage.add(tuple(f"10.66.{n}.{i}" for i in range(1, 33)))
    for _ in range(5000):
        usage.add(("192.0.2.1", "10.8.8.8"))
    assert usage.devices["192.0.2.1", 123] == usage.devices["10.8.8.8", 123] == 5000


def test_to_give_slots_to_1000_counted_servers_costs_little() -> None:
    rules, slots = TargetRules(devices_config()), Slots()

    def cost_seconds(now: float) -> float:
        usage = Usage(rules, slots.keys)
        for n in range(0, 1000, 8):
            usage.add(tuple(f"10.1.{(n + i) // 250}.{(n + i) % 250 + 1}" for i in range(8)))
        started = time.process_time()
        slots.use(usage, now)
        slots.targets(now)
        return time.process_time() - started

    assert min(map(cost_seconds, range(3))) < 0.1


def test_without_used_by_devices_only_configured_servers_are_asked_and_counted() -> None:
    config = TimeServersConfig(servers=("Time.example", "10.0.0.1:1123"))
    devices = [["time.example:123", "10.0.0.1"], ["10.0.0.1:1123", "10.0.0.2"]]
    assert labels(config, devices) == {"Time.example": (1, True), "10.0.0.1:1123": (1, True)}


def test_a_configured_server_keeps_its_label_however_devices_spell_it() -> None:
    config = devices_config(servers=("NTP.example",))
    assert labels(config, [["ntp.example"], ["ntp.example:123", "ntp.example."]]) == {
        "NTP.example": (2, True)
    }


@pytest.mark.parametrize(
    ("configured", "named"),
    [
        ("10.0.0.1:123", ["10.0.0.1"]),
        ("10.0.0.1", ["10.0.0.1:123"]),
        ("NTP.example", ["ntp.example.", "ntp.EXAMPLE:123"]),
        ("2001:DB8::1", ["2001:db8:0::1", "[2001:db8::1]:123"]),
    ],
)
def test_every_spelling_of_a_configured_server_by_devices_is_known(
    configured: str, named: list[str]
) -> None:
    rules = TargetRules(TimeServersConfig(servers=(configured,)))
    usage = Usage(rules)
    for spelling in named:
        usage.add((spelling, "192.0.2.1"))
    [(key, target)] = rules.configured.items()
    assert target.label == configured
    assert (usage.devices, usage.spellings) == ({key: len(named)}, {key: set(named)})


def test_of_one_server_few_spellings_are_kept() -> None:
    usage = Usage(TargetRules(devices_config()))
    for n in range(2**7):
        bits = f"{n:07b}"
        letters = zip("example", bits, strict=True)
        usage.add(("ntp." + "".join(c.upper() if bit == "1" else c for c, bit in letters),))
    [(_, spellings)] = usage.spellings.items()
    assert len(spellings) == 16


def test_of_too_many_servers_those_that_most_devices_use_are_asked() -> None:
    hostile = [[f"10.66.{n // 32}.{n % 32 + i}" for i in range(32)] for n in range(0, 960, 32)]
    good = [["10.0.0.1", "10.0.0.2"]] * 2
    found = labels(devices_config(servers=("192.0.2.1",)), [*hostile, *good])
    assert len(found) == MAX_DEVICE_SERVERS // 2 + 1
    assert (found["10.0.0.1"], found["192.0.2.1"]) == ((2, False), (0, True))


@pytest.mark.parametrize(
    "name",
    [f"{'ä' * 251}%04d", f"{'ß.' * 125}%04d", f"{'[' * 251}%04d", f"{'1.' * 125}%04d", "10.9.9.%d"],
    ids=["umlauts", "labels", "brackets", "digits", "addresses"],
)
def test_the_longest_lists_of_devices_cost_little(name: str) -> None:
    """640 names are those of the devices that are counted at once."""

    def cost_seconds(turn: int) -> float:
        usage = Usage(TargetRules(devices_config()))
        started = time.process_time()
        for n in range(0, 640, 32):
            usage.add(tuple(name % (turn * 640 + n + i) for i in range(32)))
        return time.process_time() - started

    assert min(map(cost_seconds, range(3))) < 0.1


def test_a_long_list_of_what_is_allowed_costs_little_per_name() -> None:
    allowed = tuple(f"10.0.{n // 256}.{n % 256}" for n in range(5000))

    def cost_seconds(turn: int) -> float:
        usage = Usage(rules)
        started = time.process_time()
        for n in range(0, 640, 32):
            usage.add(tuple(f"10.{turn + 1}.{n % 256}.{i}" for i in range(32)))
        return time.process_time() - started

    rules = TargetRules(devices_config(allowed=allowed))
    assert min(map(cost_seconds, range(3))) < 0.1


def test_the_memory_for_counting_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "_MAX_COUNTED", 100)
    usage = Usage(TargetRules(devices_config()))
    for n in range(1000):
        usage.add((f"10.9.{n // 250}.{n % 250}", "10.0.0.1"))
    assert len(usage.devices) == 100
    assert usage.devices["10.0.0.1", 123] == 1000


def test_the_memory_for_servers_that_do_not_count_is_limited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(targets, "_MAX_COUNTED", 100)
    rules, looked_up = TargetRules(devices_config()), list[object]()
    monkeypatch.setattr(rules, "counts", looked_up.append)  # it returns None: none counts
    usage = Usage(rules)
    for _ in range(2):
        for n in range(150):
            usage.add((f"192.0.2.{n}",))
    assert len(looked_up) == 150 + 50  # of 150 the first 100 are remembered
