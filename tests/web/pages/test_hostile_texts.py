"""No text from a device or a file runs a script or breaks a link."""

from __future__ import annotations

import pytest

from exporter.vapix.errors import Unauthorized
from exporter.web.pages.assets import device_url
from tests.support.programs import wait_until
from tests.support.readings import replace_fields
from tests.web.pages.browser import Browser
from tests.web.pages.conftest import Site
from tests.web.pages.page_queries import find, follow, names, until_heading, until_shown
from tests.web.pages.site import SYNCED, device, polled

pytestmark = pytest.mark.xdist_group("browser")


HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>'


def test_texts_from_devices_and_files_run_no_script(browser: Browser, serve: Site) -> None:
    error = Unauthorized(f"HTTP 401: {HOSTILE}", 401)
    subject = polled(device(HOSTILE, HOSTILE, site=HOSTILE), error)
    client = replace_fields(SYNCED, static_servers=(HOSTILE,), servers_source=HOSTILE)
    other = polled(device("javascript:alert(3)"), client)
    base = serve(subject, other)
    for path in (
        "/",
        "/?q=%3Cscript%3Ealert(4)",
        "/?problem=%22%3E%3Cscript%3Ealert(4)&label.%3Cb%3E=%3Cscript%3Ealert(6)",
        device_url(HOSTILE),
        device_url("javascript:alert(3)"),
    ):
        browser.open(base + path)
        injected = "return document.querySelectorAll('main img, main script, [onerror]').length"
        assert browser.script(injected) == 0
        assert browser.console_messages() == []
    browser.open(base)
    find(browser, "#q").send_keys("<script>alert(2)</script>")
    until_shown(browser, "1 to 1 of 1 device,")
    assert names(browser) == [HOSTILE]
    assert browser.console_messages() == []


def test_the_policy_blocks_an_injected_script(browser: Browser, serve: Site) -> None:
    browser.open(serve(device("lobby")))
    browser.script("document.body.insertAdjacentHTML('beforeend', '<img src=/x onerror=alert(1)>')")
    wait_until(
        lambda: any("Security Policy" in line for line in browser.console_messages()),
        "the violation is reported",
    )


@pytest.mark.parametrize(
    "name", ["a/b", '"x"', "{y}", "%2F", "日本", "..", ".", "two words", "?", "#"]
)
def test_the_link_of_a_device_of_any_name_leads_to_its_page(
    browser: Browser, serve: Site, name: str
) -> None:
    browser.open(serve(device(name)))
    follow(browser, "[data-row]")
    until_heading(browser, name)
