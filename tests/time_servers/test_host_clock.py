"""The sentence about this host's clock, and when that clock is suspect."""

import pytest

from exporter.clock.host import HostTime
from exporter.clock.offset import SECOND_NS, Estimate, Offset, true_offset
from exporter.config import Thresholds
from exporter.config.schema import SkewThresholds
from exporter.time_servers.host_clock import (
    HostClockNote,
    ServerProblem,
    Vote,
    count_votes,
    describe_host_clock,
)
from exporter.time_servers.sntp import LEAP_UNKNOWN, TimeAnswer
from exporter.time_servers.targets import TimeServerTarget

NOW = HostTime(1_000 * SECOND_NS, 1_800_000_000 * SECOND_NS)
MS_NS = 1_000_000

ONLY_KERNEL = {
    True: "this host's clock: kernel says synchronized, ",
    False: "this host's clock is not verified: kernel says unsynchronized, ",
    None: "this host's clock is not verified: kernel does not say whether it is synchronized, ",
}
FIVE_OFF = [-3.0, -3.6, -3.6, -3.6, 0.0]


def answer(ahead_ms: float = 3, error_ms: float = 5, leap: int = 0) -> TimeAnswer:
    """Return the answer of a server that says how far this host's clock is ahead."""
    middle_ns = NOW.unix_minus_steady_ns - round(ahead_ms * MS_NS)
    error_ns = round(error_ms * MS_NS)
    estimate = Estimate(middle_ns - error_ns, middle_ns + error_ns, NOW.steady_ns)
    return TimeAnswer(estimate, MS_NS, 2, leap, 0, 0)


def describe(
    answers: list[TimeAnswer | None],
    devices: list[float],
    *,
    kernel: bool | None,
    suspect_seconds: float = 0.5,
) -> HostClockNote:
    vote = count_votes(answers, NOW)
    return describe_host_clock(vote, NOW, devices, kernel=kernel, suspect_seconds=suspect_seconds)


def skew(warning: str) -> SkewThresholds:
    return SkewThresholds.model_validate({"warning": warning})


@pytest.mark.parametrize(("ahead_ms", "level"), [(54, "good"), (56, "bad"), (-56, "bad")])
def test_with_a_lower_threshold_this_hosts_clock_is_suspect_from_there_on(
    ahead_ms: float, level: str
) -> None:
    limit = skew("50ms").host_clock
    assert describe([answer(ahead_ms)], [], kernel=True, suspect_seconds=limit).level == level
    unmeasured = describe([], [(ahead_ms - 5) / 1e3] * 5, kernel=True, suspect_seconds=limit)
    assert ahead_ms < 0 or unmeasured.level == level


def test_a_higher_threshold_does_not_make_this_hosts_clock_less_suspect() -> None:
    assert skew("1s").host_clock == Thresholds().skew.host_clock == 0.5


@pytest.mark.parametrize("kernel", [True, False, None])
@pytest.mark.parametrize(
    ("answers", "text", "level"),
    [
        ([answer()] * 3, "+3.000 ms ± 5.000 ms (3 time servers)", "good"),
        ([answer()], "+3.000 ms ± 5.000 ms (1 time server)", "good"),
        ([answer(), answer(), None], "+3.000 ms ± 5.000 ms (2 of 3 time servers)", "good"),
        (
            [answer(), answer(), answer(7_000)],
            "+3.000 ms ± 5.000 ms (2 of 3 time servers)",
            "good",
        ),
        (
            [answer(), answer(), answer(leap=LEAP_UNKNOWN)],
            "+3.000 ms ± 5.000 ms (2 of 3 time servers)",
            "good",
        ),
        ([answer(504)] * 2, "+504.000 ms ± 5.000 ms (2 time servers)", "good"),
        (
            [answer(-506)] * 2,
            "-506.000 ms ± 5.000 ms (2 time servers); every measured offset is wrong by that much",
            "bad",
        ),
        ([answer(2_000, 1_600)], "+2.0 s ± 1.7 s (1 time server)", "good"),
    ],
)
def test_what_the_time_servers_say_counts_whatever_kernel_and_devices_say(
    answers: list[TimeAnswer | None], text: str, level: str, *, kernel: bool | None
) -> None:
    assert describe(answers, FIVE_OFF, kernel=kernel) == (f"this host's clock: {text}", level)


@pytest.mark.parametrize("kernel", [True, False, None])
@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([], "no time_servers configured"),
        ([None], "no usable answer from 1 time server"),
        ([None, answer(leap=LEAP_UNKNOWN)], "no usable answer from 2 time servers"),
        ([answer(), None, None], "usable answers from only 1 of 3 time servers"),
        ([answer(), None], "usable answers from only 1 of 2 time servers"),
        ([answer(), answer(7_000), None], "2 of 3 time servers disagree"),
        ([answer(), answer(7_000)], "2 time servers disagree"),
    ],
)
def test_without_agreement_the_kernel_has_the_word(
    answers: list[TimeAnswer | None], why: str, *, kernel: bool | None
) -> None:
    level = "warning" if kernel is False else "good"
    assert describe(answers, [0.1] * 9, kernel=kernel) == (ONLY_KERNEL[kernel] + why, level)


@pytest.mark.parametrize("kernel", [True, False, None])
@pytest.mark.parametrize(
    ("devices", "median"),
    [
        (FIVE_OFF, "-3.600 s"),
        ([0.0, 0.0, 0.6, 0.8, 9.0, 9.0], "+700.000 ms"),
        ([0.5] * 5, None),
        ([0.6] * 4, None),
        ([0.0] * 5, None),
        ([], None),
    ],
)
def test_where_half_of_the_devices_are_off_this_host_is_suspect(
    devices: list[float], median: str | None, *, kernel: bool | None
) -> None:
    note = describe([], devices, kernel=kernel)
    text = f"{ONLY_KERNEL[kernel]}no time_servers configured"
    if median is None:
        assert note == (text, "warning" if kernel is False else "good")
    else:
        half = f"half of {len(devices)} devices are {median} or more off it"
        assert note == (f"{text}; {half}, so it is more likely wrong than theirs", "bad")


def test_an_agreement_of_another_moment_is_less_certain() -> None:
    vote = count_votes([answer()] * 3, NOW)
    later = HostTime(NOW.steady_ns + 100 * SECOND_NS, NOW.unix_ns + 100 * SECOND_NS)
    earlier = HostTime(NOW.steady_ns - 100 * SECOND_NS, NOW.unix_ns - 100 * SECOND_NS)
    for now in (earlier, later):
        offset = vote.offset_at(now)
        assert offset is not None
        assert offset.seconds == pytest.approx(0.003)
        assert offset.uncertainty_seconds == pytest.approx(0.015)


def test_without_votes_there_is_no_offset() -> None:
    assert Vote().offset_at(NOW) is None
    assert count_votes([], NOW) == Vote()


@pytest.mark.parametrize(
    ("measured", "host", "offset"),
    [
        (Offset(-3.5, 0.25), Offset(3.0, 0.5), Offset(-0.5, 0.75)),
        (None, Offset(3.0, 0.5), None),
        (Offset(-3.5, 0.25), None, None),
        (None, None, None),
    ],
)
def test_the_true_offset_needs_both_and_has_the_uncertainty_of_both(
    measured: Offset | None, host: Offset | None, offset: Offset | None
) -> None:
    found = true_offset(measured, host)
    if offset is None:
        assert found is None
    else:
        assert found is not None
        assert found.seconds == offset.seconds
        assert found.uncertainty_seconds == pytest.approx(offset.uncertainty_seconds, rel=1e-12)
        assert found.uncertainty_seconds >= offset.uncertainty_seconds


@pytest.mark.parametrize(
    ("silent", "end"),
    [
        ("", "(2 of 3 time servers)"),
        ("c", "(2 of 3 time servers); time server c: silent"),
        (
            "cdefg",
            "(2 of 3 time servers); time server c: silent; time server d: silent; "
            "time server e: silent; 2 more with problems",
        ),
    ],
)
def test_the_sentence_ends_with_the_problems_of_single_servers(silent: str, end: str) -> None:
    targets = [TimeServerTarget(name, name, 123, is_configured=True) for name in silent]
    problems = tuple(ServerProblem(target, "silent") for target in targets)
    vote = count_votes([answer(), answer(), None], NOW)._replace(problems=problems)
    note = describe_host_clock(vote, NOW, [], kernel=True, suspect_seconds=0.5)
    assert note.text == f"this host's clock: +3.000 ms ± 5.000 ms {end}"
