"""The section `time_servers`."""

import pytest
import yaml

from exporter.config import dump_redacted
from tests.config.documents import load, problems


def test_no_server_is_asked_by_default() -> None:
    config = load("devices: []").time_servers
    assert (config.servers, config.used_by_devices, config.allowed) == ((), False, ())
    assert (config.interval, config.timeout) == (64, 5)


def test_the_whole_section_is_read_and_dumped() -> None:
    text = """
        time_servers:
          servers: [10.0.0.1, "ntp.example:1123", "[fe80::1%eth0]:123", "2001:db8::1"]
          used_by_devices: true
          allowed: [10.0.0.0/8, 2001:db8::/32, 192.0.2.1, ntp.example]
          interval: 1m30s
          timeout: 500ms
        """
    config = load(text)
    assert config.time_servers.servers[1] == "ntp.example:1123"
    assert (config.time_servers.interval, config.time_servers.timeout) == (90, 0.5)
    dumped = yaml.safe_load(dump_redacted(config))
    assert dumped["time_servers"] == yaml.safe_load(text)["time_servers"]


@pytest.mark.parametrize(
    ("written", "allowed"),
    [
        ("10.0.0.1.", "10.0.0.1"),
        ("'[2001:DB8::1]'", "2001:db8::1"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("NTP.Example.", "ntp.example"),
        ("ntp_1.exämple", "ntp_1.exämple"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("64:ff9b::/96", "64:ff9b::/96"),
    ],
)
def test_what_is_allowed_is_kept_in_the_spelling_that_is_compared(
    written: str, allowed: str
) -> None:
    section = f"time_servers: {{used_by_devices: true, allowed: [{written}]}}"
    assert load(section).time_servers.allowed == (allowed,)


@pytest.mark.parametrize(
    ("section", "found"),
    [
        ("{interval: 15s}", "time_servers.interval: must be at least 16s"),
        ("{interval: 1021s}", "time_servers.interval: must be at most 17m"),
        (
            "{allowed: ['*.example']}",
            "time_servers.allowed[0]: '*.example' is not a host name; a name allows that name only",
        ),
        (
            "{allowed: ['fe80::1%eth0']}",
            "time_servers.allowed[0]: 'fe80::1%eth0' must not have a zone: another host has other",
        ),
        ("{allowed: ['2001:db8::/32%eth0']}", "time_servers.allowed[0]: '2001:db8::/32%eth0' is"),
        ("{allowed: ['10.1']}", "time_servers.allowed[0]: '10.1' is not an IPv4 address"),
        ("{allowed: ['0x0a.1.2.3']}", "time_servers.allowed[0]: '0x0a.1.2.3' is not an address"),
        ("{allowed: ['127.0.0.1']}", "time_servers.allowed[0]: '127.0.0.1' has no address that a"),
        ("{allowed: ['::1']}", "time_servers.allowed[0]: '::1' has no address that a device's"),
        ("{allowed: ['::ffff:10.0.0.1']}", "time_servers.allowed[0]: '::ffff:10.0.0.1' has no"),
        ("{allowed: [127.8.0.0/16]}", "time_servers.allowed[0]: '127.8.0.0/16' has no address"),
        ("{allowed: [224.0.1.0/24]}", "time_servers.allowed[0]: '224.0.1.0/24' has no address"),
        ("{allowed: ['fe80::/10']}", "time_servers.allowed[0]: 'fe80::/10' has no address that"),
        ("{timeout: 0s}", "time_servers.timeout: must be longer than 0s"),
        ("{servers: [10.0.0.1, a/b]}", "time_servers.servers[1]: 'a/b' is not host, host:port or"),
        (
            "{servers: ['ntp://a']}",
            "time_servers.servers[0]: must be host, host:port or [v6]:port, without a scheme or",
        ),
        ("{servers: ['u:secret@a']}", "time_servers.servers[0]: must be host, host:port or"),
        ("{servers: ['a:0']}", "time_servers.servers[0]: port 0 is not within 1 to 65535"),
        (
            "{servers: [NTP.example, 'ntp.example:123']}",
            "time_servers.servers: 'ntp.example:123' is the same server as 'NTP.example'",
        ),
        ("{servers: [a, a]}", "time_servers.servers: 'a' is the same server as 'a'"),
        (
            "{used_by_devices: true}",
            "time_servers: used_by_devices needs `allowed`: the networks and names that devices",
        ),
        (
            "{allowed: [10.0.0.1/8]}",
            "time_servers.allowed[0]: '10.0.0.1/8' is an address within a network"
            " (did you mean 10.0.0.0/8?)",
        ),
        (
            "{allowed: [a/8]}",
            "time_servers.allowed[0]: 'a/8' is not a network such as 10.0.0.0/8",
        ),
        ("{allowed: ['a:123']}", "time_servers.allowed[0]: must not have a port: devices use 123"),
        ("{server: [a]}", "time_servers.server: unknown key (did you mean servers?)"),
        ("[10.0.0.1]", "time_servers: must be a mapping"),
    ],
)
def test_an_error_has_its_path(section: str, found: str) -> None:
    [problem] = problems(f"time_servers: {section}")
    assert problem.startswith(found)


def test_more_servers_than_a_fleet_has_are_refused() -> None:
    listed = ", ".join(f"10.0.{n // 250}.{n % 250}" for n in range(257))
    [problem] = problems(f"time_servers: {{servers: [{listed}]}}")
    assert problem == "time_servers.servers: must have at most 256 entries"
