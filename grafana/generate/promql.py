"""PromQL that the dashboards share. Every function returns an expression.

Device names are free text. So variables are written as `${name:regex}` between backticks, where
PromQL has no escapes: quotes, slashes, braces and backslashes in a name need no escaping.

An HA pair of exporters exports each device twice. Expressions match whole label sets, which is
never ambiguous; `once` and `DEVICES_PER_SERIES` count a device once.

With 10,000 devices, matching and grouping at every point of a graph is what costs time. So graphs
select few series first and calculate afterwards, and `once` is for instant values only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from grafana.generate.thresholds import (
    CERTIFICATE_DAYS,
    INTERVALS_UNCHANGED,
    OFFSET_CRITICAL_SECONDS,
    OFFSET_WARNING_SECONDS,
    OVERDUE_SECONDS,
    SKEW_CRITICAL_SECONDS,
    SKEW_WARNING_SECONDS,
    UNCHANGED_SECONDS,
)

COPIES: Final = "instance, node, pod, replica"
"""The labels in which the series of one device differ between the exporters of an HA pair."""

LINES: Final = 10
"""Maximum series in a panel that draws one per device."""

ROWS: Final = 500
"""Maximum rows of a table."""

SITE: Final = "site"
"""The label by which devices are selected besides their name; also the variable's name."""

EXPORTER_URL: Final = "exporter_url"
"""The variable with the URL of the exporter's pages; `$1` in it is the label `instance`."""

DEVICE_LABEL: Final = "open"
EXPORTER_LABEL: Final = "page"
"""Labels of `addresses` for links: the device's URL, and the exporter's."""

_EXPORTERS: Final = ("job=~`${job:regex}`", "instance=~`${instance:regex}`")
_SITES: Final = (*_EXPORTERS, f"{SITE}=~`${{{SITE}:regex}}`")
_DEVICES: Final = (*_SITES, "device=~`${device:regex}`")


def devices(metric: str, *matchers: str) -> str:
    """Return the series of a metric for the selected devices."""
    return f"{metric}{{{', '.join((*_DEVICES, *matchers))}}}"


def sites(metric: str) -> str:
    """Return the series of a metric for the devices of the selected sites."""
    return f"{metric}{{{', '.join(_SITES)}}}"


def exporters(metric: str, *matchers: str) -> str:
    """Return the series of a metric for the selected exporters."""
    return f"{metric}{{{', '.join((*_EXPORTERS, *matchers))}}}"


UP: Final = devices("axis_ntp_up")
CLIENT_PRESENT: Final = devices("axis_ntp_client_present")
CLIENT_ENABLED: Final = devices("axis_ntp_client_enabled")
SYNCED: Final = devices("axis_ntp_synced")
NTP_OFFSET: Final = devices("axis_ntp_time_offset_seconds")
CLOCK_OFFSET: Final = devices("axis_ntp_clock_offset_seconds")
UNCERTAINTY: Final = devices("axis_ntp_clock_offset_uncertainty_seconds")
DRIFT: Final = devices("axis_ntp_clock_drift_ratio")
DRIFT_UNCERTAINTY: Final = devices("axis_ntp_clock_drift_uncertainty_ratio")
LAST_CHANGE: Final = devices("axis_ntp_time_offset_last_change_timestamp_seconds")
STEPS: Final = devices("axis_ntp_clock_steps_total")
ACTIVE_SERVERS: Final = devices("axis_ntp_active_servers")
SERVER_INFO: Final = devices("axis_ntp_server_info")
COMPLIANT: Final = devices("axis_ntp_config_compliant")
LAST_ERROR: Final = devices("axis_ntp_last_error")
FAILURES: Final = devices("axis_ntp_poll_failures_total")
LAST_SUCCESS: Final = devices("axis_ntp_last_success_timestamp_seconds")
NOT_AFTER: Final = devices("axis_ntp_certificate_not_after_timestamp_seconds")
LONGEST_INTERVAL: Final = devices("axis_ntp_poll_interval_max_seconds")
NEXT_POLL: Final = devices("axis_ntp_next_poll_timestamp_seconds")
BUILD_INFO: Final = exporters("axis_ntp_exporter_build_info")


def once(expression: str) -> str:
    """Return each device once, however many exporters poll it, with the larger value."""
    return f"max without ({COPIES}) ({expression})"


DEVICES_PER_SERIES: Final = (
    f"scalar(count({once(f'{UP} @ end()')}) / count({UP} @ end()) or vector(1))"
)
"""1, or 0.5 with an HA pair: the number of series times this is the number of devices.

Exact if all devices are polled by the same number of exporters. Otherwise it is an average, and
counts may have fractions.
"""


def skew() -> str:
    """Return offset minus uncertainty, which AxisNTPClockSkew compares with its thresholds."""
    return f"abs({CLOCK_OFFSET}) - {UNCERTAINTY}"


def alerts(severity: str) -> str:
    """Return the number of firing alerts of a severity; an HA pair's alerts count once."""
    own = ('alertname=~"AxisNTP.+"', 'alertstate="firing"', f'severity="{severity}"')
    return f"count({once(devices('ALERTS', *own))})"


def addresses() -> str:
    """Return each device once, with the labels address, scheme, serial and those for links.

    Of several exporters, one: any of them has a page of the device.
    """
    info = devices("axis_ntp_device_info")
    device = f'label_join({info}, "{DEVICE_LABEL}", "://", "scheme", "address")'
    url = f"`${{{EXPORTER_URL}:raw}}`"
    both = f'label_replace({device}, "{EXPORTER_LABEL}", {url}, "instance", "(.*)")'
    differing = f"{COPIES}, address, scheme, serial, {DEVICE_LABEL}, {EXPORTER_LABEL}"
    return once(f"topk without ({differing}) (1, {both})")


def latest(series: str) -> str:
    """Return the last value of series within the dashboard's time range, ended ones included."""
    return f"last_over_time({series}[$__range] @ end())"


def at_most(count: int, expression: str, rank: str) -> str:
    """Return the series of an expression that rank highest: the same ones over the whole range.

    `rank` has the labels of `expression`, and one value for the whole range. A plain `topk` would
    select again at each point, and so draw every series that was ever among the highest.
    """
    return f"{expression}\nand\ntopk({count}, {rank})"


def worst_skews(count: int) -> str:
    """Return offset minus uncertainty of the worst clocks, which AxisNTPClockSkew compares."""
    rank = once(f"abs({latest(CLOCK_OFFSET)}) - {latest(UNCERTAINTY)}")
    worst = f"and ignoring ({COPIES})\ntopk({count}, {rank})"
    return once(f"clamp_min(abs({CLOCK_OFFSET} {worst}) - ({UNCERTAINTY} {worst}), 0)")


def fastest(count: int) -> str:
    """Return drift minus uncertainty of the clocks that certainly drift fastest, in ppm."""
    rank = once(f"abs({latest(DRIFT)}) - {latest(DRIFT_UNCERTAINTY)}")
    chosen = f"and ignoring ({COPIES})\ntopk({count}, {rank})"
    certain = f"abs({DRIFT} {chosen}) - ({DRIFT_UNCERTAINTY} {chosen})"
    return once(f"clamp_min({certain}, 0) * 1e6")


def largest(count: int, series: str) -> str:
    """Return the values of the devices that are furthest from 0 now, without their sign."""
    rank = once(f"abs({latest(series)})")
    return once(f"abs({series} and ignoring ({COPIES})\ntopk({count}, {rank}))")


def buckets(values: str, bounds: Sequence[float]) -> str:
    """Return how many devices' values are within each bound of 0, as buckets for a heatmap."""
    within = {f"{bound:g}": f"{values} <= {bound:g} >= -{bound:g}" for bound in bounds}
    # Filters, not `bool`, which creates a new series per value and takes four times as long.
    return "\nor ".join(
        f'label_replace((count({found}) or vector(0)) * {DEVICES_PER_SERIES}, "le", "{le}", "", "")'
        for le, found in {**within, "+Inf": values}.items()
    )


def quantile_of_histogram(quantile: float, metric: str) -> str:
    """Return a quantile of an exporter's histogram, for each exporter."""
    rate = f"rate({exporters(metric + '_bucket')}[$__rate_interval])"
    return f"histogram_quantile({quantile:g}, sum by (job, instance, le) ({rate}))"


def of_this_exporter(expression: str) -> str:
    """Keep only series of an axis-ntp-exporter: with job All, others have the same names."""
    return f"{expression}\nand on (job, instance)\nlast_over_time({BUILD_INFO}[$__range])"


def state(among: str = "") -> str:
    """Return each device's worst state; `among` follows each selector, to limit the series."""
    clause = f" {among}" if among else ""
    chosen = {name: f"({series}{clause})" for name, series in _OF_STATE.items()}
    return "(" + "\nor ".join(line.format(**chosen) for line in _STATE_LINES) + ")"


_OF_STATE: Final = {
    "up": UP,
    "present": CLIENT_PRESENT,
    "enabled": CLIENT_ENABLED,
    "synced": SYNCED,
    "servers": ACTIVE_SERVERS,
    "compliant": COMPLIANT,
    "ntp": NTP_OFFSET,
    "clock": CLOCK_OFFSET,
    "uncertainty": UNCERTAINTY,
    "success": LAST_SUCCESS,
    "changed": LAST_CHANGE,
    "longest": LONGEST_INTERVAL,
    "ends": NOT_AFTER,
    "due": NEXT_POLL,
}


def _off(skew_seconds: float, offset_seconds: float) -> str:
    """Return devices that are off by the measured offset (even at best) or the reported one."""
    return (
        f"((abs({{clock}}) - {{uncertainty}} > {skew_seconds:g})"
        f" or (abs({{ntp}}) > {offset_seconds:g}))"
    )


_LIMIT: Final = f"({INTERVALS_UNCHANGED} * {{longest}} or {{success}} * 0 + {UNCHANGED_SECONDS})"
"""How long a synchronized device may report the same offset, as in AxisNTPSyncStalled."""

# A device without servers is therefore not synchronized, and one whose client is off reports the
# same offset for ever: they have the state that is the cause.
_STATE_LINES: Final = (
    f"(time() - {{due}} > {OVERDUE_SECONDS:g}) * 0 + 10",
    "({up} == 0) * 0 + 9",
    f"{_off(SKEW_CRITICAL_SECONDS, OFFSET_CRITICAL_SECONDS)} * 0 + 8",
    f"{_off(SKEW_WARNING_SECONDS, OFFSET_WARNING_SECONDS)} * 0 + 7",
    "(({servers} == 0) and ({enabled} == 1)) * 0 + 6",
    "(({synced} == 0) and ({enabled} == 1)) * 0 + 5",
    "(({enabled} == 0) or ({present} == 0)) * 0 + 4",
    f"(({{success}} - {{changed}} > {_LIMIT}) and ({{synced}} == 1)) * 0 + 3",
    "({compliant} == 0) * 0 + 2",
    f"({{ends}} - time() < {CERTIFICATE_DAYS} * 86400) * 0 + 1",
    "{up} * 0",
)
"""The devices in each state, the worst state first; `colours.STATES` names the states.

The conditions are those of the alerts about a device that are not only information.
"""
