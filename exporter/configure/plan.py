"""What is to change on a device, and whether it may be sent. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from exporter.config import Expect
from exporter.config.schema import Servers
from exporter.devices.compliance import find_mismatches
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
"""Parameters that came later: a device that does not report one does not know it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A parameter, named as in `expect`, as it is (`None`: not reported) and as it should be."""

    parameter: str
    now: Any
    wanted: Any


@dataclass(frozen=True, slots=True)
class Plan:
    """How a device gets from what it reports to what is expected of it.

    `before` and `after` are the whole configuration; `differences` what distinguishes them;
    `problems` why it must not be sent, in sentences; `current` is what `before` was read from.
    """

    expect: Expect
    current: NtpSettings
    before: NtpClientConfiguration
    after: NtpClientConfiguration
    differences: tuple[Difference, ...]
    problems: tuple[str, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What somebody may not have meant, in sentences."""
        sent = {name: getattr(self.after, name) for name in SPELLINGS}
        after = replace(self.current, **{name: v for name, v in sent.items() if v is not None})
        idle = after.enabled and after.active_server_count == 0
        return ("no time server will be in force",) if idle else ()


def make_plan(expect: Expect, reading: Reading) -> Plan:
    """What has to change so that a device which was just read is as expected."""
    current = (reading.client or NtpClientReading()).settings
    differences = tuple(
        Difference(name, getattr(current, name), _value(getattr(expect, name)))
        for name in find_mismatches(expect, reading.client)
    )
    before = present_configuration(current)
    after = replace(before, **{each.parameter: each.wanted for each in differences})
    plan = Plan(expect, current, before, after, differences, ())
    return replace(plan, problems=tuple(_problems(plan, reading))) if differences else plan


def differences_left(plan: Plan, client: NtpClientReading | None) -> tuple[Difference, ...]:
    """Where a device that was read again is not what `plan` made of it.

    That is what is expected, and also what was to stay as it was: a change carries everything.
    """
    found = present_configuration((client or NtpClientReading()).settings)
    sent = (name for name in SPELLINGS if getattr(plan.after, name) is not None)
    carried = (name for name in sent if name not in plan.expect.named())
    moved = (n for n in carried if not _alike(getattr(plan.after, n), getattr(found, n)))
    names = sorted({*find_mismatches(plan.expect, client), *moved})
    return tuple(Difference(n, getattr(found, n), getattr(plan.after, n)) for n in names)


def alike(one: NtpClientConfiguration, other: NtpClientConfiguration) -> bool:
    """Whether two configurations say the same; a device may list its servers in any order."""
    return all(_alike(getattr(one, name), getattr(other, name)) for name in SPELLINGS)


def _value(expected: object) -> object:
    """What is sent for an expectation; of servers that differ in case only, the first."""
    if not isinstance(expected, Servers):
        return expected
    named: dict[str, str] = {}
    for server in expected.servers:
        named.setdefault(server.lower(), server)
    return tuple(named.values())


def _alike(one: object, other: object) -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return {name.lower() for name in one} == {name.lower() for name in other}
    return one == other


def _problems(plan: Plan, reading: Reading) -> Iterator[str]:
    if reading.client is None:
        yield "the device reports no NTP client"
        return
    unreadable = unreadable_parameters(reading)
    changing = {each.parameter for each in plan.differences}
    for name in _NOT_IN_EVERY_FIRMWARE:
        if name in changing and getattr(plan.before, name) is None and name not in unreadable:
            yield f"{name}: the device does not report it, so it does not know it"
    for name, problem in unreadable.items():
        if name not in changing:
            yield f"{name}: what is there cannot be read, nor sent back ({problem})"
    try:
        check(plan.after, plan.current)
    except InvalidConfiguration as refusal:
        yield from refusal.problems
