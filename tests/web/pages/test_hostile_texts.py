"""Whatever a device or a file says runs nothing and breaks no link."""

from __future__ import annotations

import pytest

from exporter.vapix.errors import Unauthorized
from exporter.web.pages.assets import device_url
from tests.support.programs import wait_until
from tests.web.pages.browser import Browser
from tests.web.pages.conftest import Site
from tests.web.pages.page_queries import find, names, until_heading, until_shown
from tests.web.pages.site import SYNCED, device, polled

pytestmark = pytest.mark.xdist_group("browser")


HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>'


def test_what_devices_and_files_say_runs_nothing(browser: Browser, serve: Site) -> None:
    said = Unauthorized(f"HTTP 401: {HOSTILE}", 401)
    subject = polled(device(HOSTILE, HOSTILE, site=HOSTILE), said)
    client = SYNCED._replace(static_servers=(HOSTILE,), servers_source=HOSTILE)
    other = polled(device("javascript:alert(3)"), client)
    base = serve(subject, other)
    for path in (
        "/",
        "/?q=%3Cscript%3Ealert(4)",
        device_url(HOSTILE),
        device_url("javascript:alert(3)"),
    ):
        browser.open(base + path)
        strange = "return document.querySelectorAll('main img, main script, [onerror]').length"
        assert browser.script(strange) == 0
        assert browser.complaints() == []
    browser.open(base)
    find(browser, "#q").send_keys("<script>alert(2)</script>")
    until_shown(browser, "1 to 1 of 1 device,")
    assert names(browser) == [HOSTILE]
    assert browser.complaints() == []


def test_the_policy_stops_a_script_that_got_into_the_page(browser: Browser, serve: Site) -> None:
    browser.open(serve(device("lobby")))
    browser.script("document.body.insertAdjacentHTML('beforeend', '<img src=/x onerror=alert(1)>')")
    wait_until(
        lambda: any("Security Policy" in line for line in browser.complaints()), "it is told"
    )


@pytest.mark.parametrize(
    "name", ["a/b", '"x"', "{y}", "%2F", "日本", "..", ".", "two words", "?", "#"]
)
def test_a_link_leads_to_the_device_whatever_its_name(
    browser: Browser, serve: Site, name: str
) -> None:
    browser.open(serve(device(name)))
    find(browser, "[data-row]").click()
    until_heading(browser, name)
