"""The status pages by keyboard and for a screen reader."""

from __future__ import annotations

from itertools import pairwise

import pytest
from selenium.webdriver.common.keys import Keys

from tests.web.pages.browser import Browser
from tests.web.pages.conftest import Site
from tests.web.pages.page_queries import active, find, of_role
from tests.web.pages.site import fleet, with_history

pytestmark = pytest.mark.xdist_group("browser")


@pytest.mark.parametrize("path", ["/", "/device/gate"])
def test_the_tab_key_reaches_every_control_in_order_with_visible_focus(
    browser: Browser, serve: Site, path: str
) -> None:
    browser.open(serve(*fleet(3)) + path)
    wanted = browser.script(
        "return [...document.querySelectorAll('a, button, input, select')]"
        ".filter(e => e.checkVisibility() && e.type !== 'hidden').map(e => e.outerHTML)"
    )
    reached = []
    for _ in wanted:
        active(browser).send_keys(Keys.TAB)
        focused = active(browser)
        reached.append(focused.get_attribute("outerHTML"))
        assert focused.value_of_css_property("outline-style") != "none"
        assert focused.size["height"] > 1
    assert reached == wanted


def test_the_skip_link_leads_to_the_content(browser: Browser, serve: Site) -> None:
    browser.open(serve(*fleet(3)))
    find(browser, "body").send_keys(Keys.TAB, Keys.ENTER)
    assert active(browser).tag_name == "main"


def test_a_screen_reader_gets_landmarks_headings_and_names(
    browser: Browser, pages: list[str]
) -> None:
    for url in pages:
        browser.open(url)
        assert len(of_role(browser, "main")) == 1
        assert len(of_role(browser, "banner")) == 1
        assert len(of_role(browser, "contentinfo")) == 1
        roles = (
            "link",
            "button",
            "searchbox",
            "combobox",
            "table",
            "navigation",
            "image",
            "region",
        )
        nameless = [n for n in of_role(browser, *roles) if not n["name"]["value"].strip()]
        assert nameless == []
        levels = browser.script(
            "return [...document.querySelectorAll('h1, h2, h3')].map(h => Number(h.tagName[1]))"
        )
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
        assert browser.script("return document.documentElement.lang") == "en"


def test_tables_have_headers_captions_and_their_sort_order(
    browser: Browser, pages: list[str], serve: Site
) -> None:
    browser.open(serve(*fleet(3)) + "/?sort=-offset")
    sorted_by = browser.script(
        "return [...document.querySelectorAll('[aria-sort]')]"
        ".map(th => [th.innerText.trim(), th.getAttribute('aria-sort')])"
    )
    assert [[name.split()[0], how] for name, how in sorted_by] == [["Reported", "ascending"]]
    for url in pages:
        browser.open(url)
        without = "return document.querySelectorAll('th:not([scope])').length"
        assert browser.script(without) == 0
        bare = "return [...document.querySelectorAll('table')].filter(t => !t.caption).length"
        assert browser.script(bare) == 0


def test_the_chart_has_a_title_and_a_description(browser: Browser, pages: list[str]) -> None:
    browser.open(pages[1])
    [chart] = of_role(browser, "image")
    assert chart["name"]["value"].startswith("Duration of each poll")
    assert "4 polls from" in str(chart)
    assert "4 of them failed" in str(chart)


def test_the_chart_of_a_clock_tells_its_offsets_in_text(browser: Browser, serve: Site) -> None:
    browser.open(f"{serve(with_history('dock'))}/device/dock")
    [chart] = of_role(browser, "image")
    assert chart["name"]["value"] == "Offset of the device's clock against the exporter host"
    for words in (
        "was between -2.400 s and +10.000 ms",
        "1 of them showed a step",
        "8 of them fai",
    ):
        assert words in str(chart)
    columns = [node["name"]["value"] for node in of_role(browser, "columnheader")]
    assert columns[:4] == ["Ended", "Result, duration", "Measured offset", "Reported offset"]


def test_ids_are_unique(browser: Browser, pages: list[str]) -> None:
    for url in pages:
        browser.open(url)
        ids = browser.script("return [...document.querySelectorAll('[id]')].map(e => e.id)")
        assert len(ids) == len(set(ids))
