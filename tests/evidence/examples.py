"""Statements as the command makes them, for tests of its page: a minute's poll for half an hour."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.clock.offset import SECOND_NS, Offset
from exporter.evidence.prometheus_api import QueryAnswer
from exporter.evidence.records import Asked, Scrape, Witness
from exporter.evidence.report import Evidence
from exporter.evidence.statement import make_statement
from exporter.evidence.times import parse_time, parse_zone

TRUE = parse_time("2026-11-20T14:03:23.792Z", None)
BEHIND = 1.792
WINDOW = 900.0
QUERY = QueryAnswer(
    f"https://prometheus.example:9090/api/v1/query?query=%7B__name__%3D~{'axis_ntp_series%7C' * 17}"
    "%22%7D%5B1800000ms%5D&time=1795785497.902&dedup=false&max_source_resolution=0s&partial_response=false",
    "d9e37a38921dd68b0fcbf4d65b61c4f35d86d334d8cd506754f9c885bb43fe70",
)


DAYS = QueryAnswer(
    f"https://prometheus.example:9090/api/v1/query_range?query={'axis_ntp_series' * 6}&start="
    "1795526297.902&end=1796044697.902&step=60.000&dedup=false&max_source_resolution=0s"
    "&partial_response=false",
    QUERY.sha256,
)


def make_evidence(
    *,
    device: str = "lobby",
    instances: tuple[str, ...] = ("exporter:10123",),
    zone: str | None = None,
    steps: bool = False,
    asks_servers: bool = True,
    ahead: float = -BEHIND,
) -> Evidence:
    """Return the answer to what was shown at 14:03:22; with a step there is none."""
    witnesses = [
        Witness({"instance": name}, [*_scrapes(number, ahead, steps, asks_servers)])
        for number, name in enumerate(instances)
    ]
    shown_ns = TRUE + round(ahead * SECOND_NS)
    statement = make_statement(Asked("shown", shown_ns), witnesses, TRUE, WINDOW)
    return Evidence(
        device=device,
        statement=statement._replace(measured_since_ns=TRUE - 86_400 * SECOND_NS),
        witnesses=witnesses,
        window_seconds=WINDOW,
        zone=None if zone is None else parse_zone(zone),
        answers=[*[QUERY, DAYS] * (1 + len(instances))],
        warnings=[],
        made_ns=TRUE + 86_400 * SECOND_NS,
        version="9.9.9",
    )


def _scrapes(
    number: int,
    ahead: float,
    steps: bool,  # noqa: FBT001
    asks_servers: bool,  # noqa: FBT001
) -> Iterator[Scrape]:
    for minute in range(-15, 15):
        polled = TRUE / SECOND_NS + minute * 60 + 29 + number * 10
        yield Scrape(
            scraped_seconds=polled + 5,
            polled_seconds=polled,
            offset=Offset(ahead + minute * 0.002, 0.005),
            host=Offset(0.001, 0.003) if asks_servers else None,
            steps=1.0 if steps and minute >= 3 else 0.0,
            polls=1000.0 + minute,
            poll_seconds=0.2,
            synced=True,
        )
