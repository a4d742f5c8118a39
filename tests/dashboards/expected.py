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

_TIME_SERVERS: Final = [
    "time_server_up",
    "time_server_offset_seconds",
    "time_server_stratum",
    "time_server_selectable",
    "time_server_devices",
]

FLEET: Final = {
    "Answering": Shown("string", ["up"], PLAIN),
    "Share answering": Shown("percentunit", ["up"], SHARE),
    "Synchronized": Shown("string", ["synced"], PLAIN),
    "Config compliant": Shown("string", ["config_compliant"], PLAIN),
    "Clock off": Shown("string", [_CLOCK], PLAIN),
    "Clock far off": Shown("string", [_CLOCK], PLAIN),
    "Stepped": Shown("string", ["clock_steps_total"], PLAIN),
    "Alerts": Shown("short", ["ALERTS"] * 2, PLAIN),
    "Firing alerts": Shown(None, []),
    "Sites": Shown(None, ["up", "up", _CLOCK, _CLOCK, "synced", "config_compliant"]),
    "Devices, worst first": Shown(
        None,
        [
            "next_poll_timestamp_seconds",
            "last_error",
            _CLOCK,
            "clock_offset_uncertainty_seconds",
            "time_offset_seconds",
            "active_servers",
            "last_success_timestamp_seconds",
            "clock_drift_ratio",
            "device_info",
        ],
    ),
    "Devices with problems": Shown(
        "short", ["up", _CLOCK, "synced", "client_enabled", "config_compliant"]
    ),
    "Worst clocks": Shown("s", [_CLOCK], ((None, "green"), (0.5, "orange"), (2, "red"))),
    "Measured offsets": Shown("s", [_CLOCK] * 5),
    "Distribution of measured offsets": Shown("short", [_CLOCK]),
    "Fastest drifts": Shown("conppm", ["clock_drift_ratio"]),
    "Worst reported offsets": Shown(
        "s", ["time_offset_seconds"], ((None, "green"), (0.1, "orange"), (1, "red"))
    ),
    "Active servers": Shown("short", ["server_info"], ((None, "blue"),)),
    "Time servers": Shown(None, _TIME_SERVERS),
    "Failing devices": Shown("short", ["last_error"]),
    "Failed polls": Shown("cps", ["api_errors_total", "poll_failures_total"]),
}

DEVICE: Final = {
    "State now": Shown("none", ["next_poll_timestamp_seconds"], PLAIN),
    "Measured offset": Shown("s", [_CLOCK], SKEW),
    "± Uncertainty": Shown("s", ["clock_offset_uncertainty_seconds"], PLAIN),
    "Reported offset": Shown("s", ["time_offset_seconds"], OFFSET),
    "Measured drift": Shown("conppm", ["clock_drift_ratio"], PLAIN),
    "Steps": Shown("short", ["clock_steps_total"], ((None, "green"), (1, "yellow"))),
    "Active servers": Shown(
        "short", ["active_servers"], ((None, "red"), (1, "yellow"), (2, "green"))
    ),
    "Config compliant": Shown("none", ["config_compliant"], PLAIN),
    "Last success": Shown("s", ["last_success_timestamp_seconds"], PLAIN),
    "Overdue": Shown("s", ["next_poll_timestamp_seconds"], ((None, "green"), (300, "red"))),
    "Certificate ends in": Shown(
        "s",
        ["certificate_not_after_timestamp_seconds"],
        ((None, "red"), (0, "orange"), (21 * 86400, "green")),
    ),
    "Alerts": Shown("short", ["ALERTS"] * 2, PLAIN),
    "Measured offset with its uncertainty": Shown(
        "s", [_CLOCK, _CLOCK, _CLOCK, "time_offset_seconds"], SKEW
    ),
    "Addresses": Shown(None, ["device_info", "certificate_not_after_timestamp_seconds"]),
    "State": Shown("none", ["next_poll_timestamp_seconds"]),
    "Measured drift with its uncertainty": Shown("conppm", ["clock_drift_ratio"] * 3),
    "Measured offsets": Shown("s", [_CLOCK], SKEW),
    "Reported offsets": Shown("s", ["time_offset_seconds"], OFFSET),
    "Servers": Shown(None, ["server_info"]),
    "Clients": Shown(None, ["client_info"]),
    "Settings that differ from expect": Shown(None, ["config_mismatch"]),
    "Reported offset unchanged": Shown("s", ["last_success_timestamp_seconds"]),
    "Time to next synchronization": Shown("s", ["time_to_next_sync_seconds"]),
    "Interval between synchronizations": Shown(
        "s", ["poll_interval_max_seconds", "poll_interval_min_seconds"]
    ),
    "Failed polls": Shown("short", ["api_errors_total", "poll_failures_total"]),
    "Poll duration": Shown("s", ["poll_duration_seconds"]),
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
    "Versions": Shown(None, ["exporter_build_info"]),
    "Lateness": Shown("s", [_LATENESS] * 2, LATE),
    "Latency": Shown("s", [_LATENCY] * 2),
    "Lateness, distribution": Shown("short", [_LATENESS]),
    "Latency, distribution": Shown("short", [_LATENCY]),
    "Open polls over time": Shown("short", ["exporter_polls_in_flight"]),
    "Share of devices answering": Shown("percentunit", ["up"], SHARE),
    "Scrape duration": Shown("s", ["scrape_duration_seconds"]),
    "Discovery failures": Shown("short", ["exporter_sd_refresh_failures_total"]),
    "Median measured offset": Shown("s", [_CLOCK], ((None, "red"), (-0.5, "green"), (0.5, "red"))),
    "Host clock offset": Shown(
        "s",
        ["exporter_host_clock_offset_seconds"] * 3,
        ((None, "red"), (-0.5, "green"), (0.5, "red")),
    ),
    "Time servers": Shown(None, _TIME_SERVERS),
    "CPU": Shown("short", ["process_cpu_seconds_total"]),
    "Memory": Shown("bytes", ["process_resident_memory_bytes"]),
    "File descriptors": Shown("short", ["process_open_fds", "process_max_fds"]),
    "Garbage collections": Shown("cps", ["python_gc_collections_total"]),
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


_PROBLEM: Final = ((None, "green"), (1, "orange"))

NUMBERS: Final[Mapping[str, Mapping[str, Column]]] = {
    "Devices, worst first": {
        "State": Column("A", "none"),
        "Measured offset": Column("C", "s", SKEW),
        "± Uncertainty": Column("D", "s"),
        "Reported offset": Column("E", "s", OFFSET),
        "Drift": Column("H", "conppm"),
        "Active servers": Column("F", "short"),
        "Last success": Column("G", "dateTimeFromNow"),
    },
    "Sites": {
        "Not answering": Column("A", "short", _PROBLEM),
        "Devices": Column("B", "short"),
        "Worst clock": Column("C", "s", ((None, "green"), (0.5, "orange"), (2, "red"))),
        "Clocks off": Column("D", "short", _PROBLEM),
        "Not synchronized": Column("E", "short", _PROBLEM),
        "Mismatches": Column("F", "short", _PROBLEM),
    },
    "Addresses": {"certificate": Column("B", "dateTimeFromNow")},
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
