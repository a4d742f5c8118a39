from typing import Any

import pytest

from exporter.simulator.ntp_client import OLD_FIRMWARE
from exporter.simulator.parameters import PARAMETERS
from tests.simulator.conftest import Bench, BenchMaker
from tests.simulator.test_api import error

GOOD: dict[str, Any] = {
    "enabled": False,
    "NTSEnabled": True,
    "serversSource": "DHCP",
    "staticServers": ["192.168.0.91", "13.8.343.12"],
    "staticNTSKEServers": ["ntske.example.com"],
    "NTSKEServerCACerts": ["site-ca"],
    "minpoll": 4,
    "maxpoll": 12,
}


def test_the_settings_can_be_read_back(bench: Bench) -> None:
    answer = bench.ask("setNTPClientConfiguration", params=GOOD, context="abc")
    assert answer == {
        "apiVersion": "1.5",
        "context": "abc",
        "method": "setNTPClientConfiguration",
        "data": {},
    }
    client = bench.client()
    assert {name: client[name] for name in GOOD} == GOOD


@pytest.mark.parametrize("name", GOOD)
def test_one_parameter_can_be_set_alone(bench: Bench, name: str) -> None:
    before = bench.client()
    assert bench.set(**{name: GOOD[name]})["data"] == {}
    changed = {key for key, value in bench.client().items() if value != before[key]}
    assert changed - {"timeToNextSync", "timeOffset"} == {name}


@pytest.mark.parametrize("name", ["staticServers", "staticNTSKEServers", "NTSKEServerCACerts"])
@pytest.mark.parametrize("nothing", [[], [""]])
def test_a_list_is_cleared_by_no_entry_or_an_empty_one(
    bench: Bench, name: str, nothing: list[str]
) -> None:
    bench.set(**{name: ["a", "b"]})
    assert bench.set(**{name: nothing})["data"] == {}
    assert bench.client()[name] == []


SIX = [f"ntp{number}.example.com" for number in range(6)]


@pytest.mark.parametrize(
    ("name", "bad", "sub_code"),
    [
        *[("enabled", bad, 1) for bad in ("true", 1, None)],
        *[("serversSource", bad, 2) for bad in ("dhcp", "Static", "", None, 1)],
        *[("staticServers", bad, 3) for bad in ("a", None, [1], ["a", ""], ["a b"], SIX)],
        *[("NTSEnabled", bad, 5) for bad in ("false", 0, None)],
        *[("staticNTSKEServers", bad, 6) for bad in ("a", None, [1], ["a", ""], SIX)],
        *[("minpoll", bad, 7) for bad in (-1, 25, 6.0, "6", True, 11)],
        *[("maxpoll", bad, 8) for bad in (-1, 25, 6.0, "6", True, 5)],
        *[("NTSKEServerCACerts", bad, 9) for bad in ("a", None, [1], ["a", ""])],
    ],
)
def test_a_bad_parameter_returns_its_sub_code(
    bench: Bench, name: str, bad: Any, sub_code: int
) -> None:
    answer = bench.set(**{name: bad})
    assert answer["error"] == {
        "code": 4004,
        "message": "Invalid parameter(s)",
        "details": {"subCode": sub_code},
    }


def test_every_parameter_has_its_own_sub_code() -> None:
    assert sorted(row.sub_code for row in PARAMETERS.values()) == [1, 2, 3, 5, 6, 7, 8, 9]


def test_a_rejected_change_changes_nothing(bench: Bench) -> None:
    before = bench.client()
    bench.set(**{**GOOD, "maxpoll": 99})
    assert bench.client() == before


def test_minpoll_may_equal_maxpoll_but_not_exceed_it(bench: Bench) -> None:
    assert "data" in bench.set(minpoll=8, maxpoll=8)
    assert error(bench.set(minpoll=9, maxpoll=8)) == (4004, 7)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, (4003, None)),
        ({"params": {}}, (4003, None)),
        ({"params": []}, (4004, None)),
        ({"params": {"colour": "blue"}}, (4004, None)),
    ],
)
def test_missing_or_unusable_parameters_are_an_error(
    bench: Bench, more: dict[str, Any], expected: tuple[int, int | None]
) -> None:
    assert error(bench.ask("setNTPClientConfiguration", **more)) == expected


def test_parameters_can_be_required(bench: Bench) -> None:
    bench.device.api.required_parameters = frozenset({"enabled", "serversSource"})
    assert error(bench.set(enabled=True)) == (4003, None)
    assert "data" in bench.set(enabled=True, serversSource="static")


def test_old_firmware_rejects_parameters_that_it_lacks(make_bench: BenchMaker) -> None:
    bench = make_bench(firmware=OLD_FIRMWARE)
    assert error(bench.set(NTSEnabled=True)) == (4004, None)
    assert "data" in bench.set(enabled=True)
