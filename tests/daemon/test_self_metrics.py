"""The exporter's own series: version, config reloads, latency and lateness of polls."""

import time
from pathlib import Path

from exporter import __version__
from exporter.simulator.fleet import build_fleet, serve_fleet
from tests.daemon.series import in_flight, polls, polls_reach, the_one
from tests.support.daemon_process import Scrape, daemon_on


async def test_version_device_count_and_config_load_time_are_exposed(
    tmp_path: Path,
) -> None:
    before = time.time()
    devices = [{"address": f"127.0.0.1:{port}"} for port in (1, 2, 3)]
    async with daemon_on({"devices": devices}, tmp_path) as running:
        found = await running.scrape()
    reload = "axis_ntp_exporter_config_last_reload"
    assert found.all("axis_ntp_exporter_build_info") == [({"version": __version__}, 1)]
    assert the_one(found, "axis_ntp_exporter_devices") == 3
    assert the_one(found, f"{reload}_successful") == 1
    assert before <= the_one(found, f"{reload}_success_timestamp_seconds") <= time.time()


async def test_every_poll_is_counted_once_in_the_histograms(tmp_path: Path) -> None:
    fleet = build_fleet(3)
    fleet.devices[0].fault = "hang"
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="100ms", timeout="250ms")
        async with daemon_on(config, tmp_path) as running:
            found = await running.until(polls_reach(10))
            later = await running.scrape()
    # A scrape is sent in pieces, the devices first, while polls go on.
    at_least, at_most = sum(polls(found).values()), sum(polls(later).values())
    assert at_least <= histogram(found, "latency", "count") <= at_most
    assert at_least <= histogram(found, "lateness", "count") <= at_most + in_flight(later)


async def test_latency_includes_the_duration_of_polls_and_lateness_does_not(tmp_path: Path) -> None:
    fleet = build_fleet(1, "fault:hang")
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="600ms", timeout="500ms")
        async with daemon_on(config, tmp_path) as running:
            found = await running.until(polls_reach(3))
    ended = sum(polls(found).values())
    assert histogram(found, "latency", "sum") > 0.45 * ended
    assert histogram(found, "latency", "bucket", le="0.25") == 0
    assert histogram(found, "lateness", "sum") < 0.45 * ended


async def test_a_poll_that_waits_for_other_polls_is_late(tmp_path: Path) -> None:
    fleet = build_fleet(2, "fault:hang")
    async with serve_fleet(fleet) as served:
        config = served.exporter_config(interval="100ms", timeout="600ms")
        config["global"]["concurrency"] = 1
        async with daemon_on(config, tmp_path) as running:
            found = await running.until(polls_reach(2))
    # The second poll was due within 0.1 s of the start but began after the first had ended.
    late = histogram(found, "lateness", "count") - histogram(found, "lateness", "bucket", le="0.25")
    assert late >= 1


def histogram(found: Scrape, which: str, part: str, **labels: str) -> float:
    [(_, value)] = found.all(f"axis_ntp_exporter_poll_{which}_seconds_{part}", **labels)
    return value
