"""How many notifications the example sends in the first hour of a bad day, and how they read.

`python -m tests.alerting.bad_day` prints them; with `--write` it replaces those in
docs/alerting.md. Fails if they are more than 15.

The devices are simulated (`simulate --scenario=bad-day`); the exporter, Prometheus with the rules
and Alertmanager with the example are real. Time runs 20 times faster: the hour takes 3 minutes.
"""

from __future__ import annotations

import argparse
import itertools
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from exporter.simulator.fleet import SimulatedFleet, build_fleet
from exporter.simulator.scenarios import SCENARIOS
from tests.alerting.alertmanager import with_texts
from tests.alerting.inbox import Text
from tests.alerting.site import AlertingSite, site_of
from tests.alerting.table import DOCS

SCALE: Final = 20
"""A minute takes three seconds: with 400 devices, there are 133 polls a second."""

MOST_NOTIFICATIONS: Final = 15
_SHOWN_ALERTS: Final = 2
"""How many alerts of each notification the documentation shows."""

_PLACE: Final = re.compile(
    r"(<!-- bad-day: written by `[\w .-]+ --write` -->\n).*?(<!-- end -->)", re.DOTALL
)
_ALERT: Final = re.compile(r"^\S.*\n  .*\n  Alert since .*\n", re.MULTILINE)


@dataclass(frozen=True)
class Hour:
    """How many alerts fire at its end, how many of them are inhibited, and what was sent."""

    firing: int
    suppressed: int
    texts: Sequence[tuple[float, Text]]
    """Each with its minute."""

    def __str__(self) -> str:
        return (
            f"Alerts that fire after an hour: {self.firing}; inhibited of these: "
            f"{self.suppressed}; notifications in that hour: {len(self.texts)}."
        )


@dataclass(frozen=True)
class Plan:
    """What to run: the size of the fleet, the scale, and what differs from scenario and example.

    With `spread`, every cause is at all sites instead of one.
    """

    devices: int = SCENARIOS["bad-day"].devices
    scale: float = SCALE
    spread: bool = False
    group_by: Sequence[str] = ()

    def fleet(self) -> SimulatedFleet:
        fleet = build_fleet(self.devices, "bad-day")
        if not self.spread:
            return fleet
        sites = itertools.cycle(sorted({member.labels["site"] for member in fleet.members}))
        members = [
            replace(member, labels={"site": site})
            for member, site in zip(fleet.members, sites, strict=False)
        ]
        return replace(fleet, members=members)

    def receivers(self, config: Any, url: str) -> Any:
        if self.group_by:
            config["route"]["group_by"] = [*self.group_by]
        return with_texts(config, url)


def measure(plan: Plan) -> Hour:
    """Run the bad day for an hour of the rules."""
    with tempfile.TemporaryDirectory() as folder:
        run = site_of(plan.fleet(), Path(folder), scale=plan.scale, receivers=plan.receivers)
        with run as site:
            seconds = 3600 / plan.scale
            end = site.started + seconds
            site.eventually(lambda: time.monotonic() > end, "the hour is over", 2 * seconds)
            return _hour(site, plan.scale, end)


def _hour(site: AlertingSite, scale: float, end: float) -> Hour:
    return Hour(
        len(site.prometheus.alerts("firing")),
        len(site.alertmanager.alerts("suppressed")),
        [
            ((each.received - site.started) * scale / 60, each)
            for each in site.inbox.texts
            if each.received <= end
        ],
    )


def report(hour: Hour, *, shown: int | None = None) -> Iterator[str]:
    """Yield the table and the texts as Markdown; of each text so many alerts, all by default."""
    yield f"{hour}\n\n| minute | receiver | title |\n| --- | --- | --- |\n"
    for minute, text in hour.texts:
        yield f"| {minute:.0f} | {text.receiver} | {text.title} |\n"
    for minute, text in hour.texts:
        body = text.body if shown is None else _abridged(text.body, shown)
        yield f"\nMinute {minute:.0f}, to {text.receiver}:\n\n"
        yield _indented(f"{text.title}\n\n{body.strip()}\n")


def _abridged(body: str, shown: int) -> str:
    """Leave out the alerts after the first ones, and say how many."""
    alerts = list(_ALERT.finditer(body))
    if len(alerts) <= shown:
        return body
    left_out = f"\n[… {len(alerts) - shown} more like these]\n"
    return body[: alerts[shown - 1].end()] + left_out + body[alerts[-1].end() :]


def _indented(text: str) -> str:
    return "".join(f"    {line}".rstrip() + "\n" for line in text.splitlines())


def write(hour: Hour, page: Path) -> None:
    """Replace the table and the texts of a page."""
    text = page.read_text("utf-8")
    parts = "".join(report(hour, shown=_SHOWN_ALERTS))
    new, count = _PLACE.subn(lambda found: f"{found[1]}\n{parts}\n{found[2]}", text)
    assert count == 1, "the page has the place for the bad day"
    page.write_text(new, "utf-8")


def main() -> int:
    """Measure, print, and compare with the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--devices", type=int, default=Plan.devices)
    add("--scale", type=float, default=Plan.scale, help="how many times faster")
    add("--spread", action="store_true", help="every cause at all sites instead of one")
    add("--group-by", nargs="+", default=Plan.group_by, help="instead of the example's labels")
    add("--write", action="store_true", help=f"replace the texts in {DOCS}")
    arguments = vars(parser.parse_args())
    into_docs = arguments.pop("write")
    hour = measure(Plan(**arguments))
    sys.stdout.writelines(report(hour))
    if into_docs:
        write(hour, DOCS)
    return int(len(hour.texts) > MOST_NOTIFICATIONS)


if __name__ == "__main__":
    sys.exit(main())
