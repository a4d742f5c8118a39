"""`check` of several devices: a table in columns, its order, and what fits into them. Pure."""

import csv
import io
from dataclasses import replace
from typing import Any

import pytest

from exporter.check.csv_rows import CheckCsv
from exporter.check.examine import DeviceCheck
from exporter.check.report import summary
from exporter.check.table import COLUMNS, Layout, Sort, in_order, table_lines
from exporter.clock.offset import Offset
from exporter.system.text import cell_width, cut, cut_middle
from exporter.vapix import errors
from exporter.vapix.ntp_info import Reading
from tests.check.test_report import CLIENT, make_check, reading
from tests.support.readings import replace_fields

DATE_ONLY = Offset(-0.262835, 0.499711, is_date_only=True)
OFF = replace_fields(CLIENT, enabled=False)
HOSTILE = [
    "\x1b[2J\n",
    "x" * 300,
    "時計" * 50,
    "e\u0301" * 40,
    "\u202egnp.exe",
    "",
    "=cmd|' /C calc'!A0",
]


def some_checks() -> list[DeviceCheck]:
    return [
        make_check(reading(CLIENT), name="cam-2", offset=Offset(0.002, 0.001)),
        make_check(reading(OFF), name="cam-10", offset=DATE_ONLY),
        make_check(reading(CLIENT), name="cam-9", offset=Offset(-3.0, 0.001)),
        make_check(errors.PollTimeout("timed out after 2 s"), name="cam-11"),
        make_check(None, name="cam-12"),
    ]


def lines(checks: list[DeviceCheck], width: int) -> list[str]:
    layout = Layout.of(checks, width)
    return ["".join(span.text for span in line) for line in table_lines(checks, layout)]


def test_each_device_has_a_line_with_the_worst_first() -> None:
    assert lines(in_order(some_checks(), "problem"), 120) == [
        "DEVICE  ADDRESS    STATE    REPORTED     MEASURED                    PROBLEM",
        "cam-9   192.0.2.9  bad        +2.000 ms  -3.000 s ± 1.000 ms         its clock is 3.0 s"
        " behind",
        "cam-11  192.0.2.9  bad                                               timeout: timed out"
        " after 2 s",
        "cam-10  192.0.2.9  warning    +2.000 ms  within ±0.8 s (Date only)   NTP client disabled",
        "cam-12  192.0.2.9  not checked",
        "cam-2   192.0.2.9  fine       +2.000 ms  +2.000 ms ± 1.000 ms",
    ]


def test_a_message_does_not_repeat_the_number_of_the_status() -> None:
    check = make_check(errors.Unauthorized("HTTP 401: the device refused the password", 401))
    assert lines([check], 120)[1].endswith("unauthorized 401: the device refused the password")


def test_a_narrow_table_has_short_numbers_and_problems() -> None:
    assert lines(in_order(some_checks(), "problem"), 80) == [
        "DEVICE ADDRESS   STATE   REPORTED  MEASURED        PROBLEM",
        "cam-9  192.0.2.9 bad       +2.0 ms -3.00 ±0.01 s   its clock is 3.0 s behind",
        "cam-11 192.0.2.9 bad                               timeout",
        "cam-10 192.0.2.9 warning   +2.0 ms within ±0.8 s   NTP client disabled",
        "cam-12 192.0.2.9 not checked",
        "cam-2  192.0.2.9 fine      +2.0 ms +2.0 ±1.0 ms",
    ]


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("problem", ["cam-9", "cam-11", "cam-10", "cam-12", "cam-2"]),
        ("name", ["cam-2", "cam-9", "cam-10", "cam-11", "cam-12"]),
        ("offset", ["cam-9", "cam-10", "cam-2", "cam-11", "cam-12"]),
    ],
)
def test_devices_are_in_the_order_that_was_asked_for(sort: Sort, names: list[str]) -> None:
    assert [check.device.target.name for check in in_order(some_checks(), sort)] == names


def found_devices(results: list[Reading | errors.DeviceError | None]) -> list[DeviceCheck]:
    """Devices as `find` names them."""
    made = [make_check(each, name=f"axis-b8a44f29f89{n}") for n, each in enumerate(results)]
    for number, check in enumerate(made):
        check.device.target = replace(check.device.target, address=f"192.168.100.10{number}")
    return made


def test_names_are_cut_in_the_middle_as_their_ends_differ() -> None:
    rows = lines(found_devices([None, None]), 80)
    assert [row.split()[:2] for row in rows[1:]] == [
        ["axis-b8…29f890", "192.168…00.100"],
        ["axis-b8…29f891", "192.168…00.101"],
    ]


def test_names_have_the_room_that_known_offsets_do_not_need() -> None:
    made = found_devices([errors.FactoryNew("HTTP 401: x", 401), reading(CLIENT)])
    made[1].offset = Offset(-0.0049, 0.0017)
    assert lines(made, 80) == [
        "DEVICE            ADDRESS         STATE   REPORTED MEASURED     PROBLEM",
        "axis-b8a44f29f890 192.168.100.100 bad                           factory-new dev…",
        "axis-b8a44f29f891 192.168.100.101 fine     +2.0 ms -4.9 ±1.8 ms",
    ]


@pytest.mark.parametrize("width", [72, 80, 100, 120, 160, 200])
def test_no_line_is_wider_than_the_terminal_whatever_devices_say(width: int) -> None:
    checks = [
        make_check(errors.UnexpectedStatus(f"HTTP 503 {text}", 503), name=text or "empty")
        for text in HOSTILE
    ]
    checks += [make_check(reading(CLIENT), offset=Offset(-1e9 * n, 100.0 * n)) for n in range(4)]
    found = [
        *lines(checks, width),
        *("".join(s.text for s in each) for each in summary(checks, width)),
    ]
    assert {cell_width(line) for line in found} <= set(range(width + 1))
    assert all(line.isprintable() for line in found)
    assert len(found) >= 1 + len(checks)
    problem_begins = found[0].index("PROBLEM")
    assert width - problem_begins >= 16, "some of each problem is seen"


def test_columns_stay_in_line_with_wide_letters() -> None:
    checks = [make_check(reading(OFF), name=name) for name in ("時計", "gate", "e\u0301a")]
    rows = lines(checks, 120)
    begins = {cell_width(row[: row.index("NTP client")]) for row in rows[1:]}
    assert begins == {rows[0].index("PROBLEM")}


@pytest.mark.parametrize(
    ("text", "width", "short"),
    [
        ("gate", 4, "gate"),
        ("gate", 3, "ga…"),
        ("時計x", 4, "時…"),
        ("gate", 1, "…"),
        ("gate", 0, ""),
    ],
)
def test_a_text_is_cut_to_columns(text: str, width: int, short: str) -> None:
    assert cut(text, width) == short


@pytest.mark.parametrize(
    ("text", "width", "short"),
    [
        ("axis-b8a44f29f89d", 17, "axis-b8a44f29f89d"),
        ("axis-b8a44f29f89d", 13, "axis-b…29f89d"),
        ("axis-b8a44f29f89d", 12, "axis-b…9f89d"),
        ("時計時計時計", 7, "時計…計"),
        ("gate", 2, "g…"),
        ("gate", 1, "…"),
        ("gate", 0, ""),
    ],
)
def test_a_name_is_cut_to_columns(text: str, width: int, short: str) -> None:
    assert cut_middle(text, width) == short


def test_the_summary_names_a_few_devices_of_each_problem() -> None:
    checks = [make_check(reading(OFF), name=f"cam-{number}") for number in range(12)]

    def second(width: int) -> str:
        return "".join(span.text for span in list(summary(checks, width))[1])

    begin = "     12 NTP client disabled: "
    assert second(120) == f"{begin}cam-0, cam-1, cam-2, cam-3, cam-4 and 7 more"
    assert second(50) == f"{begin}cam-0 and 11 more"


def written(checks: list[DeviceCheck], rounds: int = 1) -> list[dict[str, str]]:
    stream = io.StringIO()
    table = CheckCsv(stream, checks)
    for _ in range(rounds):
        table.write(checks)
    return list(csv.DictReader(io.StringIO(stream.getvalue())))


def test_csv_has_a_header_and_a_row_a_device_with_numbers_in_base_units() -> None:
    rows = written(some_checks(), rounds=2)
    assert len(rows) == 10, "one header for all rounds of --watch"
    shown: Any = rows[2]
    assert (shown["device"], shown["address"], shown["state"]) == ("cam-9", "192.0.2.9", "bad")
    assert float(shown["measured_offset_seconds"]) == -3.0
    assert float(shown["measured_offset_uncertainty_seconds"]) == 0.001
    assert float(shown["reported_offset_seconds"]) == 0.002
    assert shown["problem"] == "its clock is 3.0 s behind"
    assert (rows[3]["reason"], rows[3]["message"]) == ("timeout", "timed out after 2 s")
    assert {name.lower() for name in COLUMNS} - set(shown) == {"reported", "measured"}


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1", "'  =1"),
        ("\t=1", r"\t=1"),
        ("＝1", "'＝1"),  # noqa: RUF001 - a wide sign
        ('a,"b"\n', r'a,"b"\n'),
        ("cam-1", "cam-1"),
    ],
)
def test_no_text_in_csv_is_a_formula(text: str, cell: str) -> None:
    [row] = written([make_check(errors.UnexpectedStatus(text, 503), name=text)])
    assert (row["device"], row["message"]) == (cell, cell)
    assert row["code"] == "503"


def test_labels_are_columns_of_the_csv() -> None:
    made = make_check(reading(CLIENT))
    object.__setattr__(made.device.target, "labels", {"site": "=hq"})
    [row] = written([made])
    assert row["label_site"] == "'=hq"
