"""`axis-ntp-exporter check --pin`: trust the certificates that devices show, after one question.

Nothing is sent to a device: its TLS handshake is enough to see its certificate.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Final

from exporter.check.pins import PinCheck, pin_lines, summary
from exporter.clock.host import HostClock
from exporter.commands.batch import exit_code, open_devices, run_jobs
from exporter.commands.check_output import output_format
from exporter.commands.targets import SelectedDevices, UsageError
from exporter.config.pins import HEAD, Pins, read_pins, write_pins
from exporter.config.schema import DeviceConfig
from exporter.system.files import read_regular, replace_file
from exporter.system.signals import StopEvents, handle_interrupts
from exporter.system.terminal import confirm, print_lines, warn
from exporter.system.text import plural
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
    if arguments.pin and (output_format(arguments) != "table" or arguments.watch is not None):
        raise UsageError("--pin prints a table once: leave out --json, --format and --watch")


async def pin_certificates(
    targets: SelectedDevices, arguments: argparse.Namespace, at_once: int
) -> int:
    """Pin the certificates of the devices that have their pin in a file.

    Returns 0 if each of them shows its pinned certificate in the end. Raises `UsageError`.
    """
    has_terminal = all(stream and stream.isatty() for stream in (sys.stdin, sys.stderr))
    if not arguments.yes and not has_terminal:
        raise UsageError("--pin asks for confirmation, but there is no terminal: add --yes")
    chosen = _with_pins_file(targets)
    with handle_interrupts(partial(warn, "check: interrupted")) as interrupts:
        events = interrupts.without_delay()
        checks = await _look_at_all(chosen, at_once, events)
        print_lines(pin_lines(checks), sys.stdout)
        print(summary(checks), flush=True)
        states = {"new", "changed"} if arguments.replace else {"new"}
        wanted = [check for check in checks if check.state in states]
        question = f"Pin {len(wanted)} {plural(len(wanted), 'certificate')}?"
        if wanted and (arguments.yes or await confirm(question, events.stop)):
            _pin(wanted)
    if any(check.state == "changed" for check in checks):
        warn("check: if a device was given a new certificate, pin that with --replace")
    is_complete = all(check.state == "pinned" for check in checks)
    return exit_code("check", targets, success=is_complete)


def _with_pins_file(targets: SelectedDevices) -> SelectedDevices:
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
    pins = {file: _read_or_create(file) for file in files if file is not None}
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
    new: defaultdict[Path, dict[str, str]] = defaultdict(dict)
    for check in checks:
        new[check.file][check.device.target.address] = check.shown
    for file, fingerprints in new.items():
        try:
            # Read anew: another command may have written it meanwhile.
            before = read_regular(file).decode("utf-8-sig")
            replace_file(file.resolve(), write_pins(before, fingerprints))
        except OSError as error:
            raise UsageError(f"{file}: cannot be written: {error.strerror}") from None
        print(f"Pinned {len(fingerprints)} {plural(len(fingerprints), 'certificate')} in {file}")
    for check in checks:
        check.pinned = check.shown
