"""`axis-ntp-exporter simulate`: its flags and what it does."""

import argparse
import asyncio
import math
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

import yaml

from exporter.simulator.authentication import POLICIES
from exporter.simulator.certificates import MissingExtraError
from exporter.simulator.device_state import DEFAULT_PASSWORD, DEFAULT_USERNAME
from exporter.simulator.faults import FAULTS, UnknownFaultError
from exporter.simulator.fleet import (
    OWN_CERTIFICATES,
    SPREADS,
    FleetError,
    ServedFleet,
    build_fleet,
    serve_fleet,
)
from exporter.simulator.scenarios import (
    DEFAULT_DEVICES,
    SCENARIOS,
    UnknownScenarioError,
    find_scenario,
)
from exporter.simulator.server import DEFAULT_KEEPALIVE_SECONDS

_LAST_PORT = 65_535


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `simulate`; the help lists scenarios, policies, spreads and faults."""
    parser.epilog = _epilog()
    _add_fleet(parser)
    _add_account(parser)
    _add_timing_and_output(parser)


def _add_fleet(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--devices",
        type=_count,
        metavar="N",
        help=f"number of devices (default: {_default_counts()})",
    )
    add(
        "--scenario",
        type=_scenario,
        default="healthy",
        metavar="NAME",
        help="state of the devices, see below (default: healthy)",
    )
    add(
        "--listen",
        type=_address,
        default=("127.0.0.1", 8080),
        metavar="HOST:PORT",
        help="address of the first device (default: 127.0.0.1:8080); port 0: free ports",
    )
    add(
        "--spread",
        choices=SPREADS,
        default="port",
        help="addresses of the other devices, see below (default: port)",
    )
    add(
        "--scheme",
        choices=("http", "https"),
        default="http",
        help="protocol of the devices (default: http); with https, more than "
        f"{OWN_CERTIFICATES} devices share one certificate",
    )


def _add_account(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--auth",
        choices=POLICIES,
        default="recommended",
        metavar="POLICY",
        help="authentication of the devices, see below (default: recommended)",
    )
    add(
        "--username",
        default=DEFAULT_USERNAME,
        metavar="NAME",
        help=f"user name of the account (default: {DEFAULT_USERNAME})",
    )
    add(
        "--password-file",
        type=Path,
        metavar="FILE",
        help=f"file with the password (default: password {DEFAULT_PASSWORD!r}, for simulation)",
    )


def _add_timing_and_output(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--nonce-lifetime",
        type=_seconds,
        default=300.0,
        metavar="SECONDS",
        help="lifetime of Digest nonces (default: 300)",
    )
    add(
        "--keepalive",
        type=_seconds,
        default=DEFAULT_KEEPALIVE_SECONDS,
        metavar="SECONDS",
        help=f"time until an idle connection is closed (default: {DEFAULT_KEEPALIVE_SECONDS:g})",
    )
    add(
        "--write-config",
        type=Path,
        metavar="FILE",
        help="write an exporter config for these devices, with the password",
    )


async def run(arguments: argparse.Namespace, stop: asyncio.Event) -> int:
    """Serve a fleet until `stop` is set; return the exit code: 1 if it can't be served."""
    try:
        await _run(arguments, stop)
    except (FleetError, MissingExtraError, OSError, ValueError) as error:
        sys.stderr.write(f"simulate: {error}\n")
        return 1
    return 0


async def _run(arguments: argparse.Namespace, stop: asyncio.Event) -> None:
    fleet = build_fleet(
        arguments.devices or find_scenario(arguments.scenario).devices,
        arguments.scenario,
        scheme=arguments.scheme,
        auth=arguments.auth,
        username=arguments.username,
        password=_read_password(arguments.password_file),
        nonce_lifetime_seconds=arguments.nonce_lifetime,
    )
    host, port = arguments.listen
    async with serve_fleet(
        fleet,
        host=host,
        port=port,
        spread=arguments.spread,
        keepalive_seconds=arguments.keepalive,
    ) as served:
        if arguments.write_config is not None:
            _write_config(served, arguments.write_config)
        _announce(served, arguments.scenario)
        await stop.wait()


def _announce(served: ServedFleet, scenario: str) -> None:
    first, last = served.addresses[0], served.addresses[-1]
    scheme = served.fleet.scheme
    where = f"{scheme}://{first}" + (f" to {scheme}://{last}" if last != first else "")
    sys.stdout.write(f"{len(served.addresses)} simulated devices ({scenario}): {where}\n")
    sys.stdout.flush()


def _write_config(served: ServedFleet, path: Path) -> None:
    """Write the config readable only by its owner: it contains the password."""
    text = yaml.safe_dump(served.exporter_config(), sort_keys=False)
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text, "utf-8")


def _read_password(path: Path | None) -> str:
    """Read the password; one trailing newline is not part of it."""
    return DEFAULT_PASSWORD if path is None else path.read_text("utf-8-sig").removesuffix("\n")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of devices")
    return int(text)


def _default_counts() -> str:
    """Return the number of devices of most scenarios, and of those that have another."""
    counts = {name: each.devices for name, each in SCENARIOS.items()}
    others = {name: count for name, count in counts.items() if count != DEFAULT_DEVICES}
    return ", ".join(
        [f"{DEFAULT_DEVICES}", *(f"{number} for {name}" for name, number in others.items())]
    )


def _seconds(text: str) -> float:
    seconds = float(text)  # argparse reports a ValueError
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time in seconds")
    return seconds


def _scenario(text: str) -> str:
    try:
        find_scenario(text)
    except (UnknownScenarioError, UnknownFaultError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _address(text: str) -> tuple[str, int]:
    """Parse `host:port` or `[v6]:port`."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _epilog() -> str:
    faults = {name: fault.description for name, fault in FAULTS.items()}
    policies = {name: policy.description for name, policy in POLICIES.items()}
    scenarios = {name: scenario.description for name, scenario in SCENARIOS.items()}
    scenarios["fault:NAME"] = "all devices with that fault"
    sections = {
        "scenarios": scenarios,
        "authentication policies": policies,
        "spreads": SPREADS,
        "faults": faults,
    }
    return "\n\n".join(_listing(title, rows) for title, rows in sections.items())


def _listing(title: str, rows: Mapping[str, str]) -> str:
    lines = [
        textwrap.fill(text, 78, initial_indent=f"  {name:<24} ", subsequent_indent=" " * 27)
        for name, text in rows.items()
    ]
    return "\n".join([f"{title}:", *lines])
