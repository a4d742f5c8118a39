"""What is read around a moment: other moments at which a picture showed the same, other devices."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, cast

import pytest

from exporter.clock.offset import SECOND_NS
from exporter.evidence.prometheus_api import PrometheusApi, RawSeries
from exporter.evidence.reading import Wanted, answer
from exporter.evidence.records import Asked
from exporter.evidence.statement import Statement

TRUE = 2_000_000_000
MINUTE, HOUR = 60, 3600
LOOKBACK = 300
LABELS = {"device": "lobby", "job": "axis", "instance": "exporter:10123"}

Samples = list[tuple[float, float]]


@dataclass
class FakeApi:
    """Answers as Prometheus from its series; queries are those that `reading` makes."""

    series: list[RawSeries] = field(default_factory=list)

    def add(self, name: str, samples: Samples, **labels: str) -> None:
        self.series.append(RawSeries({"__name__": name, **LABELS, **labels}, samples))

    async def query(self, expression: str, at_seconds: float) -> list[RawSeries]:
        match = re.search(r'__name__=~"([^"]+)".*\[(\d+)ms\]$', expression)
        assert match is not None
        start = at_seconds - int(match[2]) / 1000
        found = [
            each._replace(samples=[one for one in each.samples if start < one[0] <= at_seconds])
            for each in self.series
            if each.labels["__name__"] in match[1].split("|")
        ]
        return [each for each in found if each.samples]

    async def query_range(
        self, expression: str, start: float, end: float, step: float
    ) -> list[RawSeries]:
        times = [start + number * step for number in range(int((end - start) / step) + 1)]
        name, _, matchers = expression.partition("{")
        wanted = dict(re.findall(r'(\w+)="([^"]*)"', matchers))
        offsets = [
            each
            for each in self.series
            if each.labels["__name__"] == name and wanted.items() <= each.labels.items()
        ]
        return [each._replace(samples=_resampled(each.samples, times)) for each in offsets]


def _resampled(samples: Sequence[tuple[float, float]], times: Sequence[float]) -> Samples:
    found = []
    for when in times:
        earlier = [*takewhile(lambda sample: sample[0] <= when, samples)]  # noqa: B023 - used here
        if earlier and when - earlier[-1][0] < LOOKBACK:
            found.append((when, earlier[-1][1]))
    return found


def fake(*, set_by: dict[int, float] | None = None, until: int = 6 * HOUR) -> FakeApi:
    """Return minutes of measurements; the clock was right until it was set by so many seconds."""
    api, changes = FakeApi(), set_by or {}
    polls = [TRUE + since for since in range(-6 * HOUR, until, MINUTE)]

    def told(value: Any) -> Samples:
        return [(when + 1.0, float(value(when))) for when in polls]

    def changed(when: int) -> list[float]:
        return [by for since, by in changes.items() if when >= TRUE + since]

    api.add("axis_ntp_clock_offset_seconds", told(lambda when: sum(changed(when))))
    api.add("axis_ntp_clock_offset_uncertainty_seconds", told(lambda _: 0.005))
    api.add("axis_ntp_clock_steps_total", told(lambda when: len(changed(when))))
    api.add("axis_ntp_last_poll_timestamp_seconds", told(lambda when: when))
    api.add("axis_ntp_polls_total", told(lambda when: (when - TRUE) // MINUTE + 1000))
    return api


async def ask(api: FakeApi, kind: str = "shown", since: float = 10) -> Statement:
    asked = Asked("at" if kind == "at" else "shown", round((TRUE + since) * SECOND_NS))
    wanted = Wanted("lobby", {}, asked, 900)
    now_ns = (TRUE + 72 * HOUR) * SECOND_NS
    return (await answer(cast("PrometheusApi", api), wanted, now_ns))[0]


async def test_a_steady_clock_has_a_statement() -> None:
    statement = await ask(fake())
    assert statement.finding is not None
    # The search is for each minute.
    assert statement.measured_since_ns is not None
    assert abs(statement.measured_since_ns / SECOND_NS - (TRUE - 6 * HOUR)) <= MINUTE


async def test_a_time_that_was_shown_again_hours_later_has_none() -> None:
    """The clock was set back by two hours, half an hour after the moment."""
    statement = await ask(fake(set_by={30 * MINUTE: -2 * HOUR}))
    assert statement.finding is None
    assert str(statement.reason) == (
        "a device of this name may have shown this time more than once: about "
        "2033-05-18 03:33:30 UTC and about 2033-05-18 05:33:30 UTC"
    )


@pytest.mark.parametrize("back", [14 * MINUTE, 2 * HOUR, 24 * HOUR])
@pytest.mark.parametrize("since", [-119, -60, -5])
async def test_what_was_shown_just_before_the_clock_was_set_back_was_shown_again(
    back: int, since: int
) -> None:
    """Nobody knows when between two polls it was set; with a `Date`, a step is noticed late."""
    set_at = 20 * MINUTE
    api = fake(set_by={set_at: -back}, until=back + 6 * HOUR)
    assert (await ask(api, since=set_at + since)).finding is None


async def test_what_was_shown_after_the_clock_was_set_back_and_before_that_was_noticed() -> None:
    """The picture may be from five minutes before the exporter noticed it."""
    set_at = 20 * MINUTE
    statement = await ask(fake(set_by={set_at: -2 * HOUR}), since=set_at - 300 - 2 * HOUR)
    assert "more than once: about 2033-05-18 01:48:20 UTC and about 2033-05-18 03:48:20" in str(
        statement.reason
    )


async def test_what_may_have_been_shown_while_nobody_measured_counts() -> None:
    """In three hours without a measurement the clock was set back by two."""
    api, away = fake(set_by={3 * HOUR: -2 * HOUR}), range(TRUE + HOUR, TRUE + 4 * HOUR)
    api.series = [
        each._replace(samples=[one for one in each.samples if round(one[0]) not in away])
        for each in api.series
    ]
    assert "may have shown this time more than once" in str((await ask(api)).reason)


async def test_a_time_that_was_shown_before_the_clock_was_set_back_is_told_too() -> None:
    """Asked is the second time; the first was before the step."""
    api = fake(set_by={-3 * HOUR: -2 * HOUR})
    statement = await ask(api, since=-4 * HOUR)
    assert "more than once: about 2033-05-17 23:33:20 UTC and about 2033-05-18 01:33:20" in str(
        statement.reason
    )


async def test_a_host_that_booted_with_a_wrong_clock_is_no_other_moment() -> None:
    """It was two hours behind for ten minutes: all devices seemed ahead. Time servers tell."""
    api, wrong = fake(), range(-3 * HOUR, -3 * HOUR + 600)
    [offsets] = [each for each in api.series if each.labels["__name__"].endswith("offset_seconds")]
    api.series.remove(offsets)

    def behind(when: float) -> float:
        return 2 * HOUR if int(when - TRUE) in wrong else 0.0

    told = [(when, value + behind(when)) for when, value in offsets.samples]
    api.add("axis_ntp_clock_offset_seconds", told)
    for name, value in (("", -1.0), ("_uncertainty", 0.0)):
        host = [(when, value * behind(when) + 0.001) for when, _ in told]
        api.add(f"axis_ntp_exporter_host_clock_offset{name}_seconds", host)
    for since in (-HOUR, 10):
        assert (await ask(api, since=since)).finding is not None


async def test_a_picture_that_seems_to_be_from_the_future_is_found() -> None:
    """The clock is two hours ahead, and the picture is from 20 minutes ago."""
    api, now = fake(set_by={-5 * HOUR: 2 * HOUR}, until=0), TRUE * SECOND_NS
    asked = Asked("shown", now + (2 * HOUR - 20 * MINUTE) * SECOND_NS)
    wanted = Wanted("lobby", {}, asked, 900)
    statement, _ = await answer(cast("PrometheusApi", api), wanted, now)
    assert statement.finding is not None
    assert abs(statement.finding.true_time.low_ns / SECOND_NS - TRUE + 20 * MINUTE) < 1


@pytest.mark.parametrize("away", [0, 2 * HOUR + 30 * MINUTE])
async def test_another_moment_is_found_though_the_exporter_has_another_name_since(
    away: int,
) -> None:
    """The clock was set back by two hours after `instance` was changed, or meanwhile."""
    api = fake(set_by={90 * MINUTE: -2 * HOUR})
    old, ended, began = api.series, TRUE + HOUR, TRUE + HOUR + away
    api.series = [
        each._replace(
            labels={**each.labels, "instance": instance},
            samples=[one for one in each.samples if first <= one[0] < last],
        )
        for each in old
        for instance, first, last in (
            ("exporter:10123", 0, ended),
            ("renamed:10123", began, 2 * TRUE),
        )
    ]
    assert "may have shown this time more than once" in str((await ask(api)).reason)


async def test_another_device_with_other_labels_is_no_other_moment() -> None:
    """It has the same name at another site, and its clock was two hours ahead."""
    api = fake()
    told = [(TRUE + since + 1.0, 2.0 * HOUR) for since in range(-6 * HOUR, -HOUR, MINUTE)]
    for each in api.series:
        each.labels["site"] = "hq"  # type: ignore[index]
    api.add("axis_ntp_clock_offset_seconds", told, site="port", instance="b:10123")
    assert (await ask(api)).finding is not None


async def test_an_exporter_whose_host_is_suspect_finds_no_other_moment() -> None:
    """Its clock is two hours ahead: it is not used beside one that asks time servers."""
    api, names = fake(), ("clock_offset", "last_poll_timestamp")
    for each in [*api.series]:
        name = each.labels["__name__"].removeprefix("axis_ntp_").removesuffix("_seconds")
        wrong = dict(zip(names, (-2.0 * HOUR, 2.0 * HOUR), strict=True)).get(name, 0.0)
        samples = [(when, value + wrong) for when, value in each.samples]
        api.add(each.labels["__name__"], samples, instance="b:10123")
    for name in ("", "_uncertainty"):
        host = [(when, 0.001) for when, _ in api.series[0].samples]
        api.add(f"axis_ntp_exporter_host_clock_offset{name}_seconds", host)
    statement = await ask(api)
    assert statement.finding is not None
    assert "suspect" in str([getattr(each, "reason", "") for each in statement.each])


async def test_a_clock_that_was_set_forward_has_shown_the_time_once() -> None:
    statement = await ask(fake(set_by={30 * MINUTE: 2 * HOUR}))
    assert statement.finding is not None


@pytest.mark.parametrize("away", [range(0), range(TRUE - 3 * HOUR, TRUE - HOUR)])
async def test_a_time_that_a_clock_has_skipped_is_not_found(away: range) -> None:
    """Half an hour before it was set forward by two hours; or there was no measurement then."""
    api = fake(set_by={-30 * MINUTE if not away else -5 * HOUR: 2 * HOUR})
    api.series = [
        each._replace(samples=[one for one in each.samples if round(one[0]) not in away])
        for each in api.series
    ]
    assert str((await ask(api)).reason) == (
        "no moment was found at which the device showed this time: by its offset around "
        "2033-05-18 03:33:30 UTC it was around 2033-05-18 01:33:30 UTC, but there the offset was "
        "another, or was not measured; the clock may have been set forward past this time"
    )


async def test_a_true_time_is_not_affected_by_what_was_shown_again() -> None:
    statement = await ask(fake(set_by={30 * MINUTE: -2 * HOUR}), "at")
    assert statement.finding is not None


async def test_a_device_that_was_replaced_within_the_window_has_none() -> None:
    api = fake()
    for serial, first, last in (("ACCC8E000001", -900, 0), ("ACCC8E000002", 60, 900)):
        samples = [(TRUE + since + 1.0, 1.0) for since in range(first, last, MINUTE)]
        api.add("axis_ntp_device_info", samples, serial=serial, address="192.0.2.1")
    statement = await ask(api)
    assert statement.finding is None
    assert "with the serial numbers ACCC8E000001 and ACCC8E000002" in str(statement.reason)


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2)])
async def test_a_serial_number_that_was_not_known_in_between_hides_no_replaced_device(
    order: tuple[int, int, int],
) -> None:
    """Without a serial number: the exporter has started, and the device has not sent it yet."""
    api = fake()
    told = [("ACCC8E000001", -900, -300), ("", -300, 0), ("ACCC8E000002", 0, 900)]
    for serial, first, last in (told[place] for place in order):
        labels = {"address": "192.0.2.1"} | ({"serial": serial} if serial else {})
        samples = [(TRUE + since + 1.0, 1.0) for since in range(first, last, MINUTE)]
        api.add("axis_ntp_device_info", samples, **labels)
    statement = await ask(api, "at")
    assert "with the serial numbers ACCC8E000001 and ACCC8E000002" in str(statement.reason)


@pytest.mark.parametrize("serials", [("", ""), ("ACCC8E000001", ""), ("ACCC8E000001",) * 2])
async def test_another_address_is_another_device_unless_the_serial_number_is_the_same(
    serials: tuple[str, str],
) -> None:
    api = fake()
    for number, (serial, first) in enumerate(zip(serials, (-900, 0), strict=True)):
        samples = [(TRUE + since + 1.0, 1.0) for since in range(first, first + 900, MINUTE)]
        api.add("axis_ntp_device_info", samples, serial=serial, address=f"192.0.2.{number}")
    statement = await ask(api, "at")
    if all(serials):
        assert statement.finding is not None
    else:
        assert "at the addresses 192.0.2.0 and 192.0.2.1" in str(statement.reason)


async def test_a_counter_of_steps_that_ended_within_the_window_gives_none() -> None:
    api = fake()
    [steps] = [each for each in api.series if each.labels["__name__"].endswith("steps_total")]
    api.series.remove(steps)
    ended = [(when, value) for when, value in steps.samples if when < TRUE]
    api.add("axis_ntp_clock_steps_total", ended)
    statement = await ask(api)
    assert "was not kept for the whole window" in str(statement.reason)


async def test_a_host_clock_that_was_measured_before_is_not_taken_as_right_later() -> None:
    """It was 0.4 s ahead; then the time servers were gone."""
    api = fake()
    for name, value in (("", 0.4), ("_uncertainty", 0.003)):
        series = f"axis_ntp_exporter_host_clock_offset{name}_seconds"
        samples = [(TRUE + since + 1.0, value) for since in range(-900, 0, MINUTE)]
        labels = {key: LABELS[key] for key in ("job", "instance")}
        api.series.append(RawSeries({"__name__": series, **labels}, samples))
    statement = await ask(api, "at")
    assert statement.finding is None
    assert "not enough measurements after" in str(statement.reason)


@pytest.mark.parametrize(("seconds", "is_suspect"), [(0.9, False), (1.1, True), (200, True)])
async def test_a_host_clock_ahead_of_prometheus_is_suspect(
    seconds: float,
    is_suspect: bool,  # noqa: FBT001
) -> None:
    api = fake()
    [polls] = [each for each in api.series if "last_poll" in each.labels["__name__"]]
    api.series.remove(polls)
    ahead = [(when, when + seconds) for when, _ in polls.samples]
    api.add("axis_ntp_last_poll_timestamp_seconds", ahead)
    statement = await ask(api, "at")
    said = "was suspect: it was ahead of Prometheus's clock" in str(statement.reason)
    assert said == is_suspect


@pytest.mark.parametrize("name", ["clock_offset_uncertainty", "poll_duration"])
async def test_a_negative_uncertainty_or_duration_counts_as_missing(name: str) -> None:
    api, series = fake(), f"axis_ntp_{name}_seconds"
    api.series = [each for each in api.series if each.labels["__name__"] != series]
    api.add(series, [(TRUE + since + 1.0, -1000.0) for since in range(-900, 900, MINUTE)])
    statement = await ask(api)
    if name == "poll_duration":
        assert statement.offset is not None
        assert statement.offset.width_ns < 0.1 * SECOND_NS
    else:
        assert "no measurement within 15m" in str(statement.reason)
