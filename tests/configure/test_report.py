"""The report of `configure`, as text and as JSON."""

import json
from dataclasses import replace
from typing import Any, cast

import pytest

from exporter.config import Expect
from exporter.configure.apply import DeviceChange
from exporter.configure.outcome import ChangeResult, ChangeStatus, result_of_first_read
from exporter.configure.plan import Difference
from exporter.configure.report import (
    as_document,
    device_lines,
    format_value,
    group_lines,
    next_step,
    summary,
)
from exporter.devices.device import Device, DeviceTarget
from exporter.vapix.client import NtpClient
from exporter.vapix.errors import PollTimeout
from exporter.vapix.ntp_configuration import NtpClientConfiguration
from exporter.vapix.ntp_info import Reading
from tests.support.readings import ntp_client

NO_CLIENT = cast("NtpClient", None)


def made(result: ChangeResult, name: str = "lobby", address: str = "192.0.2.1") -> DeviceChange:
    target = DeviceTarget(name, address, {"site": "hq"}, 60.0, 10.0)
    return DeviceChange(Device(target, NO_CLIENT), result)


def compared(expected: dict[str, Any], **client: Any) -> ChangeResult:
    reading = Reading("1.5", ntp_client(**client), server_present=False)
    return result_of_first_read(Expect.model_validate(expected), reading)


def text(*changes: DeviceChange) -> str:
    lines = device_lines(changes)
    return "\n".join("".join(span.text for span in line) for line in lines)


def grouped(*changes: DeviceChange, width: int = 80) -> str:
    lines = group_lines(changes, width)
    return "\n".join("".join(span.text for span in line) for line in lines)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "not reported"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        ("dhcp", "dhcp"),
        ((), "none"),
        (("10.0.0.1", "ntp.example", "2001:db8::1"), "10.0.0.1, ntp.example, 2001:db8::1"),
        (("a, b", "c d", ""), '"a, b", "c d", ""'),
        (('"', "\\"), r'"\"", "\\"'),
        (("naïve.example", "時計"), "naïve.example, 時計"),
        (("[bold]x[/bold]",), '"[bold]x[/bold]"'),
        (("\x1b[31m\u202e",), r'"\u001b[31m\u202e"'),
    ],
)
def test_different_values_never_look_the_same(value: object, text: str) -> None:
    assert format_value(value) == text


def test_each_differing_parameter_is_listed() -> None:
    result = compared(
        {"enabled": True, "static_servers": ["b", "c"]}, enabled=False, static_servers=("a",)
    )
    assert text(made(result)) == (
        "lobby (192.0.2.1): different\n  enabled: false → true\n  static_servers: a → b, c"
    )


def test_devices_that_need_the_same_change_are_below_it() -> None:
    wanted = {"maxpoll": 12}
    ten = [made(compared(wanted, maxpoll=10), f"cam-{number}") for number in range(12)]
    others = [
        made(compared(wanted, maxpoll=9), "gate"),
        made(ChangeResult(ChangeStatus.UNREACHABLE, "late"), "dock-1"),
        made(ChangeResult(ChangeStatus.UNREACHABLE, "late"), "dock\n2"),
        made(ChangeResult(ChangeStatus.UNREACHABLE, "gone"), "dock-3"),
    ]
    shown = grouped(*ten[:6], *others, *ten[6:], width=40)
    assert shown.splitlines() == [
        "12 devices: different",
        "  maxpoll: 10 → 12",
        "    cam-0, cam-1, cam-2, cam-3, cam-4,",
        "    cam-5, cam-6, cam-7, cam-8, cam-9,",
        "    cam-10, cam-11",
        "gate (192.0.2.1): different",
        "  maxpoll: 9 → 12",
        "2 devices: unreachable: late",
        r"    dock-1, dock\n2",
        "dock-3 (192.0.2.1): unreachable: gone",
    ]


def test_a_name_longer_than_the_line_stays_whole() -> None:
    result = ChangeResult(ChangeStatus.SET)
    names = ["a" * 50, "時計" * 20, "b"]
    assert grouped(*(made(result, name) for name in names), width=40).splitlines()[1:] == [
        f"    {'a' * 50},",
        f"    {'時計' * 20},",
        "    b",
    ]


def test_a_device_without_a_name_is_shown_by_its_address() -> None:
    assert (
        text(made(ChangeResult(ChangeStatus.ALREADY_RIGHT), "192.0.2.1"))
        == "192.0.2.1: already right"
    )


def test_the_reason_follows_the_result() -> None:
    assert text(made(ChangeResult(ChangeStatus.UNREACHABLE, "late"))) == (
        "lobby (192.0.2.1): unreachable: late"
    )


def test_differences_read_back_are_shown_with_their_current_values() -> None:
    left = (Difference("maxpoll", 11, 12),)
    back = NtpClientConfiguration(maxpoll=11)
    result = ChangeResult(
        ChangeStatus.READ_BACK_DIFFERENT, "it accepted the change", None, left, back
    )
    assert text(made(result)).endswith(
        "read back different: it accepted the change\n  maxpoll: 11 → 12"
    )


def test_a_partly_applied_change_is_shown_with_its_current_values() -> None:
    result = compared({"minpoll": 4, "maxpoll": 12}, minpoll=6, maxpoll=10)
    left = (Difference("maxpoll", 10, 12),)
    back = NtpClientConfiguration(minpoll=4, maxpoll=10)
    refused = replace(
        result, status=ChangeStatus.REFUSED, reason="no", remaining=left, read_back=back
    )
    assert text(made(refused)) == "lobby (192.0.2.1): refused: no\n  maxpoll: 10 → 12"


def test_a_change_without_active_servers_has_a_warning() -> None:
    emptied = {"enabled": True, "static_servers": []}
    there = {"enabled": False, "servers_source": "static", "static_servers": ("a",)}
    assert text(made(compared(emptied, **there))).endswith(
        "\n  static_servers: a → none\n  warning: no NTP server will be active"
    )


def test_a_name_cannot_forge_a_line_or_color_a_terminal() -> None:
    lines = text(made(ChangeResult(ChangeStatus.SET, "a\r\nb"), "x\n\x1b[2Jfake: set", "192.0.2.1"))
    assert lines == r"x\n\x1b[2Jfake: set (192.0.2.1): set: a\r\nb"


def test_the_summary_counts_the_results() -> None:
    statuses = [
        ChangeStatus.SET,
        ChangeStatus.REFUSED,
        ChangeStatus.SET,
        ChangeStatus.ALREADY_RIGHT,
    ]
    assert summary([made(ChangeResult(each)) for each in statuses]) == (
        "4 devices: 1 already right, 2 set, 1 refused"
    )
    [one] = [made(ChangeResult(ChangeStatus.SET))]
    assert summary([one]) == "1 device: 1 set"


@pytest.mark.parametrize(
    ("statuses", "applying", "text"),
    [
        ([ChangeStatus.SET, ChangeStatus.ALREADY_RIGHT], True, "Every device is as expected."),
        (
            [ChangeStatus.NOTHING_EXPECTED, ChangeStatus.ALREADY_RIGHT],
            False,
            "Every device is as expected.",
        ),
        (
            [ChangeStatus.NOTHING_EXPECTED],
            False,
            "Nothing was compared: no `expect` is configured for these devices.",
        ),
        (
            [ChangeStatus.DIFFERENT, ChangeStatus.NOT_STARTED],
            False,
            "Nothing was changed. Use --apply to change what differs.",
        ),
        ([ChangeStatus.DIFFERENT, ChangeStatus.REFUSED], True, "Nothing was changed."),
        (
            [ChangeStatus.SET, ChangeStatus.NOT_STARTED],
            True,
            "Not finished: run the command again.",
        ),
        ([ChangeStatus.SET, ChangeStatus.UNCERTAIN], True, "Not finished: run the command again."),
        ([ChangeStatus.SET, ChangeStatus.UNREACHABLE], True, "Not every device is as expected."),
    ],
)
def test_the_last_line_says_what_to_do_next(
    statuses: list[ChangeStatus], *, applying: bool, text: str
) -> None:
    assert next_step([made(ChangeResult(each)) for each in statuses], applying=applying) == text


def test_json_contains_everything_about_a_device() -> None:
    result = compared({"static_servers": ["b"], "maxpoll": 12}, static_servers=("a",), maxpoll=10)
    assert json.loads(json.dumps([as_document(made(result))])) == [
        {
            "device": "lobby",
            "address": "192.0.2.1",
            "labels": {"site": "hq"},
            "result": "different",
            "reason": None,
            "error": None,
            "differences": [
                {"parameter": "maxpoll", "now": 10, "wanted": 12},
                {"parameter": "static_servers", "now": ["a"], "wanted": ["b"]},
            ],
            "differences_left": [],
            "warnings": [],
        }
    ]


def test_an_error_has_the_same_reason_in_json_as_in_the_metrics() -> None:
    error = PollTimeout("late")
    document = as_document(made(ChangeResult(ChangeStatus.UNREACHABLE, str(error), error=error)))
    assert document["error"] == {"reason": "timeout", "code": None}
