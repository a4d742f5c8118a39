"""The parameters of the fleet page: what they mean, and where links lead."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.pages.fleet_query import SORTS, BadQuery, FleetQuery
from exporter.web.pages.format import LEVELS


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
    )
)
def test_a_link_leads_to_what_it_was_made_of(query: FleetQuery) -> None:
    assert parsed(query.url) == query


def test_what_is_left_out_or_empty_is_the_default() -> None:
    assert parsed("/") == parsed("/?q=&state=&sort=&page=") == FleetQuery()
    assert FleetQuery().url == "/"


def test_what_is_unknown_is_let_be() -> None:
    assert parsed("/?utm_source=mail") == FleetQuery()


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("/?state=broken", "state is none of bad, warning, waiting, good"),
        ("/?sort=colour", "sort is none of state, device, offset, clock, polled, "),
        ("/?sort=--state", "sort is none of "),
        ("/?page=0", "page is 0: the first is 1"),
        ("/?page=-1", "page is no number"),
        ("/?page=two", "page is no number"),
        ("/?page=²", "page is no number"),
        ("/?page=" + "9" * 5000, "page is no number"),
        ("/?q=" + "x" * 201, "q is too long: at most 200 characters"),
    ],
)
def test_what_has_no_meaning_is_told(url: str, problem: str) -> None:
    with pytest.raises(BadQuery) as told:
        parsed(url)
    assert str(told.value).startswith(problem)


def test_a_column_sorts_the_worst_first_and_then_the_other_way() -> None:
    by_offset = FleetQuery(page=3).sorted_by("offset")
    assert (by_offset.direction, by_offset.page) == ("descending", 1)
    assert by_offset.sorted_by("offset").direction == "ascending"
    assert by_offset.sorted_by("offset").sorted_by("offset") == by_offset
    assert FleetQuery().sorted_by("device").direction == "ascending"


@pytest.mark.parametrize("change", [{"state": "bad"}, {"text": "a b"}, {"sort": "clock"}])
def test_a_page_keeps_what_is_asked_for(change: dict[str, Any]) -> None:
    query = FleetQuery(**change).at_page(2)
    assert parsed(query.url) == FleetQuery(**change, page=2)
