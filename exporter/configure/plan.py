"""Plan what to change on a device, and check whether it may be sent. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from exporter.config import Expect
from exporter.config.schema import Servers, unique_servers
from exporter.vapix.ntp_configuration import (
    SPELLINGS,
    InvalidConfiguration,
    NtpClientConfiguration,
    check,
    present_configuration,
    unreadable_parameters,
)
from exporter.vapix.ntp_info import NtpClientReading, NtpSettings, Reading

_NOT_IN_EVERY_FIRMWARE: Final = ("nts_enabled", "nts_ke_servers", "minpoll", "maxpoll")
"""Parameters of newer firmware: a device that does not report one does not support it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A parameter of `expect`, its current value (`None`: not reported), and the wanted value."""

    parameter: str
    now: Any
    wanted: Any


@dataclass(frozen=True, slots=True)
class Plan:
    """The change from what a device reports to what is expected.

    `before` and `after` are whole configurations, `differences` their differences. `problems` are
    the reasons not to send the change. `current` is the reading that `before` was made from.
    """

    expect: Expect
    current: NtpSettings
    before: NtpClientConfiguration
    after: NtpClientConfiguration
    differences: tuple[Difference, ...]
    problems: tuple[str, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Effects of the change that are probably not intended, in sentences."""
        sent = {name: getattr(self.after, name) for name in SPELLINGS}
        after = replace(self.current, **{name: v for name, v in sent.items() if v is not None})
        idle = after.enabled and after.active_server_count == 0
        return ("no NTP server will be active",) if idle else ()


def make_plan(expect: Expect, reading: Reading) -> Plan:
    """Plan the change of a device that was just read."""
    current = (reading.client or NtpClientReading()).settings
    differences = tuple(
        Difference(name, getattr(current, name), _value(getattr(expect, name)))
        for name in expect.find_mismatches(reading.client)
    )
    before = present_configuration(current)
    after = replace(before, **{each.parameter: each.wanted for each in differences})
    plan = Plan(expect, current, before, after, differences, ())
    return replace(plan, problems=tuple(_problems(plan, reading))) if differences else plan


def differences_left(plan: Plan, client: NtpClientReading | None) -> tuple[Difference, ...]:
    """Return where a device that was read back differs from `plan.after`.

    Includes parameters that should have stayed the same: the request contains all of them.
    """
    found = present_configuration((client or NtpClientReading()).settings)
    sent = (name for name in SPELLINGS if getattr(plan.after, name) is not None)
    kept = (name for name in sent if name not in plan.expect.named())
    changed = (n for n in kept if not _is_same(getattr(plan.after, n), getattr(found, n)))
    names = sorted({*plan.expect.find_mismatches(client), *changed})
    return tuple(Difference(n, getattr(found, n), getattr(plan.after, n)) for n in names)


def is_same_configuration(one: NtpClientConfiguration, other: NtpClientConfiguration) -> bool:
    """Return whether two configurations are the same, in any order of servers."""
    return all(_is_same(getattr(one, name), getattr(other, name)) for name in SPELLINGS)


def _value(expected: object) -> object:
    """Return the value to send; of servers that are the same, the first."""
    if not isinstance(expected, Servers):
        return expected
    return tuple(unique_servers(expected.servers).values())


def _is_same(one: object, other: object) -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return unique_servers(one).keys() == unique_servers(other).keys()
    return one == other


def _problems(plan: Plan, reading: Reading) -> Iterator[str]:
    if reading.client is None:
        yield "the device reports no NTP client"
        return
    unreadable = unreadable_parameters(reading)
    changing = {each.parameter for each in plan.differences}
    for name in _NOT_IN_EVERY_FIRMWARE:
        if name in changing and getattr(plan.before, name) is None and name not in unreadable:
            yield f"{name}: not supported: the device does not report it"
    for name, problem in unreadable.items():
        if name not in changing:
            yield f"{name}: the current value is invalid and cannot be sent back ({problem})"
    try:
        check(plan.after, plan.current)
    except InvalidConfiguration as refusal:
        yield from refusal.problems
