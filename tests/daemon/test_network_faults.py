"""Faults before a device responds, through the real daemon: the exposed error reason of each."""

import re
import socket
from contextlib import ExitStack
from pathlib import Path

from exporter.simulator.device import SimulatedDevice
from exporter.simulator.server import serve
from tests.support.daemon_process import Scrape, daemon_on

EXPECTED = {
    "no such name": "dns",
    "closed port": "connect",
    "http on the https port": "tls",
    "silent at the handshake": "timeout",
    "silent at the request": "timeout",
    "drops the connection": "disconnected",
}
SECURE = ("http on the https port", "silent at the handshake")


def bound_port(stack: ExitStack, *, listening: bool) -> str:
    """Reserve a port: closed, or open without ever accepting a connection."""
    held = stack.enter_context(socket.socket())
    held.bind(("127.0.0.1", 0))
    if listening:
        held.listen()
    return f"127.0.0.1:{held.getsockname()[1]}"


def reasons(found: Scrape, metric: str) -> dict[str, str]:
    errors = {}
    for labels, value in found.all(metric):
        assert value >= 1
        assert labels["code"] == ""
        assert labels["device"] not in errors, "one error at a time"
        errors[labels["device"]] = labels["reason"]
    return errors


async def test_every_network_fault_is_exposed_with_its_reason(tmp_path: Path) -> None:
    dropping = SimulatedDevice("dropping", fault="drop")
    with ExitStack() as stack:
        async with serve(SimulatedDevice("plain")) as plain, serve(dropping) as drops:
            addresses = {
                "no such name": "no-such-device.invalid",
                "closed port": bound_port(stack, listening=False),
                "http on the https port": plain.address,
                "silent at the handshake": bound_port(stack, listening=True),
                "silent at the request": bound_port(stack, listening=True),
                "drops the connection": drops.address,
            }
            config = {
                "global": {"interval": "1s", "timeout": "1s"},
                "modules": {
                    "default": {"scheme": "http"},
                    "secure": {"tls_config": {"insecure_skip_verify": True}},
                    # A name server may be slow to report an unknown name.
                    "named": {"scheme": "http", "timeout": "20s"},
                },
                "devices": [
                    {"address": address, "name": name, "module": module_of(name)}
                    for name, address in addresses.items()
                ],
            }
            async with daemon_on(config, tmp_path) as running:
                found = await running.ready()
    assert reasons(found, "axis_ntp_last_error") == EXPECTED
    assert reasons(found, "axis_ntp_api_errors_total") == EXPECTED
    assert found.by_device("axis_ntp_up") == dict.fromkeys(EXPECTED, 0)
    messages = dict(
        re.findall(r'event=device\.failed device="([^"]+)".* error="([^"]+)"', running.text)
    )
    assert messages.keys() == EXPECTED.keys()
    assert not [message for message in messages.values() if message.endswith((":", ": "))]


def module_of(name: str) -> str:
    if name == "no such name":
        return "named"
    return "secure" if name in SECURE else "default"
