"""The dashboard for the exporter itself: its schedule, its own clock, its resources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from grafana_foundation_sdk.builders import dashboard, heatmap, stat, table, timeseries

from grafana.generate import colours, panels, promql
from grafana.generate.colours import GREEN, RED, YES_NO
from grafana.generate.frame import EXPORTER, Section, skeleton, with_exporters, with_sections
from grafana.generate.promql import ROWS, exporters, of_this_exporter, quantile_of_histogram
from grafana.generate.thresholds import FLEET_UP_RATIO, LATE_SECONDS, SUSPECT_SECONDS

_NAMED: Final = "{{instance}}"
_OF_SEVERAL: Final = "With several exporters: the worst."
_LATENESS: Final = "axis_ntp_exporter_poll_lateness_seconds"
_LATENCY: Final = "axis_ntp_exporter_poll_latency_seconds"
_LATE: Final[colours.Steps] = ((None, GREEN), (LATE_SECONDS, RED))
_SUSPECT: Final[colours.Steps] = ((None, RED), (-SUSPECT_SECONDS, GREEN), (SUSPECT_SECONDS, RED))

_TIME_SERVER_COLUMNS: Final = {
    "Value #A": "up",
    "Value #B": "offset",
    "Value #C": "stratum",
    "Value #D": "selectable",
    "Value #E": "devices",
}


def exporter() -> dashboard.Dashboard:
    """Return the dashboard `axis-ntp-exporter`."""
    text = "Schedule, clock, discovery and resource usage of the exporters."
    board = skeleton(EXPORTER, "Axis NTP / Exporter", text)
    board = with_exporters(board, "axis_ntp_exporter_build_info")
    sections = [
        Section("Now", [*_now(), *_config_now(), _versions()]),
        Section("Polls", [*_schedule(), _scrapes(), _discovery()]),
        Section("Clock", [_median(), _host_clock(), time_servers().span(24)]),
        Section("Process", _process(), collapsed=True),
    ]
    return with_sections(board, sections)


def _now() -> Sequence[stat.Panel]:
    polls = exporters("axis_ntp_exporter_polls_in_flight")
    p99 = quantile_of_histogram(0.99, _LATENESS)
    return [
        panels.number(
            "Exporters", "Number of exporters that Prometheus sees.", f"count({promql.BUILD_INFO})"
        ),
        panels.number(
            "Devices polled",
            "Total of all exporters; an HA pair polls each device twice.",
            f"sum({exporters('axis_ntp_exporter_devices')})",
        ),
        panels.number("Open polls", "Polls that are waiting for a response now.", f"sum({polls})"),
        panels.number(
            "Lateness, p99",
            f"Red when AxisNTPExporterPollsLate fires. {_OF_SEVERAL}",
            f"max({p99})",
            "s",
            _LATE,
        ).no_value("no polls"),
    ]


def _config_now() -> Sequence[stat.Panel]:
    reload_successful = exporters("axis_ntp_exporter_config_last_reload_successful")
    loaded = exporters("axis_ntp_exporter_config_last_reload_success_timestamp_seconds")
    synchronized = exporters("axis_ntp_exporter_host_clock_synchronized")
    start = of_this_exporter(exporters("process_start_time_seconds"))
    return [
        panels.meaning(
            "Last reload successful",
            f"Whether the last attempt to load the config succeeded. {_OF_SEVERAL}",
            f"min({reload_successful})",
            YES_NO,
        ),
        panels.number(
            "Config loaded",
            "Last successful load of the config; with several exporters: the oldest.",
            f"min({loaded}) * 1000",
            "dateTimeFromNow",
        ),
        panels.number(
            "Started",
            "Last start; with several exporters: the most recent.",
            f"max({start}) * 1000",
            "dateTimeFromNow",
        ),
        panels.meaning(
            "Host clock synchronized",
            "Whether the kernel reports the exporter host's clock as synchronized. All offsets are"
            f" measured against that clock. {_OF_SEVERAL}",
            f"min({synchronized})",
            YES_NO,
        ).no_value("unknown"),
    ]


def _schedule() -> Sequence[timeseries.Panel | heatmap.Panel]:
    late = "Delay between the due time and the start of polls, 99th and 50th percentile."
    slow = "Duration of polls, failed ones included, 99th and 50th percentile."
    return [
        panels.limited(_quantiles("Lateness", late, _LATENESS), _LATE),
        _quantiles("Latency", slow, _LATENCY),
        _heatmap("Lateness, distribution", "Polls by lateness over time.", _LATENESS),
        _heatmap("Latency, distribution", "Polls by duration over time.", _LATENCY),
        _in_flight(),
        _answering(),
    ]


def _quantiles(title: str, description: str, metric: str) -> timeseries.Panel:
    return panels.asking(
        panels.lines(title, description, "s").min(0),
        panels.ranged(quantile_of_histogram(0.99, metric), f"p99 {_NAMED}"),
        panels.ranged(quantile_of_histogram(0.5, metric), f"p50 {_NAMED}"),
    )


def _heatmap(title: str, description: str, metric: str) -> heatmap.Panel:
    counts = f"sum by (le) (increase({exporters(metric + '_bucket')}[$__rate_interval]))"
    return panels.asking(panels.histogram(title, description), panels.bucketed(counts))


def _in_flight() -> timeseries.Panel:
    panel = panels.lines(
        "Open polls over time",
        "Polls that are waiting for a response. A hung device keeps its poll until the timeout.",
    )
    polls = exporters("axis_ntp_exporter_polls_in_flight")
    return panels.asking(panel.min(0), panels.ranged(polls, _NAMED))


def _answering() -> timeseries.Panel:
    panel = panels.lines(
        "Share of devices answering",
        "By exporter. AxisNTPFleetUnreachable fires below the dashed line, for 5 or more devices.",
        "percentunit",
    )
    limited = panels.limited(panel.min(0).max(1), [(None, RED), (FLEET_UP_RATIO, GREEN)])
    share = f"avg by (job, instance) ({exporters('axis_ntp_up')})"
    return panels.asking(limited, panels.ranged(share, _NAMED))


def _host_clock() -> timeseries.Panel:
    panel = panels.lines(
        "Host clock offset",
        "The exporter host's clock minus the time on which a majority of its time servers agree,"
        " and the bounds of the true value. AxisNTPExporterClockSuspect fires when both bounds are"
        " beyond a dashed line.",
        "s",
    )
    offset = exporters("axis_ntp_exporter_host_clock_offset_seconds")
    uncertainty = exporters("axis_ntp_exporter_host_clock_offset_uncertainty_seconds")
    thin = panels.properties(custom_lineStyle={"fill": "dash", "dash": [4, 8]})
    return panels.asking(
        panels.limited(panel, _SUSPECT)
        .override_by_regexp("^at (most|least) ", thin)
        .no_value("no time_servers"),
        panels.ranged(offset, _NAMED),
        panels.ranged(f"{offset} + {uncertainty}", f"at most {_NAMED}"),
        panels.ranged(f"{offset} - {uncertainty}", f"at least {_NAMED}"),
    )


def time_servers() -> table.Panel:
    """Return the table of time servers, which the fleet dashboard has, too."""
    columns = {"server": "server", "instance": "instance", **_TIME_SERVER_COLUMNS}
    panel = panels.listing(
        "Time servers",
        "Time servers that the exporter asks itself: whether they answer, whether an NTP client"
        " would use them, server minus exporter host clock, stratum, devices that use them.",
        columns,
        ["job"],
    )
    panel = (
        panel.no_value("no time_servers")
        .override_by_name("up", panels.coloured(YES_NO))
        .override_by_name("offset", panels.properties(unit="s"))
        .override_by_name("stratum", panels.properties(unit="short"))
        .override_by_name("selectable", panels.coloured(YES_NO))
        .override_by_name("devices", panels.properties(unit="short"))
    )
    shown = f"topk({ROWS}, {exporters('axis_ntp_time_server_up')})"
    values = ("offset_seconds", "stratum", "selectable", "devices")
    others = [f"{exporters(f'axis_ntp_time_server_{name}')}\nand\n{shown}" for name in values]
    return panels.asking(panel, *map(panels.rows, (shown, *others)))


def _median() -> timeseries.Panel:
    panel = panels.lines(
        "Median measured offset",
        "By exporter. AxisNTPExporterClockSuspect fires beyond the dashed lines, with at least 5"
        " devices and no host clock offset: the exporter's clock is more likely wrong than all of"
        " theirs.",
        "s",
    )
    offsets = exporters("axis_ntp_clock_offset_seconds")
    median = f"quantile by (job, instance) (0.5, {offsets})"
    return panels.asking(panels.limited(panel, _SUSPECT), panels.ranged(median, _NAMED))


def _scrapes() -> timeseries.Panel:
    panel = panels.lines("Scrape duration", "Duration of Prometheus's scrapes.", "s")
    duration = of_this_exporter(exporters("scrape_duration_seconds"))
    return panels.asking(panel.min(0), panels.ranged(duration, _NAMED))


def _discovery() -> timeseries.Panel:
    panel = panels.lines(
        "Discovery failures",
        "Refreshes that failed or skipped a target, by source. While a source fails, its last"
        " devices are kept.",
    )
    failures = exporters("axis_ntp_exporter_sd_refresh_failures_total")
    recent = f"sum by (mechanism, source) (increase({failures}[$__rate_interval]))"
    named = panels.ranged(recent, "{{mechanism}} {{source}}")
    return panels.asking(panel.min(0).no_value("no discovery"), named)


def _process() -> Sequence[timeseries.Panel]:
    cpu = f"rate({exporters('process_cpu_seconds_total')}[$__rate_interval])"
    memory = exporters("process_resident_memory_bytes")
    collected = f"rate({exporters('python_gc_collections_total')}[$__rate_interval])"
    return [
        _of_process("CPU", "CPU cores used.", "short", cpu),
        _of_process("Memory", "Resident memory.", "bytes", memory),
        _descriptors(),
        _of_process(
            "Garbage collections",
            "Python garbage collections per second.",
            "cps",
            f"sum by (job, instance) ({collected})",
        ),
    ]


def _of_process(title: str, description: str, unit: str, expression: str) -> timeseries.Panel:
    query = panels.ranged(of_this_exporter(expression), _NAMED)
    return panels.asking(panels.lines(title, description, unit).min(0), query)


def _descriptors() -> timeseries.Panel:
    panel = panels.lines(
        "File descriptors", "Open file descriptors, one per kept connection, and their limit."
    )
    share = of_this_exporter(exporters("process_open_fds"))
    limit = of_this_exporter(exporters("process_max_fds"))
    return panels.asking(
        panel.min(0).override_by_regexp("^limit ", panels.properties(custom_lineWidth=0)),
        panels.ranged(share, _NAMED),
        panels.ranged(limit, f"limit {_NAMED}"),
    )


def _versions() -> table.Panel:
    columns = {"instance": "instance", "job": "job", "version": "version"}
    panel = panels.listing("Versions", "Version of each exporter.", columns, ["Value"])
    return panels.asking(panel.span(24).height(6), panels.rows(promql.BUILD_INFO))
