"""A statement for people and as JSON. Pure. It says what was measured, and claims nothing else."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from exporter.clock.offset import SECOND_NS
from exporter.evidence.measurements import Measurement, measurements, usual_distance_ns
from exporter.evidence.prometheus_api import QueryAnswer
from exporter.evidence.records import Bounds, Witness, counted_steps, name_witness
from exporter.evidence.shown_again import AGAIN_SECONDS
from exporter.evidence.statement import Finding, Statement
from exporter.evidence.times import (
    format_clock_time,
    format_date,
    format_rfc3339,
    format_utc_offset,
)
from exporter.system.text import escaped, format_duration, format_roughly, plural

_US: Final = 1_000
_MS: Final = 1_000_000

_GRID_SECONDS: Final = 600
"""Measurements that begin so soon have no part missing: samples are sought a minute apart."""

_OFTEN_SECONDS: Final = 90.0
"""A camera that restarts takes longer, so that a poll is not answered."""


class Evidence(NamedTuple):
    """Everything that a report says: text, JSON and page are made from this.

    `zone` is that of the times for people, `None` for UTC. `witnesses` are the exporters that were
    asked about, and `answers` and `warnings` Prometheus's. `made_ns` is when, by this host's clock.
    """

    device: str
    statement: Statement
    witnesses: Sequence[Witness]
    window_seconds: float
    zone: ZoneInfo | None
    answers: Sequence[QueryAnswer]
    warnings: Sequence[str]
    made_ns: int
    version: str

    @property
    def zone_name(self) -> str:
        """The name of the time zone, with its offset at the time asked about."""
        if self.zone is None:
            return "UTC"
        return f"{self.zone.key} ({format_utc_offset(self.statement.asked.time_ns, self.zone)})"


def as_lines(evidence: Evidence) -> list[str]:
    """Return the statement in sentences, or why there is none; one line each."""
    finding = evidence.statement.finding
    if finding is None:
        asked = describe_asked(evidence)
        lines = [f"No statement about {escaped(evidence.device)} {asked}.", _reason(evidence)]
        return [*lines, *_notes(evidence)]
    return [_sentence(evidence, finding), _how_measured(evidence, finding), *_notes(evidence)]


def describe_asked(evidence: Evidence) -> str:
    """Return the question's time: `at …` or `when it showed …`."""
    asked = evidence.statement.asked
    date = format_date(asked.time_ns, evidence.zone)
    when = f"{_time(evidence, asked.time_ns)} {evidence.zone_name} on {date}"
    return f"at {when}" if asked.kind == "at" else f"when it showed {when}"


def _reason(evidence: Evidence) -> str:
    reason = escaped(evidence.statement.reason or "")  # it may have an exporter's name
    first = reason[:1] if reason.startswith("axis_ntp_") else reason[:1].upper()
    return f"{first}{reason[1:]}."


def _sentence(evidence: Evidence, finding: Finding) -> str:
    """Return the statement itself. Bounds are rounded outwards to milliseconds."""
    asked, device = evidence.statement.asked, escaped(evidence.device)
    by_servers = finding.reference == "time servers"
    when = f"{format_date(asked.time_ns, evidence.zone)} at {_time(evidence, asked.time_ns)}"
    if asked.kind == "shown":
        clock = "the true time was" if by_servers else "the time of the exporter's host was"
        text = f"On {when}, as shown by {device}, {clock} {_between(evidence, finding.true_time)}"
    else:
        clock = "true time" if by_servers else "the time of the exporter's host"
        shown = _between(evidence, finding.shown_time)
        text = f"On {when} ({clock}), {device} showed a time {shown}"
    return f"{text} {evidence.zone_name} (the camera was {_describe_offset(evidence.statement)})."


def _time(evidence: Evidence, unix_ns: int) -> str:
    return _clock_time(evidence, round(unix_ns / _MS))


def _second(evidence: Evidence, unix_ns: int) -> str:
    return _clock_time(evidence, round(unix_ns / SECOND_NS) * 1000)


def _clock_time(evidence: Evidence, unix_ms: int) -> str:
    return format_clock_time(unix_ms, evidence.zone, evidence.statement.asked.time_ns)


def _between(evidence: Evidence, bounds: Bounds) -> str:
    first = _clock_time(evidence, bounds.low_ns // _MS)
    last = _clock_time(evidence, -(-bounds.high_ns // _MS))
    return f"between {first} and {last}"


def _describe_offset(statement: Statement) -> str:
    """Return `1.792 s ± 0.011 s behind`."""
    offset = statement.offset
    assert offset is not None  # noqa: S101 - asked for findings only
    middle_ms = round(sum(offset) / 2 / _MS)
    half_ms = max(offset.high_ns - middle_ms * _MS, middle_ms * _MS - offset.low_ns)
    half = f"{-(-half_ms // _MS) / 1000:.3f} s"
    if middle_ms == 0:
        return f"right within {half}"
    side = "ahead" if middle_ms > 0 else "behind"
    return f"{abs(middle_ms) / 1000:,.3f} s ± {half} {side}"


def _how_measured(evidence: Evidence, finding: Finding) -> str:
    before, after = finding.before, finding.after
    true = finding.true_time
    parts = [
        f"Measured {_away(true.low_ns - before.at_ns)} before and "
        f"{_away(after.at_ns - true.high_ns)} after",
        _host_clock(finding),
        _steps_counted(evidence, finding),
    ]
    if evidence.statement.asked.kind == "shown":
        days = format_duration(AGAIN_SECONDS)
        parts.append(f"no other moment within {days} was found at which it showed this time")
    synced = {each.scrape.synced for each in (before, after)}
    if synced == {True}:
        parts.append("the device reported that it was synchronized")
    elif False in synced:
        parts.append("the device reported that it was not synchronized")
    return f"{'; '.join(parts)}."


def _steps_counted(evidence: Evidence, finding: Finding) -> str:
    """Say that no step was counted, and for how long somebody looked."""
    scrapes = [each for each in finding.witness.scrapes if each.offset is not None]
    first, last = (round(each.scraped_seconds * SECOND_NS) for each in (scrapes[0], scrapes[-1]))
    return f"no step was counted between {_second(evidence, first)} and {_second(evidence, last)}"


def _away(elapsed_ns: int) -> str:
    return format_roughly(max(0, elapsed_ns) / SECOND_NS)


def _host_clock(finding: Finding) -> str:
    hosts = [each.scrape.host for each in (finding.before, finding.after)]
    off = [abs(host.seconds) + host.uncertainty_seconds for host in hosts if host is not None]
    if finding.reference == "time servers":
        servers, within = _agreed_servers(finding), _ms_up(max(off))
        return (
            f"the exporter's clock was within {within} ms of {servers}, which is taken into account"
        )
    kernel = {True: "synchronized", False: "not synchronized", None: None}[finding.witness.kernel]
    said = f" (its kernel said: {kernel})" if kernel else ""
    return f"the exporter's clock was not compared with time servers{said}"


def _agreed_servers(finding: Finding) -> str:
    counts = [each.scrape.servers for each in (finding.before, finding.after)]
    known = [count for count in counts if count]
    if len(known) < len(counts):
        return "its time servers"
    return f"{min(known)} {plural(min(known), 'time server')}"


def _ms_up(seconds: float) -> int:
    return -(-round(seconds * SECOND_NS) // _MS)


def _notes(evidence: Evidence) -> Iterator[str]:
    """Yield what limits a statement, or helps where there is none."""
    statement = evidence.statement
    if statement.finding is not None:
        if statement.asked.kind == "shown" and statement.asked.time_ns % SECOND_NS == 0:
            yield _whole_second(evidence, statement.finding.true_time)
        yield from _not_measured_before(evidence)
        yield from _rarely_measured(statement)
        for each in statement.each:
            if not isinstance(each, Finding):
                yield f"Not used: {escaped(f'{name_witness(each.witness)}: {each.reason}')}."
        end_ns = statement.finding.true_time.high_ns + round(evidence.window_seconds * SECOND_NS)
        if end_ns > evidence.made_ns:
            yield (
                "The window after this moment is not over: a small step may still be noticed. "
                f"Ask again after {_second(evidence, end_ns)} {evidence.zone_name}."
            )
    for warning in evidence.warnings:
        yield f"Prometheus warned: {warning}"


def _not_measured_before(evidence: Evidence) -> Iterator[str]:
    """Yield since when other moments of a picture were sought, if that is too short a time."""
    statement = evidence.statement
    since_ns, searched_ns = statement.measured_since_ns, round(AGAIN_SECONDS * SECOND_NS)
    if since_ns is None or statement.finding is None:
        return
    if since_ns > statement.finding.true_time.low_ns - searched_ns + _GRID_SECONDS * SECOND_NS:
        when = f"{_second(evidence, since_ns)} {evidence.zone_name}"
        yield (
            f"The camera was not measured before {when}: whether it showed this time before is "
            "not known."
        )


def _rarely_measured(statement: Statement) -> Iterator[str]:
    found = [each.witness.scrapes for each in statement.each if isinstance(each, Finding)]
    seconds = min(usual_distance_ns(measurements(scrapes)) for scrapes in found) / SECOND_NS
    if seconds > _OFTEN_SECONDS:
        yield (
            f"The camera was measured every {format_roughly(seconds)} only: if it was restarted "
            "between two measurements, this was not noticed, and its clock may have been wrong "
            "for some time."
        )


def _whole_second(evidence: Evidence, true_time: Bounds) -> str:
    longer = Bounds(true_time.low_ns, true_time.high_ns + SECOND_NS)
    return (
        f"That is when {_time(evidence, evidence.statement.asked.time_ns)} began. A picture that "
        f"shows whole seconds was made {_between(evidence, longer)} {evidence.zone_name}."
    )


def as_document(evidence: Evidence) -> dict[str, Any]:
    """Return the statement for `--json`. Times are rounded outwards to microseconds."""
    statement, finding = evidence.statement, evidence.statement.finding
    return {
        "device": evidence.device,
        "asked": {"kind": statement.asked.kind, "time": _rfc3339(statement.asked.time_ns)},
        "supported": finding is not None,
        "reason": statement.reason,
        "true_time": None if finding is None else _times(finding.true_time),
        "shown_time": None if finding is None else _times(finding.shown_time),
        "offset_seconds": _seconds(statement.offset),
        "reference": None if finding is None else finding.reference,
        "exporters": [_exporter(each) for each in statement.each],
        "samples": [each for witness in evidence.witnesses for each in _samples(witness)],
        "steps": [each for witness in evidence.witnesses for each in _steps(witness)],
        "notes": [*_notes(evidence)],
        "queries": [each._asdict() for each in evidence.answers],
        "made": {"time": _rfc3339(evidence.made_ns), "version": evidence.version},
    }


def _exporter(found: Any) -> dict[str, Any]:  # noqa: ANN401 - a finding or none
    is_finding = isinstance(found, Finding)
    return {
        "labels": dict(found.witness.labels),
        "reason": None if is_finding else found.reason,
        "reference": found.reference if is_finding else None,
        "true_time": _times(found.true_time) if is_finding else None,
        "shown_time": _times(found.shown_time) if is_finding else None,
    }


def _samples(witness: Witness) -> Iterator[Mapping[str, Any]]:
    for each in measurements(witness.scrapes):
        offset, host = each.scrape.offset, each.scrape.host
        assert offset is not None  # noqa: S101 - a measurement has one
        yield {
            "exporter": name_witness(witness),
            "time": _poll_time(each),
            "offset": offset.seconds,
            "uncertainty": offset.uncertainty_seconds,
            "host_offset": None if host is None else host.seconds,
            "host_uncertainty": None if host is None else host.uncertainty_seconds,
            "time_servers": each.scrape.servers,
            "synced": each.scrape.synced,
        }


def _poll_time(measurement: Measurement) -> str:
    """Return the end of the poll by the exporter host's clock."""
    return _rfc3339(measurement.at_ns)


def _steps(witness: Witness) -> Iterator[Mapping[str, Any]]:
    for before, after in counted_steps(witness.scrapes):
        times = (_rfc3339(round(each.scraped_seconds * SECOND_NS)) for each in (before, after))
        yield {
            "exporter": name_witness(witness),
            **dict(zip(("after", "before"), times, strict=True)),
        }


def _times(bounds: Bounds) -> dict[str, str]:
    earliest, latest = bounds.low_ns // _US, -(-bounds.high_ns // _US)
    return {"earliest": format_rfc3339(earliest), "latest": format_rfc3339(latest)}


def _seconds(bounds: Bounds | None) -> dict[str, float] | None:
    if bounds is None:
        return None
    low, high = bounds.low_ns // _US, -(-bounds.high_ns // _US)
    return {"low": low / 1e6, "high": high / 1e6}


def _rfc3339(unix_ns: int) -> str:
    return format_rfc3339(round(unix_ns / _US))
