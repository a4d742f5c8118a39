"""What is known about this host's clock, as a number and in a sentence. Pure.

Pages and `check` show the sentence. The clock is suspect when AxisNTPExporterClockSuspect says so.
"""

from collections.abc import Callable, Sequence
from statistics import median
from typing import Final, Literal, NamedTuple

from exporter.clock.host import HostTime
from exporter.clock.offset import SECOND_NS, Offset
from exporter.system.text import format_clock, format_offset, plural
from exporter.time_servers.selection import Agreement, find_agreement, host_offset
from exporter.time_servers.sntp import TimeAnswer
from exporter.time_servers.targets import TimeServerTarget

DEVICES_TO_SUSPECT: Final = 5
"""So many devices are needed to suspect this host's clock because of them."""

_MOST_PROBLEMS: Final = 3
"""So many time servers with problems are named."""

_KERNEL: Final = {
    True: ": kernel says synchronized",
    False: " is not verified: kernel says unsynchronized",
    None: " is not verified: kernel does not say whether it is synchronized",
}


class ServerProblem(NamedTuple):
    """What is wrong with one configured server."""

    target: TimeServerTarget
    text: str


class Vote(NamedTuple):
    """What the configured time servers say of this host's clock.

    `servers` are configured, and `usable` of them have an answer that an NTP client would use.
    `problems` are those of single servers.
    """

    agreement: Agreement | None = None
    usable: int = 0
    servers: int = 0
    problems: tuple[ServerProblem, ...] = ()

    @property
    def is_quorate(self) -> bool:
        """Whether enough servers have a usable answer for a majority of all."""
        return 2 * self.usable > self.servers

    def offset_at(self, now: HostTime) -> Offset | None:
        """Return this host's clock minus the agreed time; `None` without an agreement."""
        return None if self.agreement is None else host_offset(self.agreement, now)


VoteSource = Callable[[HostTime], Vote]
"""Returns the vote at a moment."""


def count_votes(answers: Sequence[TimeAnswer | None], now: HostTime) -> Vote:
    """Return what the answers of all configured servers say together; `None` is no answer."""
    usable = [each.estimate for each in answers if each is not None and each.is_selectable]
    agreement = find_agreement(usable, now.steady_ns, len(answers))
    return Vote(agreement, len(usable), len(answers))


def describe_problem(answer: TimeAnswer | None, error: str | None) -> str:
    """Return why a server has no vote, or why its last query failed; `""` if neither."""
    if error or answer is None or answer.is_selectable:
        return error or ""
    uncertainty = format_offset(answer.estimate.width_ns / 2 / SECOND_NS)[1:]
    return f"not usable: stratum {answer.stratum}, leap {answer.leap}, ± {uncertainty}"


class HostClockNote(NamedTuple):
    """A sentence about this host's clock: `bad` if the clock is suspect.

    It is a `warning` if the kernel doubts the clock and no time server vouches for it.
    """

    text: str
    level: Literal["bad", "warning", "good"]


def describe_host_clock(
    vote: Vote,
    now: HostTime,
    device_offsets: Sequence[float],
    *,
    kernel: bool | None,
    suspect_seconds: float,
) -> HostClockNote:
    """Return what is known about this host's clock: suspect if certainly further off than this.

    `device_offsets` are the measured offsets of all devices, seconds: they only count where the
    time servers say nothing. `kernel` is the kernel's own word.
    """
    offset = vote.offset_at(now)
    if offset is None:
        note = _describe_unmeasured(vote, device_offsets, suspect_seconds, kernel=kernel)
    else:
        note = _describe_measured(vote, offset, suspect_seconds)
    return note._replace(text="; ".join((note.text, *_first_of(vote.problems))))


def _first_of(problems: Sequence[ServerProblem]) -> list[str]:
    """Return the first problems, and how many others there are."""
    first = [f"time server {each.target.label}: {each.text}" for each in problems[:_MOST_PROBLEMS]]
    more = len(problems) - _MOST_PROBLEMS
    return [*first, f"{more} more with problems"] if more > 0 else first


def _describe_measured(vote: Vote, offset: Offset, suspect_seconds: float) -> HostClockNote:
    agreeing = vote.usable - (len(vote.agreement.falsetickers) if vote.agreement else 0)
    text = f"this host's clock: {format_clock(offset)} ({_of_servers(agreeing, vote)})"
    if abs(offset.seconds) - offset.uncertainty_seconds > suspect_seconds:
        return HostClockNote(f"{text}; every measured offset is wrong by that much", "bad")
    return HostClockNote(text, "good")


def _describe_unmeasured(
    vote: Vote, device_offsets: Sequence[float], suspect_seconds: float, *, kernel: bool | None
) -> HostClockNote:
    text = f"this host's clock{_KERNEL[kernel]}, {_why_unmeasured(vote)}"
    count = len(device_offsets)
    middle = median(device_offsets) if count >= DEVICES_TO_SUSPECT else 0.0
    if abs(middle) > suspect_seconds:
        half = f"half of {count:,} devices are {format_offset(middle)} or more off it"
        return HostClockNote(f"{text}; {half}, so it is more likely wrong than theirs", "bad")
    return HostClockNote(text, "warning" if kernel is False else "good")


def _why_unmeasured(vote: Vote) -> str:
    if not vote.servers:
        return "no time_servers configured"
    if not vote.usable:
        return f"no usable answer from {_of_servers(vote.servers, vote)}"
    if not vote.is_quorate:
        return f"usable answers from only {_of_servers(vote.usable, vote)}"
    return f"{_of_servers(vote.usable, vote)} disagree"


def _of_servers(count: int, vote: Vote) -> str:
    """Return `3 time servers`, or `2 of 3 time servers` if it is not all of them."""
    of = "" if count == vote.servers else f"{count} of "
    return f"{of}{vote.servers} {plural(vote.servers, 'time server')}"
