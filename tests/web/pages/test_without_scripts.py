"""The status pages in Chromium with scripts disabled."""

from __future__ import annotations

import pytest

from tests.web.pages.browser import Browser
from tests.web.pages.conftest import Site
from tests.web.pages.page_queries import find, names, until_first, until_heading, until_shown
from tests.web.pages.site import fleet, with_history

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture
def plain(browser: Browser) -> Browser:
    browser.allow_scripts(allowed=False)
    return browser


def test_without_scripts_the_form_filters(plain: Browser, serve: Site) -> None:
    plain.open(serve(*fleet()))
    find(plain, "#q").send_keys("camera-24")
    find(plain, "#filter button").click()
    until_shown(plain, "1 to 11 of 11 devices, out of 252")
    find(plain, "#state").send_keys("failing")
    find(plain, "#filter button").click()
    until_shown(plain, "No matching devices.")


def test_without_scripts_links_sort_page_and_filter_by_state(plain: Browser, serve: Site) -> None:
    plain.open(serve(*fleet()))
    until_first(plain, "gate", "new", "camera-0")
    find(plain, "#sort-device").click()
    until_first(plain, "camera-0", "camera-1")
    find(plain, "#page-next").click()
    until_first(plain, "camera-100")
    find(plain, "#tile-bad").click()
    until_first(plain, "gate")
    assert len(names(plain)) == 1
    find(plain, "[data-row]").click()
    until_heading(plain, "gate")


def test_without_scripts_no_control_is_shown_that_needs_them(plain: Browser, serve: Site) -> None:
    plain.open(serve(*fleet()))
    assert not find(plain, "#pause").is_displayed()
    assert find(plain, "#filter button").is_displayed()


def test_without_scripts_the_chart_is_drawn(plain: Browser, serve: Site) -> None:
    plain.open(f"{serve(with_history('dock'))}/device/dock")
    for selector in ("path.measured", "path.band", "circle.reported", "text.limit.critical"):
        assert find(plain, selector).is_displayed()
    assert plain.console_messages() == []
