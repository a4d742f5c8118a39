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
    ("section", "found"),
    [
        ("{interval: 15s}", "time_servers.interval: must be at least 16s"),
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
