"""What every panel must show, in which unit, with which colours: written by hand, not generated.

The thresholds are those of the alerts: see docs/alerting.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

Steps = Sequence[tuple[float | None, str]]

PLAIN: Final = ((None, "text"),)
SKEW: Final = ((None, "red"), (-2, "orange"), (-0.5, "green"), (0.5, "orange"), (2, "red"))
OFFSET: Final = ((None, "red"), (-1, "orange"), (-0.1, "green"), (0.1, "orange"), (1, "red"))
SHARE: Final = ((None, "red"), (0.8, "green"))
LATE: Final = ((None, "green"), (5, "red"))


class Shown(NamedTuple):
    """A panel: its unit, and for each query the series that it shows (without `axis_ntp_`).

    Limits are dashed lines in graphs and colours elsewhere.
    """

    unit: str | None
    series: Sequence[str]
    limits: Steps | None = None


_CLOCK: Final = "clock_offset_seconds"
_LATENESS: Final = "exporter_poll_lateness_seconds_bucket"
_LATENCY: Final = "exporter_poll_latency_seconds_bucket"

FLEET: Final = {
    "Devices": Shown("short", ["up"], PLAIN),
    "Answering": Shown("short", ["up"], PLAIN),
    "Share answering": Shown("percentunit", ["up"], SHARE),
    "Synchronized": Shown("short", ["synced"], PLAIN),
    "Clock off": Shown("short", [_CLOCK], ((None, "green"), (1, "orange"))),
    "Clock far off": Shown("short", [_CLOCK], ((None, "green"), (1, "red"))),
    "Stepped": Shown("short", ["clock_steps_total"], ((None, "green"), (1, "yellow"))),
    "Config compliant": Shown("short", ["config_compliant"], PLAIN),
    "Devices with problems": Shown(
        "short", ["up", _CLOCK, "synced", "client_enabled", "config_compliant"]
    ),
    "Worst clocks": Shown("s", [_CLOCK], ((None, "green"), (0.5, "orange"), (2, "red"))),
    "Measured offsets": Shown("s", [_CLOCK] * 5),
    "Distribution of measured offsets": Shown("short", [_CLOCK]),
    "Failing devices": Shown("short", ["last_error"]),
    "Failed polls": Shown("cps", ["api_errors_total", "poll_failures_total"]),
    "Active servers": Shown("short", ["server_info"], ((None, "blue"),)),
    "Devices, worst first": Shown(
        None,
        [
            "up",
            "last_error",
            _CLOCK,
            "clock_offset_uncertainty_seconds",
            "time_offset_seconds",
            "active_servers",
            "last_success_timestamp_seconds",
        ],
    ),
}

DEVICE: Final = {
    "State now": Shown("none", ["up"], PLAIN),
    "Measured offset": Shown("s", [_CLOCK], SKEW),
    "± Uncertainty": Shown("s", ["clock_offset_uncertainty_seconds"], PLAIN),
    "Reported offset": Shown("s", ["time_offset_seconds"], OFFSET),
    "Active servers": Shown(
        "short", ["active_servers"], ((None, "red"), (1, "yellow"), (2, "green"))
    ),
    "Config compliant": Shown("none", ["config_compliant"], PLAIN),
    "Last success": Shown("s", ["last_success_timestamp_seconds"], PLAIN),
    "Overdue": Shown("s", ["next_poll_timestamp_seconds"], ((None, "green"), (300, "red"))),
    "Measured offset with its uncertainty": Shown(
        "s", [_CLOCK, _CLOCK, _CLOCK, "time_offset_seconds"], SKEW
    ),
    "State": Shown("none", ["up"]),
    "Measured offsets": Shown("s", [_CLOCK], SKEW),
    "Reported offsets": Shown("s", ["time_offset_seconds"], OFFSET),
    "Measured drift with its uncertainty": Shown("conppm", ["clock_drift_ratio"] * 3),
    "Reported offset unchanged": Shown("s", ["last_success_timestamp_seconds"]),
    "Time to next synchronization": Shown("s", ["time_to_next_sync_seconds"]),
    "Interval between synchronizations": Shown(
        "s", ["poll_interval_max_seconds", "poll_interval_min_seconds"]
    ),
    "Failed polls": Shown("short", ["api_errors_total", "poll_failures_total"]),
    "Poll duration": Shown("s", ["poll_duration_seconds"]),
    "Servers": Shown(None, ["server_info"]),
    "Clients": Shown(None, ["client_info"]),
    "Settings that differ from expect": Shown(None, ["config_mismatch"]),
    "Failing": Shown(None, ["last_error", "consecutive_failures"]),
}

EXPORTER: Final = {
    "Exporters": Shown("short", ["exporter_build_info"], PLAIN),
    "Devices polled": Shown("short", ["exporter_devices"], PLAIN),
    "Open polls": Shown("short", ["exporter_polls_in_flight"], PLAIN),
    "Lateness, p99": Shown("s", [_LATENESS], LATE),
    "Last reload successful": Shown("none", ["exporter_config_last_reload_successful"], PLAIN),
    "Config loaded": Shown(
        "dateTimeFromNow", ["exporter_config_last_reload_success_timestamp_seconds"], PLAIN
    ),
    "Started": Shown("dateTimeFromNow", ["process_start_time_seconds"], PLAIN),
    "Host clock synchronized": Shown("none", ["exporter_host_clock_synchronized"], PLAIN),
    "Lateness": Shown("s", [_LATENESS] * 2, LATE),
    "Latency": Shown("s", [_LATENCY] * 2),
    "Lateness, distribution": Shown("short", [_LATENESS]),
    "Latency, distribution": Shown("short", [_LATENCY]),
    "Open polls over time": Shown("short", ["exporter_polls_in_flight"]),
    "Share of devices answering": Shown("percentunit", ["up"], SHARE),
    "Median measured offset": Shown("s", [_CLOCK], ((None, "red"), (-0.5, "green"), (0.5, "red"))),
    "Scrape duration": Shown("s", ["scrape_duration_seconds"]),
    "Host clock offset": Shown(
        "s",
        ["exporter_host_clock_offset_seconds"] * 3,
        ((None, "red"), (-0.5, "green"), (0.5, "red")),
    ),
    "Time servers": Shown(
        None,
        [
            "time_server_up",
            "time_server_offset_seconds",
            "time_server_stratum",
            "time_server_selectable",
            "time_server_devices",
        ],
    ),
    "CPU": Shown("short", ["process_cpu_seconds_total"]),
    "Memory": Shown("bytes", ["process_resident_memory_bytes"]),
    "File descriptors": Shown("short", ["process_open_fds", "process_max_fds"]),
    "Garbage collections": Shown("cps", ["python_gc_collections_total"]),
    "Discovery failures": Shown("short", ["exporter_sd_refresh_failures_total"]),
    "Versions": Shown(None, ["exporter_build_info"]),
}

PANELS: Final[Mapping[str, Mapping[str, Shown]]] = {
    "axis-ntp-fleet": FLEET,
    "axis-ntp-device": DEVICE,
    "axis-ntp-exporter": EXPORTER,
}


class Column(NamedTuple):
    """A column of numbers: its query, its unit, and the limits of its colours."""

    query: str
    unit: str
    limits: Steps | None = None


NUMBERS: Final[Mapping[str, Mapping[str, Column]]] = {
    "Devices, worst first": {
        "State": Column("A", "none"),
        "Measured offset": Column("C", "s", SKEW),
        "± Uncertainty": Column("D", "s"),
        "Reported offset": Column("E", "s", OFFSET),
        "Active servers": Column("F", "short"),
        "Last success": Column("G", "dateTimeFromNow"),
    },
    "Failing": {"failures": Column("B", "short")},
    "Time servers": {
        "up": Column("A", "none"),
        "offset": Column("B", "s"),
        "stratum": Column("C", "short"),
        "selectable": Column("D", "none"),
        "devices": Column("E", "short"),
    },
}
"""The columns of numbers of each table; all other columns are text."""
