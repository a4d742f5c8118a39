"""What the script adds to the status pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium.webdriver.common.keys import Keys

from exporter.vapix.errors import PollTimeout
from exporter.web.pages.assets import device_url
from tests.support.programs import wait_until
from tests.web.pages.browser import Browser
from tests.web.pages.conftest import Site
from tests.web.pages.page_queries import active, find, names, until_first, until_shown
from tests.web.pages.site import NOW, device, fleet, polled

pytestmark = pytest.mark.xdist_group("browser")

FAST = "const slow = setInterval; window.setInterval = (f, ms) => slow(f, ms / 40);"


@pytest.fixture
def hasty(browser: Browser) -> Iterator[Browser]:
    """A browser in which the pages' refresh timer runs forty times as fast."""
    added = browser.command("Page.addScriptToEvaluateOnNewDocument", source=FAST)
    yield browser
    browser.command("Page.removeScriptToEvaluateOnNewDocument", **added)


def test_the_filter_works_while_typing_and_updates_the_url(browser: Browser, serve: Site) -> None:
    browser.open(serve(*fleet()))
    find(browser, "#q").send_keys("camera-24")
    until_shown(browser, "1 to 11 of 11 devices, out of 252")
    assert browser.driver.current_url.endswith("/?q=camera-24")
    assert active(browser).get_attribute("id") == "q"
    find(browser, "#q").send_keys(Keys.BACKSPACE * 20)
    until_shown(browser, "252 devices")
    assert browser.driver.current_url.endswith("/")


def test_the_sites_beyond_the_first_twelve_open_and_stay_open(hasty: Browser, serve: Site) -> None:
    hasty.open(serve(*(polled(device(f"c{n}", site=f"s-{n:02}")) for n in range(20))))
    # In scripts: the page is replaced all the time, and an element may be gone once it is found.
    last = "document.querySelector('#more-sites li:last-child a')"
    assert hasty.script("return document.querySelector('#show-sites').innerText") == "and 8 more"
    assert hasty.script(f"return {last}.checkVisibility()") is False
    hasty.script("const b = document.querySelector('#show-sites'); b.focus(); b.click()")
    hasty.script("document.querySelector('#summary').append('until it is replaced')")
    replaced = "return !document.querySelector('#summary').textContent.includes('until it')"
    wait_until(lambda: hasty.script(replaced), "the counts are refreshed", str)
    assert hasty.script("return document.activeElement.id") == "show-sites"
    hasty.script(f"{last}.click()")
    until_shown(hasty, "1 to 1 of 1 device, out of 20")
    assert hasty.script(f"return {last}.getAttribute('aria-current')") == "true"
    assert hasty.script(f"return {last}.checkVisibility()") is True


def test_a_link_followed_while_typing_keeps_the_typed_text(browser: Browser, serve: Site) -> None:
    browser.open(serve(*fleet()))
    # In one script: a user who clicks before the typing delay of the page has passed.
    browser.script(
        "const q = document.getElementById('q'); q.value = 'camera-24';"
        "q.dispatchEvent(new Event('input', {bubbles: true}));"
        "document.getElementById('sort-device').click()"
    )
    until_shown(browser, "1 to 11 of 11 devices, out of 252")
    assert find(browser, "#q").get_attribute("value") == "camera-24"


def test_links_replace_the_list_and_the_back_button_works(browser: Browser, serve: Site) -> None:
    browser.open(serve(*fleet()))
    browser.script("window.same = true")
    find(browser, "#sort-device").click()
    until_first(browser, "camera-0")
    find(browser, "#page-next").click()
    until_shown(browser, "101 to 200")
    assert browser.script("return window.same")
    browser.driver.back()
    until_shown(browser, "1 to 100")
    assert find(browser, "[name=sort]").get_attribute("value") == "device"


def test_a_chosen_filter_stays_while_typing_and_leaves_with_the_back_button(
    browser: Browser, serve: Site
) -> None:
    browser.open(serve(*fleet()))
    find(browser, ".filters a[href='/?label.site=port']").click()
    until_shown(browser, "1 to 100 of 250 devices, out of 252")
    find(browser, "#q").send_keys("camera-24")
    until_shown(browser, "1 to 11 of 11 devices, out of 252")
    assert browser.driver.current_url.endswith("/?q=camera-24&label.site=port")
    browser.driver.back()
    until_shown(browser, "of 252 devices")
    assert find(browser, "#q").get_attribute("value") == ""
    assert browser.script("return document.querySelectorAll('#carried input').length") == 0


def test_a_refresh_keeps_the_focus_on_the_same_of_equal_links(hasty: Browser, serve: Site) -> None:
    devices = fleet(5)
    hasty.open(serve(*devices))
    hasty.script("document.querySelectorAll('.tag a')[3].focus()")
    polled(devices[6], PollTimeout("late"))
    until_first(hasty, "camera-4", "gate")
    focused = "return [...document.querySelectorAll('.tag a')].indexOf(document.activeElement)"
    assert hasty.script(focused) == 3


def test_a_refresh_shows_changes_and_keeps_focus_and_filter(hasty: Browser, serve: Site) -> None:
    devices = fleet()
    hasty.open(serve(*devices) + "/?q=camera-1")
    link = f"[href='{device_url('camera-11')}']"
    # In one script: each refresh replaces the link.
    hasty.script("document.querySelector(arguments[0]).focus()", link)
    polled(devices[2 + 12], PollTimeout("no complete answer"))
    until_first(hasty, "camera-12")
    assert hasty.script("return document.activeElement.textContent") == "camera-11"
    assert find(hasty, "#q").get_attribute("value") == "camera-1"


def test_updates_can_be_paused_and_stay_paused_on_the_next_page(
    hasty: Browser, serve: Site
) -> None:
    devices = fleet(3)
    url = serve(*devices)
    hasty.open(url)
    find(hasty, "#pause").click()
    hasty.open(url)
    assert find(hasty, "#pause").get_attribute("aria-pressed") == "true"
    hasty.script("window.requests = 0; window.fetch = () => { window.requests++; }")
    hasty.driver.set_script_timeout(5)
    hasty.driver.execute_async_script("slow(arguments[0], 1000)")
    assert hasty.script("return window.requests") == 0
    hasty.open(url)
    polled(devices[0])
    find(hasty, "#pause").click()
    until_first(hasty, "new")


def test_a_refresh_enables_the_button_again_and_keeps_the_focus_on_links(
    hasty: Browser, serve: Site
) -> None:
    gate = polled(device("gate"))
    gate.state.next_poll_steady = NOW.steady_seconds + 119
    hasty.open(serve(gate) + "/device/gate")
    assert not find(hasty, "#poll-now").is_enabled()
    hasty.script("document.querySelector('#actions a').focus()")
    gate.state.next_poll_steady = NOW.steady_seconds + 59
    wait_until(
        lambda: bool(hasty.script("return !document.querySelector('#poll-now').disabled")),
        "the button is enabled",
    )
    assert active(hasty).text == "Web page of the camera"


def test_an_unreachable_exporter_is_reported_and_the_last_state_stays(
    browser: Browser, serve: Site
) -> None:
    browser.open(serve(*fleet(3)))
    browser.script("window.fetch = () => Promise.reject(new TypeError('Failed to fetch'))")
    find(browser, "#q").send_keys("x")
    wait_until(
        lambda: "Not up to date" in str(browser.script("return document.body.textContent")),
        "the page warns that it is outdated",
    )
    assert len(names(browser)) == 5
