"""Fixtures for tests in a real browser: Debian's Chromium driven by Playwright, on Django's live server.

Without Chromium these tests are skipped, with one loud line at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, Page, sync_playwright

from tests import factories
from tests.scheduling.conftest import SchedulerProcess, start_scheduler  # noqa: F401  a fixture
from tests.scrapers.conftest import serve  # noqa: F401  a fixture
from tests.site import SiteServer

CHROMIUM = Path("/usr/bin/chromium")
SECONDS = 60
"""How long a step may take; machines differ."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is here, and skip it without Chromium."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.anydb)
            if not CHROMIUM.exists():
                item.add_marker(
                    pytest.mark.skip(reason="NO CHROMIUM: apt-get install chromium to run the browser tests")
                )


ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    # One process for all pages, and none kept ready for the next.
    "--renderer-process-limit=1",
    "--disable-site-isolation-trials",
    "--disable-features=SpareRendererForSitePerProcess",
]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Return a headless Chromium.

    One for this folder: Playwright's event loop lives in this thread as long as it is open, and other tests want their
    own.
    """
    # Django would refuse its database to a thread with an event loop.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        launched = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="package")
def window(browser: Browser) -> Page:
    """Return the page that all visitors look at, one after the other: a new one costs as much as four visits."""
    context = browser.new_context(timezone_id="Europe/Berlin", reduced_motion="reduce")
    # The browser reports what the Content-Security-Policy of a page refused.
    context.add_init_script(
        "document.addEventListener('securitypolicyviolation', (event) =>"
        " console.error(`policy: ${event.violatedDirective} refused ${event.blockedURI}`))"
    )
    context.set_default_timeout(SECONDS * 1000)
    return context.new_page()


class Visitor:
    """A person at the browser, who is told when a page complains."""

    def __init__(self, page: Page, base: str) -> None:
        self.page = page
        self.base = base
        self.complaints: list[str] = []
        page.on("console", self._note)
        page.on("pageerror", self._note_error)

    def _note(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{self.page.url}: {message.text}")

    def _note_error(self, error: Any) -> None:
        self.complaints.append(str(error))

    def leave(self) -> None:
        """Let the browser forget the person; its cache of styles and scripts stays."""
        self.page.remove_listener("console", self._note)
        self.page.remove_listener("pageerror", self._note_error)
        self.page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
        self.page.goto("about:blank")
        self.page.context.clear_cookies()

    def log_in(self, user: User) -> None:
        """Take the cookie of a session; the form has a test of its own."""
        client = Client()
        client.force_login(user)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME]
        self.page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": self.base}])

    def speak(self, language: str) -> None:
        """Choose a language, as the user's menu does."""
        self.page.context.add_cookies([{"name": settings.LANGUAGE_COOKIE_NAME, "value": language, "url": self.base}])

    def open(self, path: str) -> Page:
        """Go to a page."""
        self.page.goto(f"{self.base}{path}")
        return self.page

    def width(self) -> int:
        """Return how wide the page really is, in CSS pixels."""
        return int(self.page.evaluate("document.documentElement.scrollWidth"))

    def violations(self) -> list[str]:
        """Return what axe-core finds against WCAG 2.1 A and AA, a line each."""
        options = {
            "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]},
            # A selector for each node that passed would take a sixth of the browser's work.
            "resultTypes": ["violations"],
        }
        found = Axe().run(self.page, options=options).response["violations"]
        return [
            f"{item['id']}: {node['html'][:160]} ({node['failureSummary'].splitlines()[-1].strip()})"
            for item in found
            for node in item["nodes"]
        ]


@pytest.fixture
def visit(window: Page, live_server: Any, transactional_db: None) -> Iterator[Callable[..., Visitor]]:
    """Return a function that logs an administrator in, at a width and in light or dark; no page may complain."""
    admin = factories.user(username="admin", password="secret", is_superuser=True)
    visitor = Visitor(window, live_server.url)

    def start(width: int = 1440, scheme: Literal["light", "dark"] = "light") -> Visitor:
        window.set_viewport_size({"width": width, "height": 900})
        window.emulate_media(color_scheme=scheme)
        visitor.log_in(admin)
        return visitor

    yield start
    visitor.leave()
    assert visitor.complaints == []


@pytest.fixture
def site() -> Iterator[SiteServer]:
    """Return the sample news site with some stories an outlet."""
    with SiteServer(reveal=10_000, slow=0.05, start=4) as server:
        yield server


__all__ = ["SchedulerProcess"]
