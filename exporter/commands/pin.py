"""`axis-ntp-exporter check --pin`: trust the certificates that devices show, after one question.

No HTTP is sent to a device: its TLS handshake is enough to see its certificate.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Final

from exporter.check.pins import PinCheck, find_ambiguous, find_doubts, pin_lines, summary
from exporter.clock.host import HostClock
from exporter.commands.batch import exit_code, open_devices, run_jobs
from exporter.commands.check_output import output_format
from exporter.commands.targets import SelectedDevices, UsageError
from exporter.config.pins import HEAD, Pins, read_pins, write_pins
from exporter.config.schema import DeviceConfig
from exporter.system.files import locked, read_regular, replace_file
from exporter.system.signals import StopEvents, handle_interrupts
from exporter.system.terminal import confirm, print_lines, terminal_width, warn
from exporter.system.text import escaped, plural
from exporter.vapix.tls import PINS_FILE, Certificate, Pin

_looked_at: Final[ContextVar[PinCheck]] = ContextVar("looked_at")


def add_pin_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--pin` and the flags that go with it."""
    group = parser.add_argument_group("certificates")
    add = group.add_argument
    add(
        "--pin",
        action="store_true",
        help="show each certificate that is not pinned, ask once, and write tls_config.pins_file",
    )
    add("--replace", action="store_true", help="with --pin: also pin what has changed")
    add("--yes", action="store_true", help="with --pin: do not ask")


def check_pin_flags(arguments: argparse.Namespace) -> None:
    """Raise `UsageError` for flags that do not go together."""
    if not arguments.pin and (arguments.replace or arguments.yes):
        raise UsageError("--replace and --yes go with --pin")
    others = (output_format(arguments) != "table", arguments.watch is not None, arguments.sort)
    if arguments.pin and any((*others, arguments.only_problems, arguments.verbose)):
        raise UsageError("--pin prints a table of its own: leave out the flags of the other one")


async def pin_certificates(
    targets: SelectedDevices, arguments: argparse.Namespace, at_once: int
) -> int:
    """Pin the certificates of the devices that have their pin in a file.

    Returns 0 if each of them shows its pinned certificate in the end. Raises `UsageError`.
    """
    has_terminal = all(stream and stream.isatty() for stream in (sys.stdin, sys.stderr))
    if not arguments.yes and not has_terminal:
        raise UsageError("--pin asks for confirmation, but there is no terminal: add --yes")
    chosen = with_pins_file(targets)
    with handle_interrupts(partial(warn, "check: interrupted")) as interrupts:
        events = interrupts.without_delay()
        checks = await _look_at_all(chosen, at_once, events)
        find_ambiguous(checks)
        print_lines(pin_lines(checks, terminal_width()), sys.stdout)
        print(summary(checks), flush=True)
        if events.stop.is_set():
            return 1
        for doubt in find_doubts(checks):
            warn(f"check: {doubt}")
        states = {"new", "changed"} if arguments.replace else {"new"}
        wanted = [check for check in checks if check.state in states]
        question = f"Pin {len(wanted)} {plural(len(wanted), 'certificate')}?"
        if wanted and (arguments.yes or await confirm(question, events.stop)):
            _pin(wanted)
    if any(check.state == "ambiguous" for check in checks):
        warn("check: an address has one pin, but has shown several certificates: none is pinned")
    if any(check.state == "changed" for check in checks):
        warn("check: if a device was given a new certificate, pin that with --replace")
    is_complete = all(check.state == "pinned" for check in checks)
    return exit_code("check", targets, success=is_complete)


def with_pins_file(targets: SelectedDevices) -> SelectedDevices:
    """Return the devices that have their pin in a file. Raises `UsageError` if none has."""
    chosen = tuple(filter(partial(_pins_file_of, targets), targets.devices))
    if not chosen:
        raise UsageError(
            "--pin needs devices over https whose module has a file for pins: set "
            "`tls_config: {pins_file: pins.yaml}` in the config"
        )
    if others := len(targets.devices) - len(chosen):
        warn(f"check: {others} {plural(others, 'device')} without a pins_file: left out")
    return targets._replace(devices=chosen)


def _pins_file_of(targets: SelectedDevices, device: DeviceConfig) -> Path | None:
    """Return the file that has the pin of a device, if one has."""
    module, own = targets.config.module(device.module), device.settings_of_its_own
    has_own = device.fingerprint_sha256 or own.fingerprint_sha256
    is_https = (own.scheme or module.scheme) == "https"
    return module.tls_config.pins_file if is_https and not has_own else None


async def _look_at_all(
    targets: SelectedDevices, at_once: int, events: StopEvents
) -> list[PinCheck]:
    """Return what each device shows. Raises `UsageError`, also for a file that is not usable."""
    files = [_pins_file_of(targets, device) for device in targets.devices]
    pins = {file: _read_or_create(file) for file in set(files) if file is not None}
    # With this pin, which matches no certificate, a client sends nothing.
    nothing_pinned = Pin(None, PINS_FILE)
    async with open_devices(targets, at_once, _keep_certificate, nothing_pinned) as devices:
        checks = [
            PinCheck(device, file, pins[file].find_hex(device.target.address))
            for device, file in zip(devices, files, strict=True)
            if file is not None
        ]
        await run_jobs("looking", checks, partial(_look, host=HostClock()), at_once, events)
    return checks


def _read_or_create(file: Path) -> Pins:
    try:
        if not file.exists():
            replace_file(file, HEAD)
        return read_pins(file)
    except OSError as error:
        raise UsageError(f"{file}: cannot be written: {error.strerror}") from None
    except ValueError as problem:
        raise UsageError(str(problem)) from None


def _keep_certificate(certificate: Certificate) -> None:
    _looked_at.get().certificate = certificate


async def _look(check: PinCheck, host: HostClock) -> None:
    _looked_at.set(check)
    check.device.state.record(await check.device.poll(host))


def _pin(checks: Sequence[PinCheck]) -> None:
    """Write the certificates to the files of pins. Raises `UsageError`."""
    of_file: defaultdict[Path, list[PinCheck]] = defaultdict(list)
    for check in checks:
        of_file[check.file].append(check)
    for file, of_this in of_file.items():
        try:
            with locked(file.resolve().parent):
                pinned = _write(file, of_this)
        except OSError as error:
            raise UsageError(f"{file}: cannot be written: {error.strerror}") from None
        except ValueError as problem:
            raise UsageError(str(problem)) from None
        print(f"Pinned {pinned} {plural(pinned, 'certificate')} in {file}")


def _write(file: Path, checks: Sequence[PinCheck]) -> int:
    """Add pins to a file; return how many. Raises `OSError` and `ValueError`."""
    # Read anew: another command may have written it, and its user has seen another table.
    pins, new = read_pins(file), {}
    for check in checks:
        address = check.device.target.address
        if pins.find_hex(address) in (check.pinned, check.shown):
            new[address] = check.pinned = check.shown
        else:
            warn(f"check: the pin of {escaped(address)} was changed meanwhile: it stays")
    text = read_regular(file).decode("utf-8-sig")
    try:
        written = write_pins(text, new)
    except ValueError as problem:
        raise ValueError(f"{file}: {problem}") from None
    replace_file(file, written)
    return len(new)
