"""Targets for what devices send: bodies, whole HTTP responses, challenges and clocks."""

import base64
import dataclasses
import json
import math
import re
from email.utils import formatdate
from typing import Any, Final

from exporter.clock.http_time import ResponseTimes, clock_sample, nonce_time_us, parse_date
from exporter.clock.offset import DATE_LAG_NS, SECOND_NS
from exporter.vapix import ntp
from exporter.vapix.challenges import MAX_CHALLENGES, parse_challenges
from exporter.vapix.errors import (
    REASONS,
    ApiError,
    DeviceError,
    Forbidden,
    Internal,
    InvalidResponse,
    NewerApi,
    Unauthorized,
    Unsupported,
)
from exporter.vapix.http_auth import Authenticator, DeviceCredentials, Policy
from exporter.vapix.ntp_info import NtpSettings, Reading, decode_info
from tests.fuzz.raw_client import poll_device
from tests.fuzz.seeds import BODIES, CHALLENGES, CLOCKS, RESPONSES
from tests.fuzz.target import FuzzTarget, check_all, check_text

PASSWORD: Final = "Tr0ub4dor&3"
ACCOUNT: Final = DeviceCredentials("root", PASSWORD)
_SHOWN_PASSWORD: Final = re.compile(rf"(?<![0-9A-Za-z]){re.escape(PASSWORD)}(?![0-9A-Za-z])")

_POLICIES: Final[tuple[Policy, ...]] = ("auto", "digest", "basic")
_LAST_SECOND: Final = 253_402_300_800
"""The end of the year 9999."""


def device_body(data: bytes) -> None:
    redact = Authenticator("auto", ACCOUNT, secure=False).redact
    if (error := ntp.find_error(data, redact)) is not None:
        _check_device_error(error)
    try:
        answer = ntp.decode_answer(data, redact)
    except DeviceError as refusal:
        _check_device_error(refusal)
        raise
    _check_versions(answer)
    reading = decode_info(answer)
    assert not _SHOWN_PASSWORD.search(repr(reading)), "the password is in the reading"
    _check_reading(reading)


def _check_versions(answer: ntp.NtpAnswer) -> None:
    try:
        version = ntp.choose_version(ntp.decode_supported_versions(answer))
    except DeviceError as refusal:
        _check_device_error(refusal)
    else:
        assert re.fullmatch(r"1\.[0-9]{1,4}", version)


def _check_device_error(error: DeviceError) -> None:
    assert error.reason in REASONS
    assert not isinstance(error, Internal)
    assert error.code is None or 0 <= error.code < 100_000
    check_text(str(error))
    assert not _SHOWN_PASSWORD.search(str(error)), "the password is in the error"


def _check_reading(reading: Reading) -> None:
    check_all(text for pair in reading.invalid_fields for text in pair)
    if reading.client is None:
        return
    settings, status = reading.client.settings, reading.client.status
    for listed in settings.server_lists():
        assert len(listed.servers) <= 32
        check_all(listed.servers, 255)
    for number in (status.reported_offset_seconds, status.time_to_next_sync_seconds):
        assert number is None or math.isfinite(number)
    assert (settings.active_servers is None) == (settings.active_source is None) or (
        settings.active_server_count is None
    )
    _check_round_trip(settings)


def _check_round_trip(settings: NtpSettings) -> None:
    """What was read can be written as the API writes it, and reads back the same."""
    fields: dict[str, Any] = NtpSettings.__pydantic_fields__  # type: ignore[attr-defined]
    values = dataclasses.asdict(settings)
    client = {
        field.alias or name: values[name]
        for name, field in fields.items()
        if values[name] is not None
    }
    body = json.dumps({"apiVersion": "1.5", "data": {"client": client}}).encode()
    again = decode_info(ntp.decode_answer(body))
    assert again.client is not None
    assert again.client.settings == settings
    assert again.invalid_fields == ()


def device_response(data: bytes) -> None:
    """The bytes of a whole HTTP response, read by the client; they answer every request."""
    try:
        reading, times = poll_device(data)
    except DeviceError as refusal:
        _check_device_error(refusal)
        return
    _check_reading(reading)
    assert all(each.sent_ns <= each.received_ns for each in times.responses)


def challenges(data: bytes) -> None:
    """The first byte chooses policy and scheme; a line is a header."""
    choice = data[0] if data else 0
    headers = data[1:].decode(errors="surrogateescape").split("\n")
    parsed = parse_challenges(headers)
    assert len(parsed) <= MAX_CHALLENGES
    secure = bool(choice & 8)
    authenticator = Authenticator(_POLICIES[choice % 3], ACCOUNT, secure=secure)
    before = authenticator.scheme
    try:
        authenticator.handle_unauthorized(headers, choice >> 4 & 3)
    except Unauthorized as refusal:
        _check_device_error(refusal)
        return
    authenticator.handle_success(headers[-1])
    assert authenticator.scheme == "digest" or secure, "Basic over plain HTTP"
    assert before is None or secure
    for _ in range(2):
        _check_authorization(authenticator)


def _check_authorization(authenticator: Authenticator) -> None:
    header = authenticator.authorization("POST", ntp.PATH)
    assert header is not None
    check_text(header, 20_000)
    header.encode()
    assert PASSWORD not in header
    if authenticator.scheme == "digest":
        (answer,) = parse_challenges([header]) or (None,)
        if answer is not None:
            assert answer.scheme == "digest"
            assert {"username", "realm", "nonce", "uri", "response"} <= answer.params.keys()
            assert answer.params["username"] == "root"
            assert re.fullmatch(r"[0-9a-f]{32}|[0-9a-f]{64}", answer.params["response"])


def device_clock(data: bytes) -> None:
    """The first line is the `Date`, the others are nonces."""
    date, *nonces = data.decode(errors="surrogateescape").split("\n")
    second = parse_date(date, 2026)
    if second is not None:
        assert 0 <= second <= _LAST_SECOND
        if second < _LAST_SECOND:
            assert parse_date(formatdate(second, usegmt=True), 2026) == second
    for nonce in nonces:
        _check_nonce(nonce)
    times = ResponseTimes(10 * SECOND_NS, 10 * SECOND_NS + 5_000_000, date, tuple(nonces))
    sample = clock_sample(times, 2026)
    assert (sample is None) == (second is None)
    if sample is not None and second is not None:
        _check_sample_bounds(sample, second, times)


def _check_sample_bounds(sample: Any, second: int, times: ResponseTimes) -> None:
    """The offset can be no other than the `Date` allows, whatever the nonces are."""
    at_sending = second * SECOND_NS - times.received_ns - SECOND_NS
    at_receipt = (second + 1) * SECOND_NS + DATE_LAG_NS - times.sent_ns + SECOND_NS
    assert at_sending <= sample.low_ns <= sample.high_ns <= at_receipt


def _check_nonce(nonce: str) -> None:
    time_us = nonce_time_us(nonce)
    if time_us is not None:
        assert -(2**63) <= time_us < 2**63
        encoded = base64.b64encode(time_us.to_bytes(8, "little", signed=True)).decode()
        # The last character before the padding has bits that are not used.
        assert encoded[:10] == nonce[:10]


_API: Final = (InvalidResponse, NewerApi, Unsupported, Forbidden, ApiError)

DEVICE_TARGETS: Final = (
    FuzzTarget("device-body", device_body, BODIES, _API),
    FuzzTarget("device-response", device_response, RESPONSES),
    FuzzTarget("challenges", challenges, CHALLENGES),
    FuzzTarget("device-clock", device_clock, CLOCKS),
)
