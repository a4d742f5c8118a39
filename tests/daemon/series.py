"""What a scrape says of polls, summed up."""

from collections.abc import Callable

from tests.support.daemon_process import Scrape


def polls(found: Scrape) -> dict[str, float]:
    return found.by_device("axis_ntp_polls_total")


def polls_reach(count: int) -> Callable[[Scrape], bool]:
    return lambda found: min(polls(found).values()) >= count


def in_flight(found: Scrape) -> float:
    return the_one(found, "axis_ntp_exporter_polls_in_flight")


def the_one(found: Scrape, name: str) -> float:
    [(_, value)] = found.all(name)
    return value
