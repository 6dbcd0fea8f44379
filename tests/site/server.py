"""`SiteServer`: the site inside a test or benchmark, in a thread of its own, on a port that is free."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from tests.site.outlets import CONTROL_ADDRESS, HEALTHY, OUTLETS, Outlet
from tests.site.publishing import PublishedStory, Site
from tests.site.serving import Service, bind
from tests.site.stats import HostStats


class SiteServer:
    """The sample news site as a context manager; inside it every outlet answers."""

    outlets: Mapping[str, Outlet] = OUTLETS

    def __init__(
        self,
        *,
        port: int = 0,
        start: int = 8,
        reveal: float = 20.0,
        show_all: bool = False,
        epoch: float | None = None,
        update_after: float | None = None,
        slow: float = 3.0,
        crawl_delay: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the port at once, so that addresses are known before the site serves; the rest is as in `Site`.

        Port 0 means one that is free on all addresses; `slow` and `crawl_delay` are in seconds. OSError if the port is
        taken.
        """
        site_options = {"start": start, "reveal": reveal, "show_all": show_all, "epoch": epoch}
        self._sockets = bind(port)
        self.port: int = self._sockets[0].getsockname()[1]
        try:
            self.site = Site(port=self.port, update_after=update_after, clock=clock, **site_options)  # type: ignore[arg-type]
        except ValueError:
            self._close_sockets()
            raise
        self._service = Service(self.site, slow=slow, crawl_delay=crawl_delay)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="sample-news-site", daemon=True)
        self._ready = threading.Event()
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        """Serve; the addresses answer when this returns."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End within a second, also while a slow answer is under way."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._close_sockets()

    @property
    def control_url(self) -> str:
        """Return the origin of the control address."""
        return f"http://{CONTROL_ADDRESS}:{self.port}"

    def url(self, outlet: str, path: str = "/") -> str:
        """Return an address of an outlet, by its key."""
        return OUTLETS[outlet].base(self.port) + path

    def feed_url(self, name: str) -> str:
        """Return a feed's address by the outlet's key, or by the format for the healthy ones: rss, atom, json."""
        outlet = OUTLETS.get(name) or next((outlet for outlet in HEALTHY if outlet.feed == name), None)
        if outlet is None:
            raise LookupError(
                f"no outlet and no feed format {name!r}; known: {', '.join([*OUTLETS, 'rss, atom, json'])}"
            )
        return outlet.base(self.port) + outlet.feed_path

    def stories(self, outlet: str) -> list[PublishedStory]:
        """Return the truth about the stories that are out, newest first."""
        return self.site.stories(outlet)

    def update_story(self, outlet: str, slug: str, extra: str) -> PublishedStory:
        """Add a paragraph to a story that is out; LookupError if it is not."""
        return self.site.update_story(outlet, slug, extra)

    def stats(self) -> dict[str, HostStats]:
        """Return the requests so far, by address (not by key)."""
        return self._service.stats.snapshot()

    def requests(self, outlet: str) -> list[str]:
        """Return the paths that were asked of an outlet, in order, with their queries."""
        figures = self.stats().get(OUTLETS[outlet].address)
        return [record["path"] for record in figures["requests"]] if figures else []

    def reset(self) -> None:
        """Forget the requests so far."""
        self._service.stats.reset()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            runner = self._loop.run_until_complete(self._service.start(self._sockets))
        except BaseException as error:
            self._failure = error
            self._ready.set()
            return
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _close_sockets(self) -> None:
        for sock in self._sockets:
            sock.close()
