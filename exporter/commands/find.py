"""`axis-ntp-exporter find`: find Axis devices on a network, without a password."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial

from exporter.commands.arguments import (
    DEFAULT_CONFIG_FILE,
    argument_type,
    duration_seconds,
    positive_count,
)
from exporter.commands.batch import run_batch, run_command
from exporter.commands.target_output import add_target_output, can_write, write_targets
from exporter.commands.targets import UsageError
from exporter.find.networks import list_addresses, parse_ports
from exporter.find.scan import FoundDevice, Question, Scanner, as_targets, choose_devices
from exporter.system.addresses import IpNetwork, parse_network
from exporter.system.process import TooManyConnections, raise_file_limit
from exporter.system.signals import StopEvents, handle_interrupts
from exporter.system.terminal import progress, warn
from exporter.system.text import plural
from exporter.vapix.connection import open_session


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the networks and how to ask them."""
    parser.add_argument(
        "networks",
        nargs="+",
        type=argument_type(partial(parse_network, example="10.0.0.0/24")),
        metavar="CIDR",
        help="a network such as 10.0.0.0/24, or an address; at most 65,536 addresses",
    )
    parser.add_argument(
        "--ports",
        type=argument_type(parse_ports),
        default="80,443",
        metavar="PORT,…",
        help="ports to ask; 80 in plain HTTP, others in HTTPS first (default: %(default)s)",
    )
    parser.add_argument(
        "--concurrency",
        type=positive_count,
        default=64,
        metavar="N",
        help="ports asked at once (default: %(default)s)",
    )
    parser.add_argument(
        "--timeout",
        type=duration_seconds,
        default="2s",
        metavar="DURATION",
        help="how long a port may take to answer (default: %(default)s)",
    )
    add_target_output(parser, "LABEL=VALUE", "a label of every device, such as site=hq")


def execute(arguments: argparse.Namespace) -> int:
    """Write the targets; return 1 if no device was found or the search was interrupted."""
    return run_command("find", _find(arguments))


async def _find(arguments: argparse.Namespace) -> int:
    questions = _questions(arguments.networks, arguments.ports)
    if not can_write("find", arguments.output):
        return 1
    with handle_interrupts(lambda: None) as events:
        await _ask(questions, arguments, events.without_delay())
        interrupted = events.stop.is_set()
    devices, others = choose_devices(each.found for each in questions if each.found is not None)
    for other in others:
        warn(f"find: {other.address} is the same device as axis-{other.serial.lower()}")
    if plain := sum(device.scheme == "http" for device in devices):
        many = f"{plain:,} {plural(plain, 'device')}"
        warn(
            f"find: {many} without https: a module that pins certificates refuses them; turn on "
            "https there, or add a module with `scheme: http` to the config file, and the label "
            "`module: NAME` to those targets"
        )
    targets = as_targets(devices, dict(arguments.labels))
    is_whole = bool(devices) and not interrupted
    if not write_targets("find", targets, arguments.output, is_useful=is_whole):
        return 1
    beginning = "interrupted: " if interrupted else ""
    warn(f"find: {beginning}{_found(len(devices), questions)}; {_asked(questions)}")
    if is_whole and arguments.output is not None:
        warn(f"find: wrote {arguments.output}{_next_step(devices)}")
    return 0 if is_whole else 1


def _found(count: int, questions: Sequence[Question]) -> str:
    """Return how many devices were found; of none, why."""
    if count:
        return f"found {count:,} {plural(count, 'device')}"
    hosts = len({each.host for each in questions if each.answered})
    if not hosts:
        return "found no device: nothing answered"
    return f"found no device: {hosts:,} {plural(hosts, 'host')} answered, none is an Axis device"


def _asked(questions: Sequence[Question]) -> str:
    total, asked = len(questions), sum(question.asked for question in questions)
    hosts = len({each.host for each in questions})
    ports = f"{asked:,} of {total:,}" if asked < total else f"{total:,}"
    addresses = "1 address" if hosts == 1 else f"{hosts:,} addresses"
    return f"asked {ports} {plural(total, 'port')} of {addresses}"


def _next_step(devices: Sequence[FoundDevice]) -> str:
    """Return the end of a line, where there are certificates to pin and a config that may."""
    helps = DEFAULT_CONFIG_FILE.exists() and any(each.scheme == "https" for each in devices)
    return "; next, pin the certificates: axis-ntp-exporter check --pin" if helps else ""


def _questions(networks: Sequence[IpNetwork], ports: Sequence[int]) -> list[Question]:
    try:
        addresses = list_addresses(networks)
    except ValueError as problem:
        raise UsageError(str(problem)) from None
    return [Question(address, port) for address in addresses for port in ports]


async def _ask(
    questions: Sequence[Question], arguments: argparse.Namespace, events: StopEvents
) -> None:
    try:
        raise_file_limit(min(arguments.concurrency, len(questions)))
    except TooManyConnections as problem:
        raise UsageError(str(problem)) from None
    async with open_session() as session:
        scanner = Scanner(session, arguments.timeout)
        with progress("asking", len(questions), sys.stderr) as advance:
            await run_batch(questions, scanner.ask, arguments.concurrency, events, advance)
