"""The page of one device: its state and what to do, all that is known of it, its last polls."""

from collections.abc import Iterator, Mapping
from math import ceil

from exporter.clock.drift import Drift, seconds_until
from exporter.clock.host import HostTime
from exporter.clock.offset import Offset, true_offset
from exporter.config import Thresholds
from exporter.devices.device import Device
from exporter.devices.health import diagnose, level_of
from exporter.devices.state import DeviceState
from exporter.polling.schedule import early_poll_wait
from exporter.system.text import (
    format_clock,
    format_drift,
    format_offset,
    format_roughly,
)
from exporter.time_servers.host_clock import Vote
from exporter.time_servers.targets import find_key
from exporter.vapix.ntp_info import NTS_KE, NtpSettings
from exporter.web.pages.assets import poll_url, probe_url, render
from exporter.web.pages.chart import Limits, draw
from exporter.web.pages.fleet_query import FleetQuery
from exporter.web.pages.format import (
    describe_state,
    format_ago,
    format_ahead,
    format_elapsed,
    format_since,
    format_span,
    since_steady,
)
from exporter.web.pages.links import (
    EVIDENCE_URL,
    PageSettings,
    dashboard_url,
    evidence_command,
)

Fact = tuple[str, str]
"""A name and its value; the value is empty if it is unknown."""

_YES_NO = {True: "yes", False: "no", None: ""}


def render_device(device: Device, now: HostTime, vote: Vote, settings: PageSettings) -> str:
    """Return the page of a device; `vote` is what the configured time servers say."""
    state, thresholds = device.state, settings.thresholds
    issues = diagnose(state, state.clock_offset(now), now, thresholds)
    polls = state.history.polls(now)
    interval_seconds = device.target.interval_seconds
    wait = early_poll_wait(state.next_poll_steady, interval_seconds, now.steady_seconds)
    since = since_steady(issues)
    return render(
        "device.html",
        url_of=settings.url_of,
        target=device.target,
        labels=label_links(device.target.labels),
        state=state,
        level=level_of(state, issues),
        description=describe_state(state, issues),
        issues=issues,
        since="" if since is None else format_since(since, now),
        polling=list(polling_facts(device, now)),
        clock=list(clock_facts(state, now, vote.offset_at(now), thresholds)),
        client=list(client_facts(state, now)),
        server_problems=server_problems(state, vote),
        chart=draw(polls, Limits(thresholds.skew.warning, thresholds.skew.critical)),
        polls=polls[::-1],
        probe_url=probe_url(device.target.name),
        dashboard_url=dashboard_url(
            settings.grafana_url, "axis-ntp-device", device=device.target.name
        ),
        poll_url=poll_url(device.target.name),
        poll_again=format_ahead(ceil(wait)) if wait else "",
        evidence_command=evidence_command(device.target.name, now.unix_seconds),
        evidence_url=EVIDENCE_URL,
        now_unix=now.unix_seconds,
    )


def server_problems(state: DeviceState, vote: Vote) -> dict[str, str]:
    """Return what is wrong with the device's servers that the exporter asks too.

    Not of its NTS servers: those need not answer NTP.
    """
    problems = {each.target.key: each.text for each in vote.problems}
    lists = state.last.client.settings.server_lists() if problems else []
    listed = (server for each in lists if each.source != NTS_KE for server in each.servers)
    return {
        server: text for server in listed if (text := problems.get(find_key(server) or ("", 0)))
    }


def label_links(labels: Mapping[str, str]) -> list[Fact]:
    """Return the labels, and for each the URL of the fleet page with all devices that have it.

    An empty label cannot be filtered by; its URL is empty.
    """
    query = FleetQuery()
    return [
        (f"{name}={value}", query.of_label(name, value).url if value else "")
        for name, value in labels.items()
    ]


def polling_facts(device: Device, now: HostTime) -> Iterator[Fact]:
    """Yield how the device is polled, and with what success."""
    state, target = device.state, device.target
    yield "Interval", format_span(target.interval_seconds)
    yield "Timeout", format_span(target.timeout_seconds)
    yield "Last poll", _since(state.last_poll_steady, now)
    yield "Poll duration", format_elapsed(state.last_poll_seconds)
    yield "Last success", _since(state.last_success_steady, now)
    yield "Next poll", _until(state.next_poll_steady, now)
    yield "Polls", f"{state.polls:,}"
    yield "Failed", f"{state.failures:,}"
    if state.last.consecutive_failures:
        yield "Consecutive failures", f"{state.last.consecutive_failures:,}"


def clock_facts(
    state: DeviceState, now: HostTime, host_offset: Offset | None, thresholds: Thresholds
) -> Iterator[Fact]:
    """Yield what was measured of the device's clock."""
    offset = state.clock_offset(now)
    yield "against the exporter host", format_clock(offset)
    if (against_servers := true_offset(offset, host_offset)) is not None:
        yield "against the time servers", format_clock(against_servers)
    yield "Drift", _drift(offset, state.clock_drift, thresholds.skew.warning)
    yield "Clock steps", f"{state.clock.steps:,}"


def _drift(offset: Offset | None, drift: Drift | None, limit_seconds: float) -> str:
    if offset is None or drift is None:
        return ""
    until = seconds_until(limit_seconds, offset, drift)
    if until is None:
        return format_drift(drift)
    passes = f"passes {limit_seconds:g} s in about {format_roughly(until)}"
    return f"{format_drift(drift)}, {passes}"


def client_facts(state: DeviceState, now: HostTime) -> Iterator[Fact]:
    """Yield what the device reports about its NTP client; nothing without one."""
    if state.client is None or state.last.reading is None:
        return
    settings, status = state.client
    yield "Enabled", _YES_NO[settings.enabled]
    yield "Synchronized", _YES_NO[status.synced]
    yield "Reported offset", format_offset(status.reported_offset_seconds)
    yield "Last change of the reported offset", _since(state.reported_offset_changed_steady, now)
    until_sync = status.time_to_next_sync_seconds
    after = "" if until_sync is None else f"{format_span(until_sync)} after the last poll"
    yield "Next synchronization", after
    yield "NTP poll interval", _ntp_interval(settings)
    yield "Server source", settings.servers_source or ""
    yield "Network Time Security", _YES_NO[settings.nts_enabled]
    yield "Matches `expect`", _compliance(state)
    yield "API version", state.last.reading.api_version or ""


def _compliance(state: DeviceState) -> str:
    if state.last.mismatches is None:
        return "no `expect` configured"
    return f"no: {', '.join(state.last.mismatches)}" if state.last.mismatches else "yes"


def _ntp_interval(settings: NtpSettings) -> str:
    shortest, longest = settings.poll_interval_min_seconds, settings.poll_interval_max_seconds
    if shortest is None or longest is None:
        return ""
    return f"{format_span(shortest)} to {format_span(longest)}"


def _since(steady_seconds: float | None, now: HostTime) -> str:
    return "" if steady_seconds is None else format_ago(now.steady_seconds - steady_seconds)


def _until(steady_seconds: float | None, now: HostTime) -> str:
    return "" if steady_seconds is None else format_ahead(steady_seconds - now.steady_seconds)
