"""The page of `evidence --html`, in Chromium and on its paper."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.clock.offset import SECOND_NS, Offset
from exporter.evidence.records import Asked, Scrape, Witness
from exporter.evidence.report import Evidence
from exporter.evidence.statement import make_statement
from exporter.evidence.times import parse_time
from exporter.web.pages.evidence_page import render_evidence
from tests.evidence.examples import QUERY, TRUE, WINDOW, make_evidence
from tests.support.programs import wait_until
from tests.web.pages.browser import Browser
from tests.web.pages.page_queries import find
from tests.web.pages.test_hostile_texts import HOSTILE

pytestmark = pytest.mark.xdist_group("browser")

PAPER_WIDTH = 688
"""Of A4 without the margins, in CSS pixels."""

A4_POINTS = (595, 842)

CUT_TEXTS = """
const cut = [], width = document.documentElement.clientWidth, range = document.createRange();
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  range.selectNodeContents(texts.currentNode);
  const clip = texts.currentNode.parentElement.closest('figure > svg');
  const outer = (clip || document.body).getBoundingClientRect();
  for (const box of range.getClientRects())
    if (box.left < outer.left - 1 || box.right > Math.min(width, outer.right) + 1
        || (clip && (box.top < outer.top || box.bottom > outer.bottom + 1)))
      cut.push(texts.currentNode.data);
}
return cut;
"""
"""Returns the texts that reach beyond the paper, or beyond the chart."""

INK = """
const [png, done] = arguments, image = new Image();
image.onload = () => {
  const canvas = document.createElement('canvas'), {width, height} = image;
  Object.assign(canvas, {width, height});
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  const {data} = context.getImageData(0, 0, width, height);
  const at = (x, y) => [...data.slice(4 * (y * width + x), 4 * (y * width + x) + 3)];
  const paper = [...Array(width).keys()].filter(x => at(x, 20).every(value => value === 255));
  const ink = new Set();
  for (let y = 20; y < 1100; y++)
    for (const x of paper) if (Math.max(...at(x, y)) < 128) ink.add(x);
  done([[paper[0], paper.at(-1)], [Math.min(...ink), Math.max(...ink)], ink.size]);
};
image.src = 'data:image/png;base64,' + png;
"""
"""Of a photograph: the ends of the white paper and of the black ink, and the columns with ink."""

LAST = parse_time("9998-12-31T23:59:59Z", None)

HA = ("exporter-a.example:10123", "exporter-b.example:10123")
PAGES = {
    "one exporter": make_evidence(),
    "two exporters": make_evidence(instances=HA, zone="Europe/Stockholm"),
    "none": make_evidence(steps=True),
    "without time servers": make_evidence(asks_servers=False),
    "far": make_evidence(ahead=-12345.6),
}

Show = Callable[[Evidence], None]


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Show:
    """Open the page as a file, as a user does."""

    def open_page(evidence: Evidence) -> None:
        file = tmp_path / "evidence.html"
        file.write_text(render_evidence(evidence), "utf-8")
        browser.open(file.as_uri())

    return open_page


@pytest.mark.parametrize("kind", PAGES)
def test_half_an_hour_fits_on_two_pages_of_paper(browser: Browser, show: Show, kind: str) -> None:
    show(PAGES[kind])
    printed = browser.command("Page.printToPDF", preferCSSPageSize=True)["data"]
    pdf = base64.b64decode(printed)
    assert 1 <= len(re.findall(rb"/Type /Page\b", pdf)) <= 2
    sizes = set(re.findall(rb"/MediaBox \[0 0 (\S+) (\S+)\]", pdf))
    assert [tuple(round(float(each)) for each in size) for size in sizes] == [A4_POINTS]


def test_a_photograph_of_the_paper_has_free_margins(
    browser: Browser, show: Show, tmp_path: Path
) -> None:
    show(PAGES["two exporters"])
    printed = browser.command("Page.printToPDF", preferCSSPageSize=True)["data"]
    pdf, photograph = tmp_path / "page.pdf", tmp_path / "photograph.png"
    pdf.write_bytes(base64.b64decode(printed))
    browser.size(820, 1200)
    seen: list[Any] = []

    def has_margins() -> bool:
        browser.screenshot(photograph, 1200)
        encoded = base64.b64encode(photograph.read_bytes()).decode()
        seen[:] = browser.driver.execute_async_script(INK, encoded)
        (left, right), (first, last), columns = seen
        if columns <= 500:  # not even the frame of the statement
            return False
        margin = (right - left) * 0.06  # 12.6 of 210 mm
        return bool(
            right - left > 700
            and left + margin < first < left + 2 * margin
            and right - 2 * margin < last < right - margin
        )

    def is_shown() -> bool:
        browser.open("about:blank")
        browser.open(f"{pdf.as_uri()}#toolbar=0&navpanes=0")
        with suppress(TimeoutError):
            # Chromium shows the paper piece by piece.
            wait_until(has_margins, "the margins are free", lambda: str(seen), within_seconds=8)
            return True
        return False

    # Now and then Chromium's viewer stays empty until the paper is opened again.
    what = "the paper is shown with free margins"
    wait_until(is_shown, what, lambda: str(seen), within_seconds=60)


@pytest.mark.parametrize("kind", PAGES)
def test_no_text_is_cut_off_on_paper(browser: Browser, show: Show, kind: str) -> None:
    browser.size(PAPER_WIDTH, 900)
    browser.command("Emulation.setEmulatedMedia", media="print")
    try:
        show(PAGES[kind])
        assert browser.script(CUT_TEXTS) == []
        assert browser.script("return document.documentElement.scrollWidth") == PAPER_WIDTH
    finally:
        browser.command("Emulation.setEmulatedMedia", media="")


def test_it_is_black_on_white_also_where_dark_is_preferred(browser: Browser, show: Show) -> None:
    browser.prefer("dark")
    show(PAGES["one exporter"])
    colours = "const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]"
    assert browser.script(colours) == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]


def test_it_has_the_answer_the_samples_the_method_and_the_queries(
    browser: Browser, show: Show
) -> None:
    show(PAGES["two exporters"])
    text = find(browser, "body").text
    assert "as shown by lobby, the true time was between 15:03:23." in text
    assert "In UTC: On 20 November 2026 at 14:03:22, as shown by lobby" in text
    assert "the delay until a picture has its time." in text
    assert (text.count(QUERY.url), text.count(QUERY.sha256)) == (3, 6)
    assert "by axis-ntp-exporter 9.9.9" in text
    assert browser.script("return document.querySelectorAll('tbody tr').length") == 60
    assert browser.script("return document.querySelectorAll('tr.used').length") == 4
    assert (
        browser.script("return document.querySelectorAll('main > ol:first-of-type > li').length")
        == 10
    )
    for name in HA:
        assert name in text


def test_without_a_statement_it_says_why_and_shows_the_step(browser: Browser, show: Show) -> None:
    show(PAGES["none"])
    assert find(browser, "h1").text == "No statement about the clock of lobby"
    assert "The device's clock stepped, noticed between" in find(browser, ".statement").text
    assert "step" in find(browser, "figure svg").text
    assert browser.script("return document.querySelectorAll('tr.used').length") == 0


def test_an_offset_of_hours_has_an_axis_relative_to_a_whole_second(
    browser: Browser, show: Show
) -> None:
    show(PAGES["far"])
    assert "minus the true time, relative to -12,346 s." in find(browser, "figcaption").text
    assert "+400 ms" in find(browser, "figure svg").text


def test_without_any_sample_it_says_why(browser: Browser, show: Show) -> None:
    nothing = PAGES["none"].statement._replace(each=(), reason="Prometheus cannot be asked")
    show(PAGES["none"]._replace(statement=nothing, witnesses=(), answers=()))
    assert "Prometheus cannot be asked." in find(browser, ".statement").text
    assert browser.script("return document.querySelectorAll('table, figure').length") == 0


def test_samples_whose_scrapes_lack_the_hosts_clock_are_shown(browser: Browser, show: Show) -> None:
    made = make_evidence(steps=True, asks_servers=False)
    [witness] = made.witnesses
    first = witness.scrapes[0]._replace(offset=None, host=Offset(0.001, 0.003))
    show(made._replace(witnesses=[witness._replace(scrapes=[first, *witness.scrapes[1:]])]))
    assert "minus the clock of the exporter's host." in find(browser, "figcaption").text
    assert browser.script("return document.querySelectorAll('tbody tr').length") == 29


def test_it_loads_nothing_and_its_style_is_allowed(browser: Browser, show: Show) -> None:
    show(PAGES["one exporter"])
    assert browser.script("return performance.getEntriesByType('resource').length") == 0
    assert browser.script("return document.scripts.length") == 0
    assert (
        browser.script("return getComputedStyle(document.querySelector('ol')).paddingLeft")
        != "40px"
    )
    assert browser.console_messages() == []
    browser.script("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=alert(1)>')")
    wait_until(
        lambda: any("Security Policy" in line for line in browser.console_messages()),
        "the violation is reported",
    )


def test_texts_of_prometheus_run_no_script(browser: Browser, show: Show) -> None:
    hostile = make_evidence(device=f"{HOSTILE}\u202e\x1b\x00", instances=(HOSTILE, f"{HOSTILE}2"))
    show(hostile._replace(answers=[QUERY._replace(url=HOSTILE)], warnings=[HOSTILE]))
    injected = "return document.querySelectorAll('img, script, [onerror]').length"
    assert browser.script(injected) == 0
    assert browser.console_messages() == []
    assert find(browser, "h1").text.endswith(f"{HOSTILE}\\u202e\\x1b\\x00")


SIZES = st.floats(-9, 9).flatmap(lambda power: st.sampled_from([0.0, 10**power, -(10**power)]))
OFFSETS = st.builds(lambda seconds, half: Offset(seconds, abs(half)), SIZES, SIZES)
SCRAPES = st.builds(
    lambda ago, scrape: scrape._replace(
        scraped_seconds=TRUE / SECOND_NS - ago,
        polled_seconds=scrape.polled_seconds and TRUE / SECOND_NS - ago - 1,
    ),
    st.floats(-WINDOW, WINDOW),
    st.builds(
        Scrape,
        scraped_seconds=st.just(0.0),
        polled_seconds=st.sampled_from([None, 1.0, 1.0]),
        offset=st.one_of(st.none(), OFFSETS),
        host=st.one_of(st.none(), st.builds(Offset, st.floats(-0.1, 0.1), st.floats(0, 0.1))),
        steps=st.sampled_from([None, 0.0, 0.0, 1.0]),
        polls=st.sampled_from([None, 1.0]),
        poll_seconds=st.floats(0, 1e15),
        synced=st.sampled_from([None, True, False]),
    ),
)


def _when(scrape: Scrape) -> float:
    return scrape.scraped_seconds


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(SCRAPES, max_size=6), max_size=3),
    st.builds(Asked, st.sampled_from(["at", "shown"]), st.integers(0, LAST)),
)
def test_a_page_can_be_made_of_any_samples(scrapes: list[list[Scrape]], asked: Asked) -> None:
    witnesses = [
        Witness({"instance": str(number)}, sorted(each, key=_when))
        for number, each in enumerate(scrapes)
    ]
    made = make_evidence()
    for question in (asked, made.statement.asked):
        statement = make_statement(question, witnesses, TRUE, WINDOW)
        page = render_evidence(made._replace(statement=statement, witnesses=witnesses))
        assert ("Statement about" in page) == (statement.finding is not None)
