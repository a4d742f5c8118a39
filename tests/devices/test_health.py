"""Issues of a device, and the advice on them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from exporter.clock.host import HostTime
from exporter.clock.offset import SECOND_NS, Offset
from exporter.config import Expect, Thresholds
from exporter.devices.health import diagnose, note_problem
from exporter.devices.state import DeviceState
from exporter.vapix import errors
from exporter.vapix.identity import DeviceIdentity
from exporter.vapix.ntp_info import CLOCK_ONLY, NtpClientReading, Reading
from tests.support.devices import NOW, outcome
from tests.support.readings import ntp_client, replace_fields

FINE = ntp_client(enabled=True, synced=True, offset_seconds=0.01)


def polled(result: Reading | errors.DeviceError, **settings: Any) -> DeviceState:
    state = DeviceState(**settings)
    state.record(outcome(1_800_000_000.0, 0.1, result))
    return state


def read(client: NtpClientReading | None) -> DeviceState:
    return polled(Reading("1.0", client, server_present=False))


def found(state: DeviceState, offset: Offset | None = None) -> list[str]:
    return [issue.what for issue in diagnose(state, offset, NOW, Thresholds())]


def test_a_device_has_no_issue_before_its_first_poll() -> None:
    assert diagnose(DeviceState(), None, NOW, Thresholds()) == []


def test_a_healthy_device_has_no_issue() -> None:
    assert diagnose(read(FINE), Offset(0.4, 0.001), NOW, Thresholds()) == []


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"enabled": False, "synced": False}, "NTP client disabled"),
        ({"enabled": None}, "NTP client does not report whether it is enabled"),
        ({"synced": False, "offset_seconds": None}, "not synchronized"),
        ({"synced": None, "offset_seconds": None}, "does not report whether it is synchronized"),
        ({"offset_seconds": -0.101}, "large reported offset"),
    ],
)
def test_each_problem_of_the_ntp_client_is_an_issue(changed: dict[str, Any], what: str) -> None:
    assert found(read(replace_fields(FINE, **changed))) == [what]


def test_a_device_without_an_ntp_client_has_an_issue() -> None:
    assert found(read(None)) == ["no NTP client"]


@pytest.mark.parametrize(("seconds", "is_off"), [(0.6, False), (0.61, True), (-0.61, True)])
def test_a_clock_is_off_only_beyond_its_uncertainty(seconds: float, *, is_off: bool) -> None:
    assert found(read(FINE), Offset(seconds, 0.1)) == (["its clock is off"] if is_off else [])


def stalled_text(
    unchanged_seconds: float, seconds_since_last_poll: float = 0, **settings: Any
) -> list[str]:
    """Return the problems, in words, of a device that reports the same offset in two polls."""
    reading = Reading("1.0", replace_fields(FINE, **settings), server_present=False)
    state = polled(reading)
    state.record(outcome(1_800_000_000.0, 0.1, reading, unchanged_seconds))
    ended_ns = round((0.1 + unchanged_seconds) * SECOND_NS)
    last_poll_unix_ns = 1_795_847_400 * SECOND_NS  # 2026-11-28 06:30:00 UTC
    since_ns = round(seconds_since_last_poll * SECOND_NS)
    now = HostTime(ended_ns + since_ns, last_poll_unix_ns + since_ns)
    return [issue.text for issue in diagnose(state, None, now, Thresholds())]


def test_what_a_device_reports_counts_until_its_last_poll_and_not_until_now() -> None:
    assert stalled_text(4000, seconds_since_last_poll=5000) == []


def test_a_disabled_client_has_not_stalled() -> None:
    texts = stalled_text(90_000, enabled=False)
    assert len(texts) == 1
    assert "disabled" in texts[0]


def test_a_reported_offset_that_does_not_change_for_four_intervals_is_an_issue() -> None:
    intervals = {"minpoll": 6, "maxpoll": 8}
    assert stalled_text(1024, **intervals) == []
    assert stalled_text(1024.1, **intervals) == [
        "synchronized, but the reported offset has not changed since 06:12 UTC "
        "(17 min; it asks its server every 64 s to 4 min)"
    ]


def test_a_device_that_reports_no_interval_may_keep_its_offset_for_68_minutes() -> None:
    assert stalled_text(4096) == []
    [text] = stalled_text(4097)
    assert text == "synchronized, but the reported offset has not changed since 05:21 UTC (68 min)"


def test_a_reported_offset_that_has_been_the_same_for_days_is_told_with_the_date() -> None:
    [text] = stalled_text(3 * 86_400)
    assert text.endswith("has not changed since 2026-11-25 06:30 UTC (3 days)")


@pytest.mark.parametrize("changed", [{"offset_seconds": 0.0}, {"synced": False}])
def test_an_offset_of_zero_or_without_synchronization_has_not_stalled(
    changed: dict[str, Any],
) -> None:
    assert not any("has not changed" in text for text in stalled_text(90_000, **changed))


def test_the_clock_of_a_device_whose_poll_failed_is_diagnosed_too() -> None:
    state = polled(errors.Unauthorized("HTTP 401", 401))
    assert found(state, Offset(9.0, 0.1)) == ["unauthorized 401", "its clock is off"]
    assert [issue.level for issue in diagnose(state, Offset(9.0, 0.1), NOW, Thresholds())] == [
        "bad",
        "warning",
    ]


@pytest.mark.parametrize(("seconds", "is_critical"), [(2.1, False), (2.11, True), (-2.11, True)])
def test_a_clock_beyond_its_uncertainty_and_2_s_is_critical(
    seconds: float, *, is_critical: bool
) -> None:
    [issue] = diagnose(read(FINE), Offset(seconds, 0.1), NOW, Thresholds())
    assert issue.is_critical == is_critical


@pytest.mark.parametrize(("seconds", "is_critical"), [(1.0, False), (-1.001, True)])
def test_a_reported_offset_beyond_1_s_is_critical(seconds: float, *, is_critical: bool) -> None:
    state = read(replace_fields(FINE, offset_seconds=seconds))
    [issue] = diagnose(state, None, NOW, Thresholds())
    assert issue.is_critical == is_critical


def test_a_failure_has_begun_with_the_first_poll_that_failed() -> None:
    state = read(FINE)
    for began in (100.0, 160.0):
        error = errors.Unauthorized("HTTP 401", 401)
        state.record(outcome(1_800_000_000.0, 0.1, error, began))
    [issue] = diagnose(state, None, NOW, Thresholds())
    assert issue.since_steady == pytest.approx(100.0)


def test_a_problem_has_begun_with_the_first_poll_that_showed_it_in_front() -> None:
    fine, unsynced = (
        Reading(
            "1.0", replace_fields(FINE, synced=synced, offset_seconds=None), server_present=False
        )
        for synced in (True, False)
    )
    lost = errors.PollTimeout("late")
    results: list[Reading | errors.DeviceError]
    results = [fine, unsynced, unsynced, lost, unsynced, fine, unsynced]
    state, began = DeviceState(), []
    for at, result in enumerate(results):
        poll = outcome(1_800_000_000.0, 1, result, at * 60.0)
        state.record(poll)
        note_problem(state, poll.ended, Thresholds())
        issues = diagnose(state, None, poll.ended, Thresholds())
        began.append(issues[0].since_steady if issues else None)
    assert began == [None, 61.0, 61.0, 180.0, 61.0, None, 361.0]


def test_since_when_a_problem_lasts_takes_no_text_or_number_of_its_own() -> None:
    state = read(replace_fields(FINE, synced=False, offset_seconds=None))
    note_problem(state, NOW, Thresholds())
    assert state.problem is sys.intern("not synchronized")
    assert state.problem_since_steady is state.last_poll_steady


def test_a_deviating_parameter_is_named() -> None:
    state = polled(Reading("1.0", FINE, server_present=False), expect=Expect(minpoll=6))
    assert found(state) == ["not as expected: minpoll"]


@pytest.mark.parametrize(
    ("changed", "whats"),
    [
        ({"enabled": False}, ["NTP client disabled"]),
        ({"enabled": False, "minpoll": 5}, ["NTP client disabled", "not as expected: minpoll"]),
        ({"static_servers": ()}, ["no servers configured"]),
        ({"static_servers": ("192.0.2.2",)}, ["not as expected: static_servers"]),
        (
            {"static_servers": (), "servers_source": "dhcp", "advertised_servers": ("192.0.2.2",)},
            ["not as expected: servers_source, static_servers"],
        ),
    ],
)
def test_a_mismatch_that_follows_from_another_issue_is_none_of_its_own(
    changed: dict[str, Any], whats: list[str]
) -> None:
    expect = Expect(enabled=True, minpoll=6, servers_source="static", static_servers=["192.0.2.1"])
    right: dict[str, Any] = {"servers_source": "static", "static_servers": ("192.0.2.1",)}
    client = replace_fields(FINE, **{"minpoll": 6, **right, **changed})
    assert found(polled(Reading("1.0", client, server_present=False), expect=expect)) == whats


@pytest.mark.parametrize("reason", errors.REASONS)
def test_every_reason_has_advice_of_one_sentence(reason: str) -> None:
    kinds: list[Any] = [*errors.DeviceError.__subclasses__()]
    kind = next(each for each in kinds if getattr(each, "reason", "") == reason)
    code = (1000,) if kind is errors.ApiError else ()
    (issue,) = diagnose(polled(kind("what happened", *code)), None, NOW, Thresholds())
    assert re.fullmatch(r"[A-Z][^.]*(\.\d+[^.]*)*\.", issue.advice)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (errors.NoAccount("x", 401), "Set the username and password of an administrator"),
        (errors.NoCommonScheme("x", 401), "Use https, or enable Digest on the device"),
        (errors.NonceAlwaysStale("x", 401), "Restart the device"),
        (errors.FactoryNew("x", 401), "Set the device's first password"),
        (errors.NewerApi("x", 4001), "Update this exporter"),
        (errors.RedirectToHttps("x", 301), "Set `scheme: https`"),
        (errors.HttpsPort("x", 400), "Set `scheme: https`"),
        (errors.TlsResponse("x"), "Set `scheme: https`"),
        (errors.PlainHttp("x"), "Use the device's https port, or set `scheme: http`"),
        (errors.TooManyOpenFiles("x"), "Raise the exporter's limit of open files"),
        (errors.Busy("x", 503), "Wait: the device is busy or starting"),
        (errors.CertificateNotTrusted("x"), "Set ca_file in tls_config, or pins_file and then run"),
        (errors.CertificateNotPinned("x"), "If this is the device's own certificate, run `axis-nt"),
        (errors.CertificateChanged("x"), "If the device was given a new certificate, set its fin"),
        (errors.CertificateInFileChanged("x"), "If the device was given a new certificate, run "),
    ],
)
def test_a_specific_error_has_its_own_advice(error: errors.DeviceError, advice: str) -> None:
    (issue,) = diagnose(polled(error), None, NOW, Thresholds())
    assert issue.advice.startswith(advice)
    assert re.fullmatch(r"[A-Z][^.]*(\.\w[^.]*)*\.", issue.advice)


def kinds_of_errors(base: type[errors.DeviceError]) -> Iterator[type[errors.DeviceError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from kinds_of_errors(kind)


def test_errors_with_the_same_title_have_the_same_advice() -> None:
    advice: dict[str, set[str]] = {}
    for kind in kinds_of_errors(errors.DeviceError):
        code = 4002 if kind is errors.Forbidden else 403  # both are told by their codes
        (issue,) = diagnose(polled(kind("x", code)), None, NOW, Thresholds())
        advice.setdefault(issue.title, set()).add(issue.advice)
    # Where the pin of a changed certificate is decides what to do; `check` lists these apart.
    assert {title: len(each) for title, each in advice.items() if len(each) > 1} == {
        "tls 403, certificate changed": 2
    }


@pytest.mark.parametrize(
    ("reasons", "suspects"),
    [("dd", False), ("ddd", True), ("ddt", False), ("rddd", False)],
)
def test_a_device_that_closed_its_first_three_connections_may_have_no_ntp_cgi(
    reasons: str, *, suspects: bool
) -> None:
    results: dict[str, Reading | errors.DeviceError] = {
        "d": errors.Disconnected("x"),
        "t": errors.PollTimeout("x"),
        "r": Reading("1.0", FINE, server_present=False),
    }
    state = DeviceState()
    for reason in reasons:
        state.record(outcome(1_800_000_000.0, 0.1, results[reason]))
    (issue,) = diagnose(state, None, NOW, Thresholds())
    assert ("clock_only: true" in issue.advice) == suspects


def test_a_device_whose_api_is_not_asked_has_no_issue() -> None:
    assert found(polled(CLOCK_ONLY)) == []


def test_an_overdue_response_is_reported_instead_of_the_last_error() -> None:
    state = polled(errors.FactoryNew("x", 401)).as_unanswered()
    (issue,) = diagnose(state, None, NOW, Thresholds())
    assert (issue.what, issue.advice[:23]) == ("timeout", "Check device load and f")


@pytest.mark.parametrize("synced", [False, None, True])
def test_an_enabled_client_without_servers_has_this_one_issue(*, synced: bool | None) -> None:
    offset_seconds = 0.01 if synced else None
    none = replace_fields(
        FINE,
        synced=synced,
        offset_seconds=offset_seconds,
        servers_source="static",
        static_servers=(),
    )
    [issue] = diagnose(read(none), None, NOW, Thresholds())
    assert (issue.what, issue.advice) == (
        "no servers configured",
        "Configure NTP servers on the device, or have its DHCP server name some.",
    )


@pytest.mark.parametrize(
    ("changed", "measured", "whats"),
    [
        ({"offset_seconds": 3.0}, 3.0, ["its clock is off", "large reported offset"]),
        ({"offset_seconds": 0.7}, 0.7, ["its clock is off", "large reported offset"]),
        ({"offset_seconds": 3.0}, 0.7, ["large reported offset", "its clock is off"]),
        (
            {"enabled": False, "offset_seconds": None},
            0.7,
            ["NTP client disabled", "its clock is off"],
        ),
        (
            {"enabled": False, "offset_seconds": None},
            3.0,
            ["its clock is off", "NTP client disabled"],
        ),
    ],
)
def test_the_worst_issue_is_first_and_a_cause_before_what_follows_from_it(
    changed: dict[str, Any], measured: float, whats: list[str]
) -> None:
    assert found(read(replace_fields(FINE, **changed)), Offset(measured, 0.01)) == whats


THRESHOLDS = Thresholds.model_validate(
    {"offset": {"warning": "5ms"}, "skew": {"warning": "1s", "critical": "4s"}}
)


@pytest.mark.parametrize(
    ("offset", "measured", "whats"),
    [
        (0.005, 1.1, []),
        (-0.0051, 1.1, ["large reported offset"]),
        (0.0, -1.11, ["its clock is off"]),
    ],
)
def test_a_clock_is_off_beyond_the_configured_warning_thresholds(
    offset: float, measured: float, whats: list[str]
) -> None:
    state = read(replace_fields(FINE, offset_seconds=offset))
    issues = diagnose(state, Offset(measured, 0.1), NOW, THRESHOLDS)
    assert [issue.what for issue in issues] == whats


@pytest.mark.parametrize(
    ("seconds_left", "texts"),
    [
        (21 * 86_400 + 1, []),
        (21 * 86_400 - 1, ["its certificate expires in 20 days (2027-02-05)"]),
        (3_601, ["its certificate expires in 60 min (2027-01-15)"]),
        (-90_000, ["its certificate expired 25 h 0 min ago (2027-01-14)"]),
    ],
)
def test_a_certificate_that_ends_within_three_weeks_is_an_issue(
    seconds_left: float, texts: list[str]
) -> None:
    state = read(FINE)
    state.identity = DeviceIdentity("", NOW.unix_seconds + seconds_left)
    assert [issue.text for issue in diagnose(state, None, NOW, Thresholds())] == texts


def test_an_expired_certificate_is_an_issue_of_a_device_whose_poll_failed_too() -> None:
    state = polled(errors.Unauthorized("HTTP 401", 401))
    state.identity = DeviceIdentity("", NOW.unix_seconds - 1)
    assert found(state) == ["unauthorized 401", "its certificate has expired"]
