"""Queries of a page in the browser, and waiting for its contents."""

from __future__ import annotations

from typing import Any

from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.support.programs import wait_until
from tests.web.pages.browser import Browser


def find(browser: Browser, selector: str) -> WebElement:
    return browser.driver.find_element(By.CSS_SELECTOR, selector)


def follow(browser: Browser, selector: str) -> None:
    """Click what opens another page, and wait until that page is loaded."""
    # Not by the old elements: while one page replaces another, the driver may know neither.
    browser.script("window.isOld = true")
    find(browser, selector).click()
    loaded = "return !window.isOld && document.readyState === 'complete'"
    wait_until(lambda: bool(browser.script(loaded)), f"{selector} opens a page", str)


def active(browser: Browser) -> WebElement:
    """Return the element that has the focus."""
    return browser.driver.switch_to.active_element


def names(browser: Browser) -> list[str]:
    """Return the names of the devices that are shown."""
    shown: list[str] = browser.script(
        "return [...document.querySelectorAll('[data-row]')].map(link => link.textContent)"
    )
    return shown


def until_shown(browser: Browser, text: str) -> None:
    """Wait until the line above the table, which counts the devices, contains a text."""
    _until_text(browser, "#shown", text)


def until_heading(browser: Browser, text: str) -> None:
    """Wait until the page's heading contains a text."""
    _until_text(browser, "h1", text)


def until_first(browser: Browser, *wanted: str) -> None:
    """Wait until these devices are the first ones."""
    wait_until(
        lambda: names(browser)[: len(wanted)] == list(wanted),
        f"{wanted} come first",
        lambda: str(names(browser)[:10]),
    )


def _until_text(browser: Browser, selector: str, text: str) -> None:
    def found() -> str:
        # In one script: the page may be replaced between finding an element and reading it.
        return str(browser.script(f"return document.querySelector('{selector}')?.textContent"))

    wait_until(lambda: text in found(), f"the page shows {text}", found)


def of_role(browser: Browser, *roles: str) -> list[dict[str, Any]]:
    """Return the nodes of the accessibility tree with one of these roles."""
    return [node for node in browser.accessibility_tree() if node["role"]["value"] in roles]
