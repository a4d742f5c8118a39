"""What is told of the devices, to a person and to a program."""

import json
from dataclasses import replace
from typing import Any, cast

import pytest

from exporter.config import Expect
from exporter.configure.apply import DeviceChange
from exporter.configure.outcome import ChangeResult, ChangeStatus, result_of_first_read
from exporter.configure.plan import Difference
from exporter.configure.report import (
    device_lines,
    documents,
    next_step,
    shown,
    summary,
)
from exporter.devices.device import Device, DeviceTarget
from exporter.system.terminal import counted
from exporter.vapix.client import NtpClient
from exporter.vapix.errors import PollTimeout
from exporter.vapix.ntp_configuration import NtpClientConfiguration
from exporter.vapix.ntp_info import Reading
from tests.support.readings import ntp_client

NO_CLIENT = cast("NtpClient", None)


def case(finding: ChangeResult, name: str = "lobby", address: str = "192.0.2.1") -> DeviceChange:
    target = DeviceTarget(name, address, {"site": "hq"}, 60.0, 10.0)
    return DeviceChange(Device(target, NO_CLIENT), finding)


def found(expected: dict[str, Any], **client: Any) -> ChangeResult:
    reading = Reading("1.5", ntp_client(**client), server_present=False)
    return result_of_first_read(Expect.model_validate(expected), reading)


def text(*cases: DeviceChange) -> str:
    lines = device_lines(cases)
    return "\n".join("".join(piece.text for piece in line) for line in lines)


@pytest.mark.parametrize(
    ("value", "told"),
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
def test_a_value_is_told_so_that_no_two_look_alike(value: object, told: str) -> None:
    assert shown(value) == told


def test_a_device_that_differs_is_told_parameter_by_parameter() -> None:
    finding = found(
        {"enabled": True, "static_servers": ["b", "c"]}, enabled=False, static_servers=("a",)
    )
    assert text(case(finding)) == (
        "lobby (192.0.2.1): different\n  enabled: false → true\n  static_servers: a → b, c"
    )


def test_a_device_without_a_name_is_told_by_its_address_once() -> None:
    assert (
        text(case(ChangeResult(ChangeStatus.ALREADY_RIGHT), "192.0.2.1"))
        == "192.0.2.1: already right"
    )


def test_a_reason_stands_behind_the_result() -> None:
    assert text(case(ChangeResult(ChangeStatus.UNREACHABLE, "late"))) == (
        "lobby (192.0.2.1): unreachable: late"
    )


def test_what_is_read_back_different_is_told_as_it_is_now() -> None:
    left = (Difference("maxpoll", 11, 12),)
    back = NtpClientConfiguration(maxpoll=11)
    finding = ChangeResult(
        ChangeStatus.READ_BACK_DIFFERENT, "it accepted the change", None, left, back
    )
    assert text(case(finding)).endswith(
        "read back different: it accepted the change\n  maxpoll: 11 → 12"
    )


def test_what_was_refused_and_done_in_part_is_told_as_it_is_now() -> None:
    finding = found({"minpoll": 4, "maxpoll": 12}, minpoll=6, maxpoll=10)
    left = (Difference("maxpoll", 10, 12),)
    back = NtpClientConfiguration(minpoll=4, maxpoll=10)
    refused = replace(finding, result=ChangeStatus.REFUSED, reason="no", left=left, found=back)
    assert text(case(refused)) == "lobby (192.0.2.1): refused: no\n  maxpoll: 10 → 12"


def test_a_change_that_leaves_no_server_is_warned_of() -> None:
    emptied = {"enabled": True, "static_servers": []}
    there = {"enabled": False, "servers_source": "static", "static_servers": ("a",)}
    assert text(case(found(emptied, **there))).endswith(
        "\n  static_servers: a → none\n  warning: no time server will be in force"
    )


def test_a_name_cannot_forge_a_line_nor_colour_a_terminal() -> None:
    told = text(case(ChangeResult(ChangeStatus.SET, "a\r\nb"), "x\n\x1b[2Jfake: set", "192.0.2.1"))
    assert told == r"x\n\x1b[2Jfake: set (192.0.2.1): set: a\r\nb"


def test_the_summary_counts_the_results() -> None:
    results = [ChangeStatus.SET, ChangeStatus.REFUSED, ChangeStatus.SET, ChangeStatus.ALREADY_RIGHT]
    assert summary([case(ChangeResult(each)) for each in results]) == (
        "4 devices: 1 already right, 2 set, 1 refused"
    )
    assert counted(1) == "1 device"


@pytest.mark.parametrize(
    ("results", "applying", "told"),
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
            "Nothing was compared: the config has no `expect` for any of them.",
        ),
        (
            [ChangeStatus.DIFFERENT, ChangeStatus.NOT_STARTED],
            False,
            "Nothing was changed. --apply changes what is different.",
        ),
        ([ChangeStatus.DIFFERENT, ChangeStatus.REFUSED], True, "Nothing was changed."),
        ([ChangeStatus.SET, ChangeStatus.NOT_STARTED], True, "Not finished: run it again."),
        ([ChangeStatus.SET, ChangeStatus.UNCERTAIN], True, "Not finished: run it again."),
        ([ChangeStatus.SET, ChangeStatus.UNREACHABLE], True, "Not every device is as expected."),
    ],
)
def test_the_last_line_says_what_to_do_next(
    results: list[ChangeStatus], *, applying: bool, told: str
) -> None:
    assert next_step([case(ChangeResult(each)) for each in results], applying=applying) == told


def test_a_program_gets_everything_about_a_device() -> None:
    finding = found({"static_servers": ["b"], "maxpoll": 12}, static_servers=("a",), maxpoll=10)
    assert json.loads(json.dumps(documents([case(finding)]))) == [
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


def test_a_program_gets_the_reason_as_the_metrics_have_it() -> None:
    error = PollTimeout("late")
    [document] = documents([case(ChangeResult(ChangeStatus.UNREACHABLE, str(error), error=error))])
    assert document["error"] == {"reason": "timeout", "code": None}
