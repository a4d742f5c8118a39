"""One device: how it stands and what to do, everything that is known of it, its last polls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.clock.host import HostTime
from exporter.devices.device import Device
from exporter.devices.health import diagnose
from exporter.devices.history import Poll
from exporter.devices.state import DeviceState
from exporter.system.text import format_clock, format_duration, format_offset
from exporter.vapix.ntp_info import NtpSettings
from exporter.web.pages import chart
from exporter.web.pages.assets import probe_url, render
from exporter.web.pages.format import (
    format_ago,
    format_ahead,
    format_took,
    in_words,
    level_of,
)

Fact = tuple[str, str]
"""What it is about, and what is known of it; empty for what is not."""

_YES_NO = {True: "yes", False: "no", None: ""}


@dataclass(frozen=True, slots=True)
class PollRow:
    """A poll as a person reads it."""

    ended_unix: int
    ago: str
    took: str
    result: str
    failed: bool
    clock: str


def render_device(device: Device, now: HostTime) -> str:
    """The page of a device at that moment."""
    state = device.state
    found = diagnose(state, state.clock_offset(now))
    polls = list(state.history)
    return render(
        "device.html",
        target=device.target,
        state=state,
        level=level_of(state, found),
        words=in_words(state, found),
        troubles=found,
        polling=list(polling_facts(device, now)),
        clock=list(clock_facts(state, now)),
        client=list(client_facts(state)),
        chart=chart.draw(polls),
        polls=[_poll_row(poll, now) for poll in reversed(polls)],
        probe_url=probe_url(device.target.name),
        now_unix=now.unix_seconds,
    )


def polling_facts(device: Device, now: HostTime) -> Iterator[Fact]:
    """How the device is polled, and how that went."""
    state, target = device.state, device.target
    yield "Every", format_duration(target.interval_seconds)
    yield "Timeout", format_duration(target.timeout_seconds)
    yield "Last poll", _since(state.last_poll_unix, now)
    yield "It took", format_took(state.last_poll_seconds)
    yield "Last good poll", _since(state.last_success_unix, now)
    yield "Next poll", _until(state.next_poll_unix, now)
    yield "Polls", f"{state.polls:,}"
    yield "Failed", f"{state.failures:,}"
    if state.last.consecutive_failures:
        yield "Failed in a row", f"{state.last.consecutive_failures:,}"


def clock_facts(state: DeviceState, now: HostTime) -> Iterator[Fact]:
    """What is seen of the device's clock from outside."""
    yield "Minus this host's", format_clock(state.clock_offset(now))
    yield "Steps seen", f"{state.clock.steps:,}"


def client_facts(state: DeviceState) -> Iterator[Fact]:
    """What the device says of its NTP client; nothing without one."""
    if state.client is None or state.last.reading is None:
        return
    settings, status = state.client
    yield "Enabled", _YES_NO[settings.enabled]
    yield "Synchronized", _YES_NO[status.synced]
    yield "Offset to its server", format_offset(status.reported_offset_seconds)
    yield "Next synchronization", _after_poll(status.time_to_next_sync_seconds)
    yield "Its poll interval", _interval(settings)
    yield "Source of the servers", settings.servers_source or ""
    yield "Network Time Security", _YES_NO[settings.nts_enabled]
    yield "As expected", _as_expected(state)
    yield "API version", state.last.reading.api_version or ""


def _as_expected(state: DeviceState) -> str:
    if state.last.mismatches is None:
        return "nothing is expected of it"
    return f"no: {', '.join(state.last.mismatches)}" if state.last.mismatches else "yes"


def _interval(settings: NtpSettings) -> str:
    shortest, longest = settings.poll_interval_min_seconds, settings.poll_interval_max_seconds
    if shortest is None or longest is None:
        return ""
    return f"{format_duration(shortest)} to {format_duration(longest)}"


def _after_poll(seconds: float | None) -> str:
    return "" if seconds is None else f"{format_duration(seconds)} after the last poll"


def _since(unix_seconds: float | None, now: HostTime) -> str:
    return "" if unix_seconds is None else format_ago(now.unix_seconds - unix_seconds)


def _until(unix_seconds: float | None, now: HostTime) -> str:
    return "" if unix_seconds is None else format_ahead(unix_seconds - now.unix_seconds)


def _poll_row(poll: Poll, now: HostTime) -> PollRow:
    return PollRow(
        poll.ended_unix,
        format_ago(now.unix_seconds - poll.ended_unix),
        format_took(poll.duration_seconds),
        chart.in_words(poll),
        poll.reason is not None,
        format_offset(poll.clock_offset_seconds),
    )
