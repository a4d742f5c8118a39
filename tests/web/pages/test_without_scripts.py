"""The status pages in Chromium with scripts disabled."""

from __future__ import annotations

import pytest

from exporter.devices.device import Device
from exporter.vapix.errors import Unauthorized
from tests.web.pages.browser import Browser
from tests.web.pages.conftest import Site
from tests.web.pages.page_queries import (
    find,
    follow,
    names,
    until_first,
    until_heading,
    until_shown,
)
from tests.web.pages.site import NOW, device, fleet, polled, with_history

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture
def plain(browser: Browser) -> Browser:
    browser.allow_scripts(allowed=False)
    return browser


def test_without_scripts_the_form_filters(plain: Browser, serve: Site) -> None:
    plain.open(serve(*fleet()))
    find(plain, "#q").send_keys("camera-24")
    follow(plain, "#filter button")
    until_shown(plain, "1 to 11 of 11 devices, out of 252")
    find(plain, "#state").send_keys("failing")
    follow(plain, "#filter button")
    until_shown(plain, "No matching devices.")


def test_without_scripts_links_sort_page_and_filter_by_state(plain: Browser, serve: Site) -> None:
    plain.open(serve(*fleet()))
    until_first(plain, "gate", "new", "camera-0")
    follow(plain, "#sort-device")
    until_first(plain, "camera-0", "camera-1")
    follow(plain, "#page-next")
    until_first(plain, "camera-100")
    follow(plain, "#tile-bad")
    until_first(plain, "gate")
    assert len(names(plain)) == 1
    follow(plain, "[data-row]")
    until_heading(plain, "gate")


def test_without_scripts_problems_sites_and_labels_filter(plain: Browser, serve: Site) -> None:
    plain.open(serve(*fleet()))
    follow(plain, "a[href='/?problem=unauthorized+401']")
    until_shown(plain, "1 to 1 of 1 device, out of 252")
    follow(plain, ".chosen a")
    until_shown(plain, "of 252 devices")
    follow(plain, ".filters a[href='/?label.site=hq']")
    until_shown(plain, "1 to 1 of 1 device, out of 252")
    find(plain, "#q").send_keys("camera")
    follow(plain, "#filter button")
    until_shown(plain, "No matching devices.")
    assert plain.driver.current_url.endswith("&label.site=hq")
    follow(plain, ".chosen a")
    until_shown(plain, "of 250 devices, out of 252")
    follow(plain, ".tag a")
    until_shown(plain, "of 250 devices, out of 252")
    assert plain.driver.current_url.endswith("/?q=camera&label.site=port")


def test_without_scripts_no_control_is_shown_that_needs_them(plain: Browser, serve: Site) -> None:
    plain.open(serve(*fleet()))
    assert not find(plain, "#pause").is_displayed()
    assert find(plain, "#filter button").is_displayed()


class PollingOnce:
    """Answers a poll at once, which takes the turn of the next minute."""

    async def poll_now(self, subject: Device) -> None:
        polled(subject)
        subject.state.next_poll_steady = NOW.steady_seconds + 110


def test_without_scripts_the_button_polls_a_device_once_a_turn(plain: Browser, serve: Site) -> None:
    gate = polled(device("gate/1"), Unauthorized("no", 401))
    plain.open(serve(gate, poller=PollingOnce()) + "/device/gate%2F1")
    follow(plain, "#poll-now")
    assert plain.driver.current_url.endswith("/device/gate%2F1")
    assert find(plain, "#state").text.endswith("synchronized")
    assert gate.state.polls == 2
    assert not find(plain, "#poll-now").is_enabled()
    assert "Possible again in 49" in find(plain, "#actions").text
    assert plain.console_messages() == []


def test_without_scripts_the_chart_is_drawn(plain: Browser, serve: Site) -> None:
    plain.open(f"{serve(with_history('dock'))}/device/dock")
    for selector in ("path.measured", "path.band", "path.reported", "text.limit.critical"):
        assert find(plain, selector).is_displayed()
    assert plain.console_messages() == []
