"""`axis-ntp-exporter find`: find Axis devices on a network, without a password."""

import argparse
import sys
from collections.abc import Sequence

from exporter.commands.arguments import (
    add_output,
    argument_type,
    duration_seconds,
    label_and_value,
    positive_count,
    write_output,
)
from exporter.commands.batch import run_batch, run_command
from exporter.commands.targets import UsageError
from exporter.discovery.target_file import render_target_file
from exporter.find.networks import Network, list_addresses, parse_network, parse_ports
from exporter.find.scan import Question, Scanner, as_targets, choose_devices
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
        type=argument_type(parse_network),
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
    parser.add_argument(
        "--label",
        dest="labels",
        type=label_and_value,
        action="append",
        default=[],
        metavar="LABEL=VALUE",
        help="a label of every device, such as site=hq; repeatable",
    )
    add_output(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Write the targets; return 1 if no device was found or the search was interrupted."""
    return run_command("find", _find(arguments))


async def _find(arguments: argparse.Namespace) -> int:
    questions = _questions(arguments.networks, arguments.ports)
    with handle_interrupts(lambda: None) as events:
        await _ask(questions, arguments, events.without_delay())
        interrupted = events.stop.is_set()
    devices, others = choose_devices(each.found for each in questions if each.found is not None)
    for other in others:
        warn(f"find: {other.address} is the same device as axis-{other.serial.lower()}")
    text = render_target_file(as_targets(devices, dict(arguments.labels)))
    # A daemon may read the file: it must not lose its devices because a search went wrong.
    is_whole = bool(devices) and not interrupted
    if arguments.output is not None and not is_whole:
        warn(f"find: {arguments.output} is not written")
    elif not write_output(text, arguments.output):
        return 1
    end = ", interrupted" if interrupted else ""
    ports = f"{len(questions):,} {plural(len(questions), 'port')}"
    warn(f"find: {len(devices):,} {plural(len(devices), 'device')} on {ports}{end}")
    return 0 if is_whole else 1


def _questions(networks: Sequence[Network], ports: Sequence[int]) -> list[Question]:
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
