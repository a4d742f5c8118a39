"""What is said to be wrong with a device."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.clock.offset import Offset
from exporter.config import Expect
from exporter.devices.health import OFFSET_SECONDS, SKEW_SECONDS, diagnose
from exporter.devices.state import DeviceState
from exporter.vapix import errors
from exporter.vapix.reading import NtpClientReading, Reading
from tests.support.devices import outcome

FINE = NtpClientReading(enabled=True, synced=True, offset_seconds=0.01)
RULES = Path(__file__).parents[2] / "grafana" / "rules" / "axis-ntp.rules.yml"


def polled(result: Reading | errors.DeviceError, **settings: Any) -> DeviceState:
    state = DeviceState(**settings)
    state.record(outcome(1_800_000_000.0, 0.1, result))
    return state


def read(client: NtpClientReading | None) -> DeviceState:
    return polled(Reading("1.0", client, server_present=False))


def said(state: DeviceState, offset: Offset | None = None) -> list[str]:
    return [trouble.what for trouble in diagnose(state, offset)]


def test_nothing_is_wrong_with_a_device_before_its_first_poll() -> None:
    assert diagnose(DeviceState(), None) == []


def test_a_good_device_has_no_trouble() -> None:
    assert diagnose(read(FINE), Offset(0.4, 0.001)) == []


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"enabled": False, "synced": False}, "NTP client disabled"),
        ({"enabled": None}, "NTP client does not say whether it is enabled"),
        ({"synced": False, "offset_seconds": None}, "not synchronized"),
        ({"synced": None, "offset_seconds": None}, "does not say whether it is synchronized"),
        ({"offset_seconds": -0.101}, "far off its NTP server"),
    ],
)
def test_what_the_client_says_is_judged(changed: dict[str, Any], what: str) -> None:
    assert said(read(FINE._replace(**changed))) == [what]


def test_a_device_without_a_client_is_no_good() -> None:
    assert said(read(None)) == ["no NTP client"]


@pytest.mark.parametrize(("seconds", "is_off"), [(0.6, False), (0.61, True), (-0.61, True)])
def test_a_clock_is_off_only_beyond_its_uncertainty(seconds: float, *, is_off: bool) -> None:
    assert said(read(FINE), Offset(seconds, 0.1)) == (["its clock is off"] if is_off else [])


def test_a_failed_device_s_clock_is_judged_too() -> None:
    state = polled(errors.Unauthorized("HTTP 401", 401))
    assert said(state, Offset(9.0, 0.1)) == ["unauthorized 401", "its clock is off"]
    assert [trouble.level for trouble in diagnose(state, Offset(9.0, 0.1))] == ["bad", "warning"]


def test_a_deviation_is_named() -> None:
    state = polled(Reading("1.0", FINE, server_present=False), expect=Expect(minpoll=6))
    assert said(state) == ["not as expected: minpoll"]


@pytest.mark.parametrize("reason", errors.REASONS)
def test_every_reason_has_advice_of_one_sentence(reason: str) -> None:
    kinds: list[Any] = [*errors.DeviceError.__subclasses__()]
    kind = next(each for each in kinds if getattr(each, "reason", "") == reason)
    code = (1000,) if kind is errors.ApiError else ()
    (trouble,) = diagnose(polled(kind("what happened", *code)), None)
    assert re.fullmatch(r"[A-Z][^.]*(\.\d+[^.]*)*\.", trouble.advice)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (errors.NoAccount("x", 401), "Give the username and password of an administrator"),
        (errors.NoCommonScheme("x", 401), "Use https, or let the device offer Digest"),
        (errors.NonceAlwaysStale("x", 401), "Restart the device"),
        (errors.FactoryNew("x", 401), "Set the device's first password"),
        (errors.CertificateNotTrusted("x"), "Set tls_config to fit the device's certificate"),
    ],
)
def test_what_has_another_remedy_than_its_reason_has_its_own_advice(
    error: errors.DeviceError, advice: str
) -> None:
    (trouble,) = diagnose(polled(error), None)
    assert trouble.advice.startswith(advice)
    assert re.fullmatch(r"[A-Z][^.]*(\.\w[^.]*)*\.", trouble.advice)


def test_a_device_that_owes_an_answer_is_told_of_that_and_not_of_its_last_error() -> None:
    state = polled(errors.FactoryNew("x", 401)).as_unanswered()
    (trouble,) = diagnose(state, None)
    assert (trouble.what, trouble.advice[:23]) == ("timeout", "See whether the device ")


def test_a_device_without_servers_is_to_be_given_some() -> None:
    none = FINE._replace(
        synced=False, offset_seconds=None, servers_source="static", static_servers=()
    )
    assert [each.advice for each in diagnose(read(none), None)] == [
        "Give the device NTP servers: it has none."
    ]


@pytest.mark.parametrize(
    ("alert", "threshold"),
    [("AxisNTPOffsetHigh", OFFSET_SECONDS), ("AxisNTPClockSkew", SKEW_SECONDS)],
)
def test_the_thresholds_are_the_alerts(alert: str, threshold: float) -> None:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"] if rule.get("alert") == alert]
    (warning,) = [rule["expr"] for rule in rules if rule["labels"]["severity"] == "warning"]
    assert f"> {threshold:g}" in warning
