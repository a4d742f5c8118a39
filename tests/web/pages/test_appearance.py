"""Light and dark, wide and narrow."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path
from typing import Literal

import pytest

from exporter.clock.offset import SECOND_NS, Offset
from exporter.devices.device import Device
from exporter.devices.history import PollRecord
from exporter.vapix.errors import ApiError, InvalidResponse, Unauthorized
from exporter.web.pages.assets import device_url
from tests.support.readings import replace_fields
from tests.support.simulated_time import see_nonce
from tests.web.pages.browser import Browser
from tests.web.pages.conftest import Site
from tests.web.pages.page_queries import find, of_role
from tests.web.pages.site import NOW, SYNCED, device, fleet, polled, with_history

pytestmark = pytest.mark.xdist_group("browser")


WORDS_ON_TWO_LINES = """
const range = document.createRange(), cut = [];
for (const cell of document.querySelectorAll(arguments[0])) {
  const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) for (const word of texts.currentNode.data.matchAll(/\\S+/g)) {
    range.setStart(texts.currentNode, word.index);
    range.setEnd(texts.currentNode, word.index + word[0].length);
    const inside = range.getBoundingClientRect().right <= cell.getBoundingClientRect().right;
    if (range.getClientRects().length > 1 || !inside) cut.push(word[0]);
  }
}
return cut;
"""
"""Returns the words that are broken, or do not fit into their cell."""

CONTRASTS = Path(__file__).with_name("contrasts.js").read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast_in_light_and_dark(
    browser: Browser, pages: list[str], scheme: Literal["light", "dark"]
) -> None:
    browser.prefer(scheme)
    for url in pages:
        browser.open(url)
        found = browser.script(CONTRASTS)
        assert len(found) > 3
        assert [text for ratio, text in found if ratio < 4.5] == []


def test_light_and_dark_differ(browser: Browser, serve: Site) -> None:
    url, seen = serve(device("lobby")), set()
    for scheme in ("light", "dark"):
        browser.prefer(scheme)
        browser.open(url)
        seen.add(find(browser, "body").value_of_css_property("background-color"))
    assert len(seen) == 2


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_page_scrolls_horizontally_at_any_width(
    browser: Browser, pages: list[str], serve: Site, width: int
) -> None:
    long = polled(device("x" * 300, site="y" * 300), Unauthorized("z" * 200, 401))
    browser.size(width, 800)
    dock = serve(with_history("dock")) + "/device/dock"
    for url in [*pages, serve(long), serve(long) + device_url("x" * 300), dock]:
        browser.open(url)
        assert browser.script("return document.documentElement.scrollWidth") <= width


def test_forty_devices_are_visible_on_a_wide_screen(browser: Browser, serve: Site) -> None:
    browser.size(1600, 1000)
    browser.open(serve(*fleet(48)))
    visible = browser.script(
        "return [...document.querySelectorAll('.fleet tbody tr')]"
        ".filter(row => row.getBoundingClientRect().bottom <= innerHeight).length"
    )
    assert visible >= 40


HIDDEN_CELLS = """
const list = document.querySelector(".scroll").getBoundingClientRect();
return [...document.querySelectorAll(".fleet tr > *")].filter(cell =>
  cell.getBoundingClientRect().right > list.right + 1 ||
  cell.matches(".number") && cell.scrollWidth > cell.clientWidth + 1
).map(cell => cell.textContent.trim());
"""
"""Returns the cells beyond the list's right edge, and numbers that are cut."""


@pytest.mark.parametrize("width", [1280, 1366, 1440, 1590, 1600, 1800])
def test_no_column_is_hidden_on_a_notebook(browser: Browser, serve: Site, width: int) -> None:
    far = replace_fields(SYNCED, offset_seconds=-0.2, advertised_servers=("pool.ntp.example",))
    long = polled(device("west-building-parking-" * 5, "198.51.100.217:8443", site="s" * 60), far)
    for each in (long, other := polled(device("camera-0123", site="hq", floor="2"))):
        drift(each)
    browser.size(width, 800)
    browser.open(serve(long, other, *fleet(20)))
    assert "ppm" in find(browser, ".fleet").text
    assert browser.script(HIDDEN_CELLS) == []


def drift(subject: Device) -> None:
    """Have the device measured for an hour; its clock is behind and drifts."""
    for minute in range(60):
        at_ns = NOW.steady_ns - (60 - minute) * 60 * SECOND_NS
        theta_ns = NOW.unix_minus_steady_ns - 312_345_678 - minute * 60 * 18_000
        sample = see_nonce(at_ns + theta_ns, at_ns - 1_000_000, at_ns + 1_000_000)
        subject.state.clock.take_poll([sample], 0)


def test_a_row_has_one_line_however_long_its_texts_are(browser: Browser, serve: Site) -> None:
    long = polled(device("x y " * 60, site="y z " * 60), Unauthorized("z " * 100, 401))
    browser.size(1600, 1000)
    browser.open(serve(long, polled(device("short"))))
    heights = browser.script(
        "return [...document.querySelectorAll('.fleet tbody tr')].map(row => row.offsetHeight)"
    )
    assert max(heights) < 24


def test_a_narrow_page_stays_a_table_for_screen_readers(browser: Browser, serve: Site) -> None:
    browser.size(320, 800)
    browser.open(serve(*fleet(3)))
    assert len(of_role(browser, "table")) == 1
    assert len(of_role(browser, "rowheader")) == 5
    assert find(browser, "#sort-clock").is_displayed()


@pytest.mark.parametrize("width", [320, 390])
def test_no_word_of_a_result_is_cut_on_a_phone(browser: Browser, serve: Site, width: int) -> None:
    devices = fleet(3)
    for error in (Unauthorized("no", 401), InvalidResponse("no"), ApiError("no", 1000)):
        polled(devices[2], error)
    polled(devices[2])
    browser.size(width, 800)
    browser.open(serve(*devices) + device_url("camera-0"))
    assert browser.script(WORDS_ON_TWO_LINES, ".polls .state") == []
    assert browser.script("return document.documentElement.scrollWidth") <= width


LABELS = """
const shown = [...document.querySelectorAll(arguments[0])].filter(e => e.checkVisibility());
return shown.map(e => [e.textContent, ...["left", "right", "top", "bottom"]
  .map(side => Math.round(e.getBoundingClientRect()[side]))]);
"""


@pytest.mark.parametrize("width", [390, 1600])
def test_the_charts_labels_are_legible_and_do_not_overlap(
    browser: Browser, serve: Site, width: int
) -> None:
    browser.size(width, 1000)
    browser.open(f"{serve(with_history('dock'))}/device/dock")
    for selector in (".times text", ".labels text", "text.limit"):
        labels = browser.script(LABELS, selector)
        assert len(labels) >= 3
        assert all(bottom - top > 9 for _, _, _, top, bottom in labels)
        assert all(0 <= left < right <= width for _, left, right, _, _ in labels)
        for one, other in combinations(labels, 2):
            apart = (
                one[2] < other[1] or other[2] < one[1] or one[4] <= other[3] or other[4] <= one[3]
            )
            assert apart, (one, other)


BESIDE = """
const [left, right] = ["left", "right"].map(
  side => document.querySelector("svg.times").getBoundingClientRect()[side]);
return [...document.querySelectorAll(".times text")].filter(e => e.checkVisibility())
  .map(e => [e.textContent, e.getBoundingClientRect()])
  .filter(([_, box]) => box.left < left - 1 || box.right > right + 1).map(([text]) => text);
"""
"""Returns the times that reach beyond their axis."""


@pytest.mark.parametrize("width", [390, 1600])
@pytest.mark.parametrize("seconds", [0, 5, 12, 20, 27])
def test_no_time_reaches_beyond_its_axis(
    browser: Browser, serve: Site, width: int, seconds: int
) -> None:
    dock = polled(device("dock"))
    for ended in (seconds, seconds + 10):
        record = PollRecord(0.05, None, Offset(0.01, 0.001), None, stepped=False)
        dock.state.history.add(NOW.steady_seconds + ended, record)
    browser.size(width, 1000)
    browser.open(f"{serve(dock)}/device/dock")
    assert len(browser.script(LABELS, ".times text")) >= 2
    assert browser.script(BESIDE) == []


FILLS = """
const fill = selector => getComputedStyle(document.querySelector(selector)).fill;
return [["text.limit.warning", ".beyond.warning"], ["text.limit.critical", ".beyond.critical"]]
  .map(pair => pair.map(fill));
"""


def luminance(color: str) -> float:
    channels = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_charts_thresholds_have_enough_contrast(
    browser: Browser, serve: Site, scheme: Literal["light", "dark"]
) -> None:
    browser.prefer(scheme)
    browser.open(f"{serve(with_history('dock'))}/device/dock")
    for pair in browser.script(FILLS):
        darker, lighter = sorted(map(luminance, pair))
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def test_a_printed_page_is_light_and_keeps_the_charts_colours(
    browser: Browser, serve: Site
) -> None:
    browser.open(f"{serve(with_history('dock'))}/device/dock")
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.command("Emulation.setEmulatedMedia", media="print", features=dark)
    ground = find(browser, "body").value_of_css_property("background-color")
    kept = find(browser, ".chart").value_of_css_property("print-color-adjust")
    pause_is_shown = find(browser, "#pause").is_displayed()
    browser.command("Emulation.setEmulatedMedia", media="", features=[])
    assert ground == "rgba(247, 248, 250, 1)"
    assert kept == "exact"
    assert not pause_is_shown
