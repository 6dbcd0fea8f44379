"""Pages that need JavaScript: opened in Chromium by Playwright, both optional. Chromium itself connects to nothing:
each request of a page is answered through our own connector, which checks the address it really connects to.

What the page's own address answers was fetched politely before; here only its scripts run.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import shutil
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from django.utils.translation import gettext as _t

from scrapers import conf
from scrapers.fetch.failures import CollectError, FailureClass

if TYPE_CHECKING:
    from scrapers.fetch.answers import Answer
    from scrapers.fetch.client import Fetcher
    from scrapers.fetch.identity import Identity

logger = logging.getLogger(__name__)

MAX_REQUESTS = 100
"""What one page may ask for; the rest is refused."""
SETTLE_SECONDS = 10.0
"""How long a page may go on asking for things before it is read as it is."""
PAGES_AT_ONCE = 2
#: What text needs; pictures, films, fonts and style sheets are not loaded.
_WANTED = frozenset({"script", "xhr", "fetch"})
_NAMES = ("chromium", "chromium-browser", "google-chrome")


def missing() -> str:
    """Return what is to be installed before pages can be rendered, as a sentence, or an empty string."""
    if importlib.util.find_spec("playwright") is None:
        return _t("JavaScript pages need Playwright: pip install playwright")
    if not _chromium():
        return _t("JavaScript pages need Chromium: install the package “chromium”.")
    return ""


class Renderer:
    """One Chromium for a run, started when the first page comes; an async context manager."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._lock = asyncio.Lock()
        self._room = asyncio.Semaphore(PAGES_AT_ONCE)
        self._playwright: Any = None
        self._browser: Any = None

    async def __aenter__(self) -> Self:
        """Start nothing yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End Chromium."""
        if self._browser is not None:
            await self._browser.close()
        if self._playwright is not None:
            await self._playwright.stop()

    async def render(self, answer: Answer, identity: Identity) -> bytes:
        """Return the HTML of a page after its scripts ran, in UTF-8.

        Raises `CollectError`: `NO_BROWSER` where it cannot be rendered here, `TIMEOUT`.
        """
        if sentence := missing():
            raise CollectError(FailureClass.NO_BROWSER, sentence)
        from playwright.async_api import Error

        async with self._room:
            try:
                async with asyncio.timeout(conf.total_seconds()):
                    return await self._render(answer, identity)
            except TimeoutError as error:
                raise CollectError(FailureClass.TIMEOUT, _t("Rendering the page took too long.")) from error
            except Error as error:
                detail = str(error).partition("\n")[0][:300]
                raise CollectError(
                    FailureClass.NO_BROWSER, _t("The page could not be rendered: %s") % detail
                ) from error

    async def _render(self, answer: Answer, identity: Identity) -> bytes:
        from playwright.async_api import TimeoutError as Late

        context = await (await self._started()).new_context(
            user_agent=conf.user_agent(), service_workers="block", accept_downloads=False, java_script_enabled=True
        )
        try:
            page = await context.new_page()
            left = MAX_REQUESTS
            first = True

            async def route(route: Any) -> None:
                nonlocal left, first
                request = route.request
                if first and request.is_navigation_request():
                    first = False
                    await route.fulfill(status=200, body=answer.body, content_type=answer.content_type or "text/html")
                    return
                left -= 1
                # A page that leads elsewhere by itself, and whatever is no script or data, is not followed.
                if left < 0 or request.is_navigation_request() or request.resource_type not in _WANTED:
                    await route.abort()
                    return
                await self._answer(route, identity)

            await context.route("**/*", route)
            await page.goto(answer.url, wait_until="domcontentloaded")
            with suppress(Late):
                await page.wait_for_load_state("networkidle", timeout=SETTLE_SECONDS * 1000)
            html: str = await page.content()
            return html.encode("utf-8", "replace")
        finally:
            await context.close()

    async def _answer(self, route: Any, identity: Identity) -> None:
        request = route.request
        try:
            status, headers, body = await self._fetcher.resource(
                request.url, request.method, dict(request.headers), request.post_data_buffer, identity
            )
        except CollectError as error:
            logger.info("A page may not have %s: %s", request.url[:200], error.sentence)
            await route.abort()
            return
        await route.fulfill(status=status, headers=headers, body=body)

    async def _started(self) -> Any:
        async with self._lock:
            if self._browser is None:
                from playwright.async_api import async_playwright

                self._playwright = await async_playwright().start()
                # Chromium does not start with its sandbox as root.
                sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
                self._browser = await self._playwright.chromium.launch(
                    executable_path=_chromium(),
                    # Should a request get past the interception, it finds no host.
                    args=["--host-resolver-rules=MAP * ~NOTFOUND", "--disable-webrtc", *sandbox],
                )
            return self._browser


def _chromium() -> str:
    return next((path for name in _NAMES if (path := shutil.which(name))), "")
