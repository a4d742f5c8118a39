"""Polling a device once, and keeping what its connection showed besides."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from exporter.clock.host import HostClock
from exporter.clock.offset import Offset
from exporter.config import ModuleConfig
from exporter.devices.device import Device
from exporter.devices.health import Issue, diagnose
from exporter.vapix.tls import Certificate


@dataclass(slots=True)
class DeviceCheck:
    """A device, how it is asked, and what one poll has shown; nothing before that has ended.

    `by_flags`: the command line says how it is asked, no config does. `certificate` is the last
    one that it showed, `offset` its clock right after the poll.
    """

    device: Device
    module: ModuleConfig
    by_flags: bool = False
    certificate: Certificate | None = None
    offset: Offset | None = None
    issues: list[Issue] = field(default_factory=list)

    @property
    def checked(self) -> bool:
        """Whether the poll has ended, well or not."""
        return self.device.state.up is not None

    @property
    def fine(self) -> bool:
        """Whether there is nothing to be done."""
        return self.checked and not self.issues


_examined: Final[ContextVar[DeviceCheck]] = ContextVar("examined")


def notice(certificate: Certificate) -> None:
    """Take a certificate for that of the device which is being examined in this context."""
    _examined.get().certificate = certificate


async def examine(checkup: DeviceCheck, host: HostClock) -> None:
    """Poll the device once, and judge it. Raises nothing but cancellation."""
    device = checkup.device
    _examined.set(checkup)
    outcome = await device.poll(host)
    device.state.record(outcome)
    checkup.offset = device.state.clock_offset(outcome.ended)
    found = diagnose(device.state, checkup.offset)
    checkup.issues = [_with_pin(trouble, checkup) for trouble in found]


def _with_pin(trouble: Issue, checkup: DeviceCheck) -> Issue:
    """Advice on a certificate that is not believed, with what it takes to believe it."""
    error, certificate = checkup.device.state.last_error, checkup.certificate
    is_on_tls = trouble.level == "bad" and error is not None and error.reason == "tls"
    if not is_on_tls or certificate is None or certificate.refusal is None:
        return trouble
    how = _how_to_pin(certificate.fingerprint_sha256, checkup)
    advice = f"If the certificate is the device's own, {how}"
    if _is_of_another_name(certificate.refusal) and not checkup.by_flags:
        advice += "; if only its name is another, give that as server_name"
    return trouble._replace(advice=f"{advice}.")


def _how_to_pin(pin: str, checkup: DeviceCheck) -> str:
    if checkup.by_flags:
        instead = " instead of --ca-file" if checkup.module.tls_config.ca_file else ""
        return f"add --fingerprint-sha256={pin}{instead} to pin it"
    instead = " in place of ca_file" if checkup.module.tls_config.ca_file else ""
    return f"put fingerprint_sha256: {pin} into tls_config{instead}"


def _is_of_another_name(refusal: str) -> bool:
    return "mismatch" in refusal  # OpenSSL's word for names and for addresses
