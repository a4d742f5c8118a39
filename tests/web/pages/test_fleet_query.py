"""The parameters of the fleet page, and the URLs of its links."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.devices.health import LEVELS
from exporter.web.pages.fleet_query import MAX_LABELS, SORTS, BadQuery, FleetQuery


def parsed(url: str) -> FleetQuery:
    return FleetQuery.parse(dict(parse_qsl(urlsplit(url).query, keep_blank_values=True)))


@given(
    st.builds(
        FleetQuery,
        st.text(st.characters(exclude_categories=["Cs"]), max_size=200).map(str.strip),
        st.none() | st.sampled_from(LEVELS),
        st.sampled_from(list(SORTS)),
        st.booleans(),
        st.integers(1, 999_999_999),
        st.text(st.characters(exclude_categories=["Cs"])),
        st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"])),
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
            max_size=MAX_LABELS,
        ).map(lambda labels: tuple(labels.items())),
    )
)
def test_a_url_parses_to_the_query_it_was_made_from(query: FleetQuery) -> None:
    assert parsed(query.url) == query


def test_missing_and_empty_parameters_are_defaults() -> None:
    assert parsed("/") == parsed("/?q=&state=&sort=&page=&problem=&label.site=") == FleetQuery()
    assert FleetQuery().url == "/"


def test_unknown_parameters_are_ignored() -> None:
    assert parsed("/?utm_source=mail") == FleetQuery()


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("/?state=broken", "Invalid `state`; use bad, warning, waiting or good."),
        (
            "/?sort=colour",
            "Invalid `sort`; use state, device, offset, clock, drift, since or polled, "
            "with `-` in front to reverse.",
        ),
        ("/?sort=--state", "Invalid `sort`; use "),
        ("/?page=0", "Invalid `page`; use a number from 1 on."),
        ("/?page=-1", "Invalid `page`; use a number from 1 on."),
        ("/?page=two", "Invalid `page`; use a number from 1 on."),
        ("/?page=²", "Invalid `page`; use a number from 1 on."),
        ("/?page=" + "9" * 5000, "Invalid `page`; use a number from 1 on."),
        ("/?" + "&".join(f"label.{n}=x" for n in range(11)), "Too many labels; use at most 10."),
        ("/?q=" + "x" * 201, "`q` is too long; use at most 200 characters."),
    ],
)
def test_invalid_parameters_are_reported(url: str, problem: str) -> None:
    with pytest.raises(BadQuery) as raised:
        parsed(url)
    assert str(raised.value).startswith(problem)


def test_a_column_sorts_the_worst_first_and_is_reversed_the_second_time() -> None:
    by_offset = FleetQuery(page=3).sorted_by("offset")
    assert (by_offset.direction, by_offset.page) == ("descending", 1)
    assert by_offset.sorted_by("offset").direction == "ascending"
    assert by_offset.sorted_by("offset").sorted_by("offset") == by_offset
    assert FleetQuery().sorted_by("device").direction == "ascending"


def test_a_label_replaces_another_value_of_it_and_shows_the_first_page() -> None:
    query = FleetQuery(page=3).of_label("site", "hq").of_label("floor", "2").of_label("site", "a b")
    assert query.url == "/?label.floor=2&label.site=a+b"
    assert query.of_label("floor", "").url == "/?label.site=a+b"


def test_the_form_keeps_what_it_does_not_show() -> None:
    query = FleetQuery("x", "bad", problem="timeout", labels=(("site", "hq"),), sort="device")
    assert query.carried == [("problem", "timeout"), ("label.site", "hq"), ("sort", "device")]


@pytest.mark.parametrize(
    "change",
    [
        {"state": "bad"},
        {"text": "a b"},
        {"sort": "clock"},
        {"problem": "timeout"},
        {"labels": (("site", "hq"),)},
    ],
)
def test_another_page_keeps_the_other_parameters(change: dict[str, Any]) -> None:
    query = FleetQuery(**change).at_page(2)
    assert parsed(query.url) == FleetQuery(**change, page=2)
