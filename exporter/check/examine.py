"""Poll a device once, and keep the certificate that it showed."""

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from exporter.clock.host import HostClock, HostTime
from exporter.clock.offset import Offset, true_offset
from exporter.config import ModuleConfig, Thresholds
from exporter.devices.device import Device
from exporter.devices.health import Issue, Level, diagnose, level_of
from exporter.system.addresses import split_address
from exporter.time_servers.host_clock import Vote
from exporter.vapix.errors import CertificateNotTrusted, ConnectionRefused
from exporter.vapix.tls import Certificate


@dataclass(slots=True)
class DeviceCheck:
    """A device, its settings, and the results of one poll, which are empty until the poll ends.

    `by_flags`: the settings are from the command line, not a config. `certificate` is the last
    one that the device showed, `offset` its measured offset when the poll `ended`, `true_offset`
    the one against the time servers.
    """

    device: Device
    module: ModuleConfig
    by_flags: bool = False
    certificate: Certificate | None = None
    ended: HostTime | None = None
    offset: Offset | None = None
    true_offset: Offset | None = None
    issues: list[Issue] = field(default_factory=list)

    @property
    def checked(self) -> bool:
        """Whether the poll has ended, successful or not."""
        return self.device.state.last.up is not None

    @property
    def fine(self) -> bool:
        """Whether the device was checked and has no issues."""
        return self.checked and not self.issues

    @property
    def level(self) -> Level:
        """How bad it is, as on the status pages."""
        return level_of(self.device.state, self.issues)

    def take_vote(self, vote: Vote) -> None:
        """Compare the device's clock with the time of the time servers too."""
        if self.ended is not None:
            self.true_offset = true_offset(self.offset, vote.offset_at(self.ended))


_examined: Final[ContextVar[DeviceCheck]] = ContextVar("examined")


def keep_certificate(certificate: Certificate) -> None:
    """Keep the certificate of the device that is examined in the current context."""
    _examined.get().certificate = certificate


async def examine(check: DeviceCheck, host: HostClock, thresholds: Thresholds) -> None:
    """Poll the device once and diagnose it. Raises nothing but cancellation."""
    device = check.device
    _examined.set(check)
    outcome = await device.poll(host)
    device.state.record(outcome)
    check.ended, check.offset = outcome.ended, device.state.clock_offset(outcome.ended)
    issues = diagnose(device.state, check.offset, outcome.ended, thresholds)
    check.issues = [_add_pin(_name_flag(issue, check), check) for issue in issues]


_FLAG_FOR: Final = {
    "set `scheme: http` in its module": "add --scheme http",
    "Set `scheme: https` in its module": "Add --scheme https",
    "(`scheme`)": "(--scheme)",
    "Set the username and password of": "Add --username and type the password of",
    "set its fingerprint_sha256 in the config": "use its --fingerprint-sha256",
    "Set ca_file in tls_config, or pins_file and then run `axis-ntp-exporter check --pin`": (
        "Add --ca-file or --fingerprint-sha256"
    ),
}
"""What advice says without a config."""


def _name_flag(issue: Issue, check: DeviceCheck) -> Issue:
    if not check.by_flags:
        return issue
    advice = issue.advice
    for setting, flag in _FLAG_FOR.items():
        advice = advice.replace(setting, flag)
    is_refused = issue.cause == ConnectionRefused.cause
    if is_refused and split_address(check.device.target.address)[1] is None:
        other = "http" if check.device.target.scheme == "https" else "https"
        advice = f"{advice.removesuffix('.')}, or try `--scheme {other}`."
    return issue._replace(advice=advice)


def _add_pin(issue: Issue, check: DeviceCheck) -> Issue:
    """Add what to do about this device's untrusted certificate."""
    error, certificate = check.device.state.last.error, check.certificate
    is_refused = issue.level == "bad" and isinstance(error, CertificateNotTrusted)
    if not is_refused or certificate is None:
        return issue
    remedy = _remedy(check, certificate)
    return issue._replace(own_advice=f"If this is the device's own certificate, {remedy}.")


def _remedy(check: DeviceCheck, certificate: Certificate) -> str:
    """Return the exact setting, flag or command that pins an untrusted certificate."""
    pin, fingerprint = check.device.client.pin, certificate.fingerprint_sha256
    if pin is not None and not check.by_flags:
        return pin.remedy(fingerprint)
    ca_file = "--ca-file" if check.by_flags else "ca_file"
    instead = "" if check.module.tls_config.ca_file is None else f" instead of {ca_file}"
    if check.by_flags:
        return f"pin it: add --fingerprint-sha256={fingerprint}{instead}"
    remedy = f"pin it: add fingerprint_sha256: {fingerprint} to tls_config{instead}"
    if "mismatch" in (certificate.refusal or ""):  # OpenSSL's word for another name or address
        remedy += "; if only the name differs, set server_name to the certificate's name"
    return remedy
