"""Checked devices as JSON objects. Pure."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from exporter.check.examine import DeviceCheck
from exporter.check.report import verify
from exporter.vapix.errors import DeviceError
from exporter.vapix.ntp_info import NtpClientReading


def documents(checks: Sequence[DeviceCheck]) -> list[dict[str, Any]]:
    """Return the objects that `--json` prints, one per device; `None` means unknown."""
    return [_document(check) for check in checks]


def _document(check: DeviceCheck) -> dict[str, Any]:
    device, state, offset = check.device, check.device.state, check.offset
    return {
        "device": device.target.name,
        "address": device.target.address,
        "labels": dict(device.target.labels),
        "checked": check.checked,
        "fine": check.fine,
        "scheme": check.module.scheme,
        "answered": state.last.answered,
        "seconds": state.last_poll_seconds,
        "error": _error(state.last.error),
        "tls": _tls(check),
        "authentication": device.client.scheme,
        "api_version": None if state.last.reading is None else state.last.reading.api_version,
        "client": _client(state.client),
        "clock": None if offset is None else offset._asdict(),
        "mismatches": state.last.mismatches,
        "troubles": [
            {"level": issue.level, "what": issue.what, "advice": issue.advice}
            for issue in check.issues
        ],
    }


def _error(error: DeviceError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {"reason": error.reason, "code": error.code, "message": str(error)}


def _tls(check: DeviceCheck) -> dict[str, Any] | None:
    certificate = check.certificate
    if certificate is None:
        return None
    verified, why = verify(check, certificate)
    return {
        "verified": verified,
        "why": why,
        "subject": certificate.subject,
        "fingerprint_sha256": certificate.fingerprint_sha256,
    }


def _client(client: NtpClientReading | None) -> dict[str, Any] | None:
    if client is None:
        return None
    settings, status = client
    return {
        **asdict(settings),
        "synced": status.synced,
        "time_to_next_sync_seconds": status.time_to_next_sync_seconds,
        "offset_seconds": status.reported_offset_seconds,
        "active_servers": settings.active_servers,
    }
