"""A statement in sentences and as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exporter.clock.offset import SECOND_NS, Offset
from exporter.evidence.prometheus_api import QueryAnswer
from exporter.evidence.records import Asked, Scrape, Witness
from exporter.evidence.report import Evidence, as_document, as_lines
from exporter.evidence.statement import make_statement
from exporter.evidence.times import parse_time, parse_zone

SHOWN = parse_time("2026-11-20T14:03:22Z", None)
TRUE = SHOWN / SECOND_NS + 1.792
LATER = SHOWN + 3600 * SECOND_NS
ANSWERS = [QueryAnswer("http://prometheus.example/api/v1/query?query=x", "ab" * 32)]


def scrape(since: float, offset: float = -1.792, **more: Any) -> Scrape:
    made = Scrape(
        scraped_seconds=TRUE + since + 5,
        polled_seconds=TRUE + since,
        offset=Offset(offset, 0.005),
        host=Offset(0.001, 0.003),
        steps=2.0,
        polls=1000 + since // 60,
        poll_seconds=0.2,
        synced=True,
    )
    return made._replace(**more)


def evidence(
    kind: str = "shown",
    scrapes: list[Scrape] | None = None,
    *,
    zone: str | None = None,
    made_ns: int = LATER,
    **witness: Any,
) -> Evidence:
    around_ns = round(TRUE * SECOND_NS)
    asked = Asked("shown", SHOWN) if kind == "shown" else Asked("at", around_ns)
    scrapes = [scrape(-91), scrape(-31), scrape(29)] if scrapes is None else scrapes
    witnesses = [Witness({"instance": "exporter:10123"}, scrapes, **witness)]
    statement = make_statement(asked, witnesses, around_ns, 900)
    zoned = None if zone is None else parse_zone(zone)
    return Evidence(
        "lobby", statement, witnesses, 900, zoned, ANSWERS, ["half is missing"], made_ns, "9.9.9"
    )


def test_the_statement_for_people() -> None:
    assert as_lines(evidence()) == [
        "On 20 November 2026 at 14:03:22, as shown by lobby, the true time was between "
        "14:03:23.778 and 14:03:23.804 UTC (the camera was 1.791 s ± 0.013 s behind).",
        "Measured 30 s before and 28 s after; the exporter's clock was within 4 ms of its time "
        "servers, which is taken into account; no step was counted between 14:01:58 and "
        "14:03:58; no other moment within 3d was found at which it showed this time; the device "
        "reported that it was synchronized.",
        "That is when 14:03:22 began. A picture that shows whole seconds was made between "
        "14:03:23.778 and 14:03:24.804 UTC.",
        "Prometheus warned: half is missing",
    ]


@pytest.mark.parametrize(
    ("before", "after", "who"),
    [
        (3, 3, "3 time servers"),
        (3, 1, "1 time server"),
        (2, None, "its time servers"),
        (0, 2, "its time servers"),
    ],
)
def test_the_time_servers_are_counted_where_that_is_known(
    before: int, after: int | None, who: str
) -> None:
    scrapes = [scrape(-91), scrape(-31, servers=before), scrape(29, servers=after)]
    assert (
        f"the exporter's clock was within 4 ms of {who}, which"
        in as_lines(evidence(scrapes=scrapes))[1]
    )


def test_a_true_time_is_asked_in_the_time_zone_of_the_question() -> None:
    assert as_lines(evidence("at", zone="Europe/Stockholm"))[0] == (
        "On 20 November 2026 at 15:03:23.792 (true time), lobby showed a time between "
        "15:03:21.988 and 15:03:22.014 Europe/Stockholm (UTC+01:00) (the camera was 1.791 s ± "
        "0.013 s behind)."
    )


def test_without_time_servers_it_is_the_time_of_the_exporters_host() -> None:
    earlier = scrape(-91, host=None)
    scrapes = [earlier, scrape(-31, host=None, synced=False), scrape(29, host=None)]
    first, second, *_ = as_lines(evidence(scrapes=scrapes, kernel=False))
    assert "as shown by lobby, the time of the exporter's host was between" in first
    assert "not compared with time servers (its kernel said: not synchronized)" in second
    assert "the device reported that it was not synchronized" in second


def test_no_statement_says_why() -> None:
    lines = as_lines(evidence(scrapes=[scrape(-91), scrape(-31), scrape(29, steps=3.0)]))
    assert lines[:2] == [
        "No statement about lobby when it showed 14:03:22 UTC on 20 November 2026.",
        "The device's clock stepped, noticed between 2026-11-20 14:02:57.792 UTC and "
        "2026-11-20 14:03:57.792 UTC.",
    ]


@pytest.mark.parametrize(("hours", "is_said"), [(1, True), (71, True), (73, False)])
def test_where_the_measurements_begin_is_said_if_others_moments_may_be_before(
    hours: int,
    is_said: bool,  # noqa: FBT001
) -> None:
    made = evidence()
    since_ns = SHOWN - hours * 3600 * SECOND_NS
    statement = made.statement._replace(measured_since_ns=since_ns)
    text = " ".join(as_lines(made._replace(statement=statement)))
    assert ("whether it showed this time before is not known." in text) == is_said
    if hours == 1:
        assert "The camera was not measured before 13:03:22 UTC: whether it" in text


@pytest.mark.parametrize(("seconds", "is_said"), [(60, False), (300, True)])
def test_rare_measurements_are_said_as_a_restart_may_be_missed(
    seconds: int,
    is_said: bool,  # noqa: FBT001
) -> None:
    scrapes = [scrape(number * seconds - 40, polls=9 + number) for number in range(-2, 3)]
    text = " ".join(as_lines(evidence(scrapes=scrapes)))
    said = (
        "The camera was measured every 5 min only: if it was restarted between two measurements, "
        "this was not noticed, and its clock may have been wrong for some time."
    )
    assert (said in text) == is_said


def test_of_a_moment_just_past_a_step_may_still_be_noticed() -> None:
    made_ns = SHOWN + 60 * SECOND_NS
    text = " ".join(as_lines(evidence(made_ns=made_ns)))
    assert "a small step may still be noticed. Ask again after 14:18:24 UTC" in text


@pytest.mark.parametrize("is_right", [True, False])
def test_the_document_has_the_keys_of_the_contract(is_right: bool) -> None:  # noqa: FBT001
    scrapes = [scrape(-91), scrape(-31), scrape(29, steps=2.0 if is_right else 3.0)]
    document = json.loads(json.dumps(as_document(evidence(scrapes=scrapes))))
    assert document["device"] == "lobby"
    assert document["asked"] == {"kind": "shown", "time": "2026-11-20T14:03:22.000000Z"}
    assert document["supported"] is is_right
    assert (document["reason"] is None) == is_right
    assert [each["offset"] for each in document["samples"]] == [-1.792] * 3
    assert [each["synced"] for each in document["samples"]] == [True] * 3
    assert len(document["steps"]) == (0 if is_right else 1)
    assert document["queries"] == [ANSWERS[0]._asdict()]
    assert document["made"] == {"time": "2026-11-20T15:03:22.000000Z", "version": "9.9.9"}
    if is_right:
        assert document["reference"] == "time servers"
        assert document["shown_time"]["earliest"] == document["shown_time"]["latest"]
        low, high = document["offset_seconds"]["low"], document["offset_seconds"]["high"]
        assert low < -1.791 < high
        assert document["true_time"]["earliest"] < document["true_time"]["latest"]
    else:
        nulls = ("true_time", "shown_time", "offset_seconds", "reference")
        assert [document[key] for key in nulls] == [None] * 4


def test_bounds_are_rounded_outwards() -> None:
    made = evidence()
    finding, document = made.statement.finding, as_document(made)
    assert finding is not None
    assert parse_time(document["true_time"]["earliest"], None) <= finding.true_time.low_ns
    assert parse_time(document["true_time"]["latest"], None) >= finding.true_time.high_ns
    assert made.statement.offset is not None
    assert document["offset_seconds"]["low"] * 1e9 <= made.statement.offset.low_ns
    assert document["offset_seconds"]["high"] * 1e9 >= made.statement.offset.high_ns


def test_texts_of_prometheus_cannot_color_a_terminal() -> None:
    made = evidence()._replace(device="lob\x1b[31mby")
    assert "lob\\x1b[31mby" in as_lines(made)[0]


def test_an_exporters_name_in_a_reason_cannot_color_a_terminal() -> None:
    made = evidence()
    reason = "the clock of the exporter's host (\x1b[31mb) was suspect"
    no = made._replace(statement=made.statement._replace(finding=None, reason=reason))
    assert "host (\\x1b[31mb) was" in as_lines(no)[1]
