"""What is told of checked devices: an object each, for a program. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from exporter.check.examine import DeviceCheck
from exporter.check.report import belief
from exporter.vapix.errors import DeviceError
from exporter.vapix.ntp_info import NtpClientReading


def documents(checkups: Sequence[DeviceCheck]) -> list[dict[str, Any]]:
    """An object for each device, as `--json` prints them; `None` is what is not known."""
    return [_document(checkup) for checkup in checkups]


def _document(checkup: DeviceCheck) -> dict[str, Any]:
    device, state, offset = checkup.device, checkup.device.state, checkup.offset
    return {
        "device": device.target.name,
        "address": device.target.address,
        "labels": dict(device.target.labels),
        "checked": checkup.checked,
        "fine": checkup.fine,
        "scheme": checkup.module.scheme,
        "answered": state.answered,
        "seconds": state.last_poll_seconds,
        "error": _error(state.error),
        "tls": _tls(checkup),
        "authentication": device.client.scheme,
        "api_version": None if state.reading is None else state.reading.api_version,
        "client": _client(state.client),
        "clock": None if offset is None else offset._asdict(),
        "mismatches": state.mismatches,
        "troubles": [trouble._asdict() for trouble in checkup.issues],
    }


def _error(error: DeviceError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {"reason": error.reason, "code": error.code, "message": str(error)}


def _tls(checkup: DeviceCheck) -> dict[str, Any] | None:
    certificate = checkup.certificate
    if certificate is None:
        return None
    verified, why = belief(checkup, certificate)
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
