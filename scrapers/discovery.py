"""Discover: from any address of a site the feeds, sitemaps and listings that news can be collected from, best first.

`discover` looks at the outside, by the polite fetcher; `scrapers.guesses` reads what came. Nothing is stored but what
concerns the hosts (robots.txt, slots, cool-downs).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

from django.utils.translation import gettext as _t
from protego import Protego

from scrapers.database import DatabaseThread
from scrapers.extract.addresses import normalise, to_wire
from scrapers.fetch.answers import Answer
from scrapers.fetch.client import Fetcher
from scrapers.fetch.failures import CollectError
from scrapers.guesses import Guess, links_of_page, read_answer
from scrapers.models import Host, Source
from scrapers.opml import NAME_LENGTH, free_name

logger = logging.getLogger(__name__)

SECONDS = 25.0
"""How long a discovery may take; what it has by then is shown. Web servers give a request some 30 s."""
MAX_LOOKED_AT = 16
"""Addresses that are fetched for one discovery, besides the one that was given."""
ACCEPT = (
    "text/html, application/xhtml+xml, application/rss+xml, application/atom+xml, application/json;q=0.9, */*;q=0.5"
)
#: Where sites have their feeds and sitemaps when they do not say so, the most common first.
FEED_PATHS = ("/feed/", "/rss.xml", "/feed.xml", "/atom.xml", "/rss", "/index.xml", "/feed.json")
SITEMAP_PATHS = ("/sitemap.xml", "/news-sitemap.xml", "/sitemap_index.xml")


@dataclass(frozen=True)
class Candidate:
    """One way to collect from a site: the kind, its address and options, and why it was looked at."""

    url: str
    guess: Guess
    found_by: str
    rank: tuple[float, ...] = field(repr=False)

    def source(self) -> Source:
        """Return the source that it would be, with a name that is free; not saved."""
        name = (self.guess.title or urlsplit(self.url).netloc)[:NAME_LENGTH]
        return Source(name=free_name(name, self.url), url=self.url, kind=self.guess.kind, options=self.guess.options)


@dataclass(frozen=True)
class Discovery:
    """What was found: the candidates, best first, and in sentences what could not be looked at."""

    url: str
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Lead:
    """An address that may be worth a look: how it was found, and how much that promises (lower is more)."""

    url: str
    found_by: str
    promise: int


def discover(address: str, seconds: float = SECONDS) -> Discovery:
    """Return what can be collected from an address or the site that it belongs to; takes at most `seconds`.

    Raises `CollectError` if the address itself cannot be had and nothing else of the site can.
    """
    return asyncio.run(_Search(with_scheme(address)).run(seconds))


def with_scheme(address: str) -> str:
    """Return what a person typed as an address: "example.org" is https://example.org."""
    address = address.strip()
    return address if "://" in address or not address else f"https://{address}"


class _Search:
    """The state of one discovery."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._candidates: dict[str, Candidate] = {}
        self._notes: list[str] = []
        self._seen: set[str] = set()

    async def run(self, seconds: float) -> Discovery:
        """Look, in these steps.

        1. The address itself: a feed, a sitemap or an API is an answer; a page is searched for links to feeds.
        2. What robots.txt names as sitemaps.
        3. Where neither names a feed or a sitemap: the paths at which most sites have them.
        4. Everything found is fetched and read, the most promising first; what is not what it promised is dropped.
        """
        self._database = DatabaseThread()
        failure: CollectError | None = None
        try:
            async with Fetcher(self._database) as self._fetcher:
                async with asyncio.timeout(seconds):
                    failure = await self._look()
        except TimeoutError:
            self._notes.append(_t("The time was up before everything was looked at."))
        finally:
            await self._database.close()
        if failure is not None and not self._candidates:
            raise failure
        if failure is not None:
            self._notes.insert(0, failure.sentence)
        found = sorted(self._candidates.values(), key=lambda candidate: candidate.rank)
        return Discovery(self._url, tuple(_distinct(found)), tuple(self._notes))

    async def _look(self) -> CollectError | None:
        failure, leads = None, []
        home = self._url
        try:
            answer = await self._fetcher.fetch(self._url, accept=ACCEPT)
            home = answer.url
            self._seen |= {normalise(self._url), normalise(answer.url)}
            guess = await asyncio.to_thread(read_answer, answer)
            if guess is not None:
                self._add(answer.url, guess, _t("the address itself"), 0)
            if guess is None or guess.kind == "listing":
                leads = await asyncio.to_thread(_leads_of_page, answer)
        except CollectError as error:
            failure = error
        leads += await self._leads_of_robots(home)
        await self._follow(sorted(leads, key=lambda lead: lead.promise))
        await self._follow(list(self._usual_places(home)), quietly=True)
        return failure

    async def _leads_of_robots(self, url: str) -> list[_Lead]:
        # The fetcher has just asked for it, whatever became of the address.
        parts = urlsplit(to_wire(url)) if _is_askable(url) else None
        if parts is None:
            return []
        text = await self._database.run(_robots_txt, parts.scheme, parts.hostname or "", parts.port)
        sitemaps = [urljoin(url, link) for link in Protego.parse(text).sitemaps] if text else []
        words = _t("robots.txt")
        return [_Lead(link, words, 0 if "news" in link.lower() else 2) for link in dict.fromkeys(sitemaps)]

    def _usual_places(self, url: str) -> Iterator[_Lead]:
        kinds = {candidate.guess.kind for candidate in self._candidates.values()}
        if "feed" not in kinds:
            yield from (_Lead(urljoin(url, path), _t("a usual place"), 3) for path in FEED_PATHS)
        if not kinds & {"feed", "sitemap"}:
            yield from (_Lead(urljoin(url, path), _t("a usual place"), 4) for path in SITEMAP_PATHS)

    async def _follow(self, leads: Sequence[_Lead], *, quietly: bool = False) -> None:
        async with asyncio.TaskGroup() as group:
            for lead in leads:
                if not _is_askable(lead.url) or normalise(lead.url) in self._seen:
                    continue
                if len(self._seen) > MAX_LOOKED_AT:
                    if not quietly:
                        self._notes.append(_t("Not looked at, there are too many: %s") % lead.url)
                    continue
                self._seen.add(normalise(lead.url))
                group.create_task(self._look_at(lead, quietly=quietly))

    async def _look_at(self, lead: _Lead, *, quietly: bool) -> None:
        try:
            answer = await self._fetcher.fetch(lead.url, accept=ACCEPT)
        except CollectError as error:
            if not quietly:
                self._notes.append(f"{lead.url}: {error.sentence}")
            return
        guess = await asyncio.to_thread(read_answer, answer, listings=False)
        if guess is not None:
            # The address that was named, not where it leads today: a redirect may be for a while.
            self._add(lead.url, guess, lead.found_by, lead.promise)

    def _add(self, url: str, guess: Guess, found_by: str, promise: int) -> None:
        self._candidates.setdefault(url, Candidate(url, guess, found_by, _rank(url, guess, promise)))


def _rank(url: str, guess: Guess, promise: int) -> tuple[float, ...]:
    """Return what candidates are sorted by, lowest first.

    1. Feeds, then news sitemaps, APIs, other sitemaps, and listing pages; what holds nothing comes after all of them.
    2. Feeds of comments after those of articles.
    3. How it was found: at the address itself, declared by the page, in robots.txt, by chance.
    4. The newest first; then the shorter address, which mostly is the feed of the whole site.
    """
    order = {"feed": 0, "news-sitemap": 1, "json_api": 2, "sitemap": 3, "listing": 4}
    sort = "news-sitemap" if guess.kind == "sitemap" and guess.is_news else guess.kind
    comments = "comment" in url.lower() or "comment" in guess.title.lower()
    newest = guess.newest.timestamp() if guess.newest else 0.0
    day = newest // 86_400
    return (float(not guess.count), order.get(sort, 9), float(comments), promise, -day, len(url))


def _distinct(candidates: Sequence[Candidate]) -> Iterator[Candidate]:
    """Leave out what holds the very articles of a better one of the same kind."""
    held: dict[tuple[str, tuple[str, ...]], Candidate] = {}
    for candidate in candidates:
        key = (candidate.guess.kind, candidate.guess.urls)
        if candidate.guess.urls and key in held:
            continue
        held[key] = candidate
        yield candidate


def _leads_of_page(answer: Answer) -> list[_Lead]:
    words = {"alternate": _t("the page declares it"), "link": _t("the page links to it")}
    return [
        _Lead(url, words["alternate"] if declared else words["link"], 1 if declared else 2)
        for url, declared in links_of_page(answer)
    ]


def _is_askable(url: str) -> bool:
    try:
        to_wire(url)
    except ValueError:
        return False
    return True


def _robots_txt(scheme: str, host: str, port: int | None) -> str:
    known = Host.objects.filter(scheme=scheme, host=host, port=port or (443 if scheme == "https" else 80)).first()
    return known.robots_txt if known else ""
