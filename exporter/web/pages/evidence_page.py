"""The page of `evidence --html`: one file to print or to keep. Pure.

It loads nothing and runs no scripts, and its own policy (CSP) allows none.
"""

import base64
import hashlib
import math
from collections.abc import Iterator
from importlib.resources import files
from typing import Final, NamedTuple

from markupsafe import Markup

from exporter.clock.offset import Offset
from exporter.evidence.measurements import Measurement, is_same_poll, measurements
from exporter.evidence.records import name_witness
from exporter.evidence.report import Evidence, as_lines, describe_asked
from exporter.evidence.statement import Finding, find_nearest_offset
from exporter.evidence.times import format_clock_time, format_date, format_utc
from exporter.system.text import escaped, format_duration
from exporter.web.pages.assets import render
from exporter.web.pages.evidence_chart import draw_evidence

_STYLE: Final = files("exporter.web.pages").joinpath("static", "evidence.css").read_text("utf-8")
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


class SampleRow(NamedTuple):
    """One measurement as texts. `is_used`: it is one of those that the bounds are made from."""

    time: str
    exporter: int
    camera: str
    host: str
    true: str
    synced: str
    is_used: bool


def render_evidence(evidence: Evidence) -> str:
    """Return the page of a statement, or of the reason for none."""
    by_servers = _is_by_servers(evidence)
    device, around_ns = escaped(evidence.device), _around_ns(evidence)
    rows = [*_rows(evidence, around_ns)]
    measured = [
        (number, each)
        for number, witness in enumerate(evidence.witnesses)
        for each in measurements(witness.scrapes, is_corrected=by_servers)
    ]
    return render(
        "evidence.html",
        title=f"{'No statement' if _finding(evidence) is None else 'Statement'} about the clock of "
        f"{device}",
        question=_question(evidence),
        lines=[*_lines(evidence)],
        chart=draw_evidence(evidence.statement, measured, evidence.witnesses, around_ns),
        quantity=f"the camera's clock minus {_reference(is_by_servers=by_servers)}",
        exporters=[escaped(name_witness(each)) for each in evidence.witnesses],
        by_servers=by_servers,
        window=format_duration(evidence.window_seconds),
        samples=rows,
        is_stated=_finding(evidence) is not None,
        date=format_date(around_ns, None),
        has_synced=any(row.synced for row in rows),
        queries=evidence.answers,
        made=format_utc(evidence.made_ns),
        made_by=evidence.version,
        style=Markup(_STYLE),  # noqa: S704 - a file of this package
        style_hash=f"sha256-{_STYLE_HASH}",
    )


def _finding(evidence: Evidence) -> Finding | None:
    return evidence.statement.finding


def _question(evidence: Evidence) -> str:
    asks = (
        "What was the true time" if evidence.statement.asked.kind == "shown" else "What did it show"
    )
    return f"Asked: {asks} {describe_asked(evidence)}?"


def _lines(evidence: Evidence) -> Iterator[str]:
    first, *others = as_lines(evidence)
    yield first
    if evidence.zone is not None:
        yield f"In UTC: {as_lines(evidence._replace(zone=None))[0]}"
    yield from others


def _reference(*, is_by_servers: bool) -> str:
    return "the true time" if is_by_servers else "the clock of the exporter's host"


def _is_by_servers(evidence: Evidence) -> bool:
    """Return whether measurements are shown against the true time."""
    finding = _finding(evidence)
    if finding is not None:
        return finding.reference == "time servers"
    return any(measurements(each.scrapes, is_corrected=True) for each in evidence.witnesses)


def _around_ns(evidence: Evidence) -> int:
    """Return the true time of the moment, roughly where there is no statement."""
    asked, finding = evidence.statement.asked, _finding(evidence)
    if finding is not None:
        return sum(finding.true_time) // 2
    if asked.kind == "at":
        return asked.time_ns
    scraped = [each.scrapes for each in evidence.witnesses]
    return asked.time_ns - (find_nearest_offset(scraped, asked.time_ns) or 0)


def _rows(evidence: Evidence, around_ns: int) -> Iterator[SampleRow]:
    for number, witness in enumerate(evidence.witnesses, 1):
        used = [
            each.scrape
            for found in evidence.statement.each
            if isinstance(found, Finding) and found.witness is witness and _counts(evidence, found)
            for each in found.used
        ]
        for each in measurements(witness.scrapes):
            yield _row(
                each, number, around_ns, is_used=any(is_same_poll(each.scrape, one) for one in used)
            )


def _counts(evidence: Evidence, found: Finding) -> bool:
    """Return whether an exporter's finding is a part of the statement."""
    finding = _finding(evidence)
    return finding is not None and found.reference == finding.reference


def _row(measured: Measurement, exporter: int, around_ns: int, *, is_used: bool) -> SampleRow:
    scrape = measured.scrape
    offset, host = scrape.offset, scrape.host
    polled = scrape.polled_seconds
    assert offset is not None and polled is not None  # noqa: S101, PT018 - a measurement has both
    true = None
    if host is not None:
        doubt = offset.uncertainty_seconds + host.uncertainty_seconds
        true = Offset(offset.seconds + host.seconds, doubt)
    return SampleRow(
        time=format_clock_time(round(polled * 1000), None, around_ns),
        exporter=exporter,
        camera=_value(offset),
        host=_value(host),
        true=_value(true),
        synced={True: "yes", False: "no", None: ""}[scrape.synced],
        is_used=is_used,
    )


def _value(offset: Offset | None) -> str:
    """Return an offset in seconds, with bounds that are rounded outwards."""
    if offset is None:
        return "unknown"
    uncertainty = math.ceil(offset.uncertainty_seconds * 1e6 + 0.5) / 1e6
    return f"{offset.seconds:+.6f} ± {uncertainty:.6f}"
