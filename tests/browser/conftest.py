"""Fixtures for tests in a real browser: Debian's Chromium driven by Playwright, on Django's live server.

Without Chromium these tests are skipped, with one loud line at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests import factories
from tests.scheduling.conftest import SchedulerProcess, bare_zygote, start_scheduler, zygote  # noqa: F401  fixtures
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a headless Chromium.

    One a module: Playwright's event loop lives in this thread as long as it is open, and other tests want their own.
    """
    # Django would refuse its database to a thread with an event loop.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        launched = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield launched
        launched.close()


class Visitor:
    """A person at the browser: logged in, and told when a page complains."""

    def __init__(self, context: BrowserContext, base: str) -> None:
        self.context = context
        self.base = base
        self.page: Page = context.new_page()
        self.page.set_default_timeout(SECONDS * 1000)
        self.complaints: list[str] = []
        self.page.on("console", self._note)
        # The browser reports what the Content-Security-Policy of a page refused.
        self.context.add_init_script(
            "document.addEventListener('securitypolicyviolation', (event) =>"
            " console.error(`policy: ${event.violatedDirective} refused ${event.blockedURI}`))"
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{self.page.url}: {message.text}")

    def log_in(self, user: User) -> None:
        """Take the cookie of a session; the form has a test of its own."""
        client = Client()
        client.force_login(user)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME]
        self.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": self.base}])

    def speak(self, language: str) -> None:
        """Choose a language, as the user's menu does."""
        self.context.add_cookies([{"name": settings.LANGUAGE_COOKIE_NAME, "value": language, "url": self.base}])

    def open(self, path: str) -> Page:
        """Go to a page."""
        self.page.goto(f"{self.base}{path}")
        return self.page

    def width(self) -> int:
        """Return how wide the page really is, in CSS pixels."""
        return int(self.page.evaluate("document.documentElement.scrollWidth"))

    def violations(self) -> list[str]:
        """Return what axe-core finds against WCAG 2.1 A and AA, a line each."""
        options = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}
        found = Axe().run(self.page, options=options).response["violations"]
        return [
            f"{item['id']}: {node['html'][:160]} ({node['failureSummary'].splitlines()[-1].strip()})"
            for item in found
            for node in item["nodes"]
        ]


@pytest.fixture
def visit(browser: Browser, live_server: Any, transactional_db: None) -> Iterator[Callable[..., Visitor]]:
    """Return a function that logs an administrator in, at a width and in light or dark; no page may complain."""
    admin = factories.user(username="admin", password="secret", is_superuser=True)
    made: list[Visitor] = []

    def start(width: int = 1440, scheme: str = "light", timezone: str = "Europe/Berlin") -> Visitor:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,  # type: ignore[arg-type]
            timezone_id=timezone,
            reduced_motion="reduce",
        )
        visitor = Visitor(context, live_server.url)
        visitor.log_in(admin)
        made.append(visitor)
        return visitor

    yield start
    complaints = [line for visitor in made for line in visitor.complaints]
    for visitor in made:
        visitor.context.close()
    assert complaints == []


@pytest.fixture
def site() -> Iterator[SiteServer]:
    """Return the sample news site with some stories an outlet."""
    with SiteServer(reveal=10_000, slow=0.05, start=4) as server:
        yield server


__all__ = ["SchedulerProcess"]
