"""What the tests of this folder share: series of a scrape, and a config without a real device."""

from collections.abc import Callable

from tests.support.daemon_process import Scrape

NOTHING = {"devices": [{"address": "127.0.0.1:1", "name": "nothing"}]}

UP = "axis_ntp_up"
POLLS = "axis_ntp_polls_total"
FAILURES = "axis_ntp_poll_failures_total"
SD_FAILURES = "axis_ntp_exporter_sd_refresh_failures_total"


def polls(found: Scrape) -> dict[str, float]:
    return found.by_device(POLLS)


def polls_reach(count: int) -> Callable[[Scrape], bool]:
    return lambda found: min(polls(found).values(), default=0) >= count


def in_flight(found: Scrape) -> float:
    return the_one(found, "axis_ntp_exporter_polls_in_flight")


def the_one(found: Scrape, name: str) -> float:
    [(_, value)] = found.all(name)
    return value


def sd_failures(found: Scrape) -> dict[str, float]:
    return {labels["source"]: value for labels, value in found.all(SD_FAILURES)}
