"""Discover: from any address of a site the feeds, sitemaps and listings that news can be collected from, best first.

`discover` looks at the outside, by the polite fetcher; `scrapers.guesses` reads what came. Nothing is stored but what
concerns the hosts (robots.txt, slots, cool-downs).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urljoin, urlsplit, urlunsplit

from django.utils.translation import gettext as _t
from protego import Protego

from scrapers.database import DatabaseThread
from scrapers.extract.addresses import normalise, to_wire
from scrapers.fetch.answers import Answer
from scrapers.fetch.client import Fetcher
from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.guesses import Guess, absolute, read_answer, read_page_links
from scrapers.models import Host, Source
from scrapers.opml import NAME_LENGTH, free_name
from scrapers.secrets import unmarked

logger = logging.getLogger(__name__)

SECONDS = 15.0
"""How long a discovery may take; what it has by then is shown. By far most of it is waiting for a host's next slot."""
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
    """One way to collect from a site: the kind, its address and options, and why it was looked at.

    `site` is what the site calls itself, as far as that was seen; `promise` is how much the way in which it was found
    tells for it, from 0, the address itself, on.
    """

    url: str
    guess: Guess
    found_by: str
    promise: int
    site: str = ""

    @property
    def title(self) -> str:
        """Return what it is called: by itself, else by its site, else by its host."""
        return (self.guess.title or self.site or urlsplit(self.url).netloc)[:NAME_LENGTH]

    def source(self) -> Source:
        """Return the source that it would be, with a name that is free; not saved."""
        name = free_name(self.title, self.url)
        source = Source(name=name, url=self.url, kind=self.guess.kind, options=self.guess.options)
        source.take_tokens()
        return source


@dataclass(frozen=True)
class Discovery:
    """What was found: the candidates, best first, and in sentences what could not be looked at."""

    url: str
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...] = ()


#: What a server says, or does not, that speaks http alone.
_NO_HTTPS = frozenset({FailureClass.TLS, FailureClass.REFUSED, FailureClass.CONNECTION, FailureClass.TIMEOUT})


@dataclass(frozen=True)
class _Lead:
    """An address that may be worth a look: how it was found, and how much that promises (lower is more)."""

    url: str
    found_by: str
    promise: int


def discover(address: str, seconds: float = SECONDS) -> Discovery:
    """Return what can be collected from an address or the site that it belongs to; takes at most `seconds`.

    What a person put in braces as secret is in braces in what is found, too. Where no scheme was typed and https cannot
    be had, http is tried. Raises `CollectError` if the address itself cannot be had and nothing else of the site can.
    """
    ends = time.monotonic() + seconds
    try:
        return _discover(with_scheme(address), seconds)
    except CollectError as error:
        if "://" in address or error.failure not in _NO_HTTPS:
            raise
        try:
            found = _discover(f"http://{address.strip()}", max(0.0, ends - time.monotonic()))
        except CollectError:
            raise error from None
        return replace(found, notes=(_t("By http, since https cannot be had: %s") % error.sentence, *found.notes))


def _discover(address: str, seconds: float) -> Discovery:
    url, secrets = unmarked(address)
    found = asyncio.run(_Search(url).run(seconds))
    if not secrets:
        return found
    marked = [replace(candidate, url=_marked(candidate.url, secrets)) for candidate in found.candidates]
    return replace(found, url=address, candidates=tuple(marked))


def _marked(url: str, secrets: Iterable[str]) -> str:
    parts = urlsplit(url)
    path = "/".join(f"{{{part}}}" if part in secrets else part for part in parts.path.split("/"))
    return urlunsplit(parts._replace(path=path))


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
        self._waiting: dict[str, _Lead] = {}
        self._site = ""

    async def run(self, seconds: float) -> Discovery:
        """Look, in these steps; what is found by the end of the time is the result.

        1. The address itself: a feed, a sitemap or an API is an answer; a page is searched for links to feeds.
        2. What robots.txt names as sitemaps.
        3. While no feed is found: what the site's front page links to.
        4. Where that names no feed either, and the address was a page: the paths at which most sites have one.
        5. Everything found is fetched and read, the most promising first; what is not what it promised is dropped.
        """
        self._database = DatabaseThread()
        failure: CollectError | None = None
        try:
            async with Fetcher(self._database) as self._fetcher:
                async with asyncio.timeout(seconds):
                    failure = await self._look()
        except TimeoutError:
            self._notes.append(_t("The time was up before everything was looked at."))
            self._notes += [_t("Not looked at: %s") % lead.url for lead in self._waiting.values() if lead.promise <= 3]
        finally:
            await self._database.close()
        if failure is not None and not self._candidates:
            raise failure
        if failure is not None:
            self._notes.insert(0, failure.sentence)
        found = [replace(candidate, site=self._site) for candidate in _ranked(self._candidates.values())]
        return Discovery(self._url, tuple(_distinct(found)), tuple(self._notes))

    async def _look(self) -> CollectError | None:
        failure: CollectError | None = None
        home, is_page, leads = self._url, True, []
        try:
            answer = await self._fetcher.fetch(self._url, accept=ACCEPT)
            home = answer.url
            guess = await asyncio.to_thread(read_answer, answer)
            if guess is not None:
                self._add(answer.url, guess, _t("the address itself"), 0)
            is_page = guess is None or guess.kind == "listing"
            if is_page:
                leads = await self._read_page(answer)
        except CollectError as error:
            failure = error
        if not _is_askable(home):
            return failure
        self._seen |= {normalise(url) for url in (self._url, home)}
        leads += await self._leads_of_robots(home)
        await self._follow(leads)
        if not self._has("feed"):
            await self._follow(await self._leads_of_front_page(home))
        if is_page:
            await self._try_usual_places(home)
        return failure

    async def _read_page(self, answer: Answer) -> list[_Lead]:
        """Return the links of a page that may lead to feeds and sitemaps; note what the site calls itself."""
        page = await asyncio.to_thread(read_page_links, answer)
        self._site = self._site or page.site
        words = {True: _t("the page declares it"), False: _t("the page links to it")}
        return [_Lead(url, words[declared], 1 if declared else 2) for url, declared in page.links]

    async def _leads_of_robots(self, url: str) -> list[_Lead]:
        # The fetcher has just asked for it, whatever became of the address.
        parts = urlsplit(to_wire(url))
        text = await self._database.run(_robots_txt, parts.scheme, parts.hostname or "", parts.port)
        sitemaps = [joined for link in Protego.parse(text).sitemaps if (joined := absolute(url, link))] if text else []
        words = _t("robots.txt")
        return [_Lead(link, words, 3 if "news" in link.lower() else 4) for link in dict.fromkeys(sitemaps)]

    async def _leads_of_front_page(self, url: str) -> list[_Lead]:
        front = urljoin(url, "/")
        if not self._may_look_at(front):
            return []
        self._seen.add(normalise(front))
        try:
            answer = await self._fetcher.fetch(front, accept=ACCEPT)
        except CollectError:
            # Nobody asked for it.
            return []
        words = _t("the front page declares it")
        return [replace(lead, found_by=words, promise=5) for lead in await self._read_page(answer) if lead.promise == 1]

    async def _try_usual_places(self, url: str) -> None:
        """Look where most sites have a feed, then, where there is neither, a sitemap; the first found is enough."""
        for kind, paths in (("feed", FEED_PATHS), ("sitemap", SITEMAP_PATHS)):
            for path in paths:
                if self._has("feed") or self._has(kind):
                    break
                lead = _Lead(urljoin(url, path), _t("a usual place"), 6)
                if self._may_look_at(lead.url):
                    await self._look_at(lead, quietly=True)

    def _has(self, kind: str) -> bool:
        return any(candidate.guess.kind == kind and candidate.guess.count for candidate in self._candidates.values())

    def _may_look_at(self, url: str) -> bool:
        return _is_askable(url) and normalise(url) not in self._seen and len(self._seen) <= MAX_LOOKED_AT

    async def _follow(self, leads: Iterable[_Lead]) -> None:
        new = {lead.url: lead for lead in sorted(leads, key=lambda lead: -lead.promise) if self._may_look_at(lead.url)}
        async with asyncio.TaskGroup() as group:
            for lead in sorted(new.values(), key=lambda lead: lead.promise):
                if not self._may_look_at(lead.url):
                    if normalise(lead.url) not in self._seen:
                        self._notes.append(_t("Not looked at, there are too many: %s") % lead.url)
                    continue
                self._seen.add(normalise(lead.url))
                group.create_task(self._look_at(lead))

    async def _look_at(self, lead: _Lead, *, quietly: bool = False) -> None:
        self._seen.add(normalise(lead.url))
        self._waiting[lead.url] = lead
        try:
            answer = await self._fetcher.fetch(lead.url, accept=ACCEPT)
        except CollectError as error:
            del self._waiting[lead.url]
            if not quietly:
                self._notes.append(f"{lead.url}: {error.sentence}")
            return
        guess = await asyncio.to_thread(read_answer, answer, listings=False)
        del self._waiting[lead.url]
        if guess is not None:
            # The address that was named, not where it leads today: a redirect may be for a while.
            self._add(lead.url, guess, lead.found_by, lead.promise)

    def _add(self, url: str, guess: Guess, found_by: str, promise: int) -> None:
        if guess.kind == "feed" and not self._site:
            self._site = guess.title
        self._candidates.setdefault(url, Candidate(url, guess, found_by, promise))


def _ranked(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return candidates, best first.

    1. What holds something before what holds nothing.
    2. The very address that was given, where it is made for programs: whoever gives it means it.
    3. What the page that was given names, or what shares articles with it: so a section's list comes before the feed
       of the whole site.
    4. Feeds, then news sitemaps, APIs, other sitemaps, and listing pages.
    5. Feeds of comments after those of articles; what shares no article with the given page after what does.
    6. How it was found: at the address itself, declared by the page, linked from it, in robots.txt, by chance.
    7. The newest first; then the shorter address, which mostly is the feed of the whole site.
    """
    found = list(candidates)
    page = next((one for one in found if one.guess.kind == "listing"), None)
    order = {"feed": 0, "news-sitemap": 1, "json_api": 2, "sitemap": 3, "listing": 4}

    def rank(one: Candidate) -> tuple[float, ...]:
        guess = one.guess
        sort = "news-sitemap" if guess.kind == "sitemap" and guess.is_news else guess.kind
        given = one.promise == 0 and guess.kind != "listing"
        apart = page is not None and _is_apart(one, page)
        comments = "comment" in one.url.lower() or "comment" in guess.title.lower()
        day = (guess.newest.timestamp() if guess.newest else 0.0) // 86_400
        beside = apart and one.promise > 2
        found_by = (one.promise, -day, len(one.url))
        return tuple(map(float, (not guess.count, not given, beside, order.get(sort, 9), comments, apart, *found_by)))

    return sorted(found, key=rank)


def _is_apart(candidate: Candidate, page: Candidate) -> bool:
    """Tell whether a candidate shares no article with the page that was given; a front page stands for all its site."""
    parts = urlsplit(page.url)
    is_front = parts.path in ("", "/") and not parts.query
    return not is_front and not set(candidate.guess.urls) & set(page.guess.urls)


def _distinct(candidates: Sequence[Candidate]) -> Iterator[Candidate]:
    """Leave out what holds the very articles of a better one of the same kind."""
    held: dict[tuple[str, tuple[str, ...]], Candidate] = {}
    for candidate in candidates:
        key = (candidate.guess.kind, candidate.guess.urls)
        if candidate.guess.urls and key in held:
            continue
        held[key] = candidate
        yield candidate


def _is_askable(url: str) -> bool:
    try:
        to_wire(url)
    except ValueError:
        return False
    return True


def _robots_txt(scheme: str, host: str, port: int | None) -> str:
    known = Host.objects.filter(scheme=scheme, host=host, port=port or (443 if scheme == "https" else 80)).first()
    return known.robots_txt if known else ""
