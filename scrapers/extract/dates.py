"""When an article was published and when it was last changed.

Candidates in the order of how much they can be trusted: JSON-LD, meta elements, microdata, `<time>`, data that scripts
carry; the first with a time of day wins, else the first day; htmldate looks only where there is none of these.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from htmldate import find_date
from lxml.html import HtmlElement

from scrapers.extract.head import Head
from scrapers.extract.jsonld import Statements
from scrapers.extract.times import has_time_of_day, parse_time
from scrapers.extract.zones import in_country

FUTURE = timedelta(days=1)
"""How far ahead of now a time may lie and be believed."""
EARLIEST = datetime(1990, 1, 2, tzinfo=UTC)
"""Before there were pages; placeholders such as the year 1 and the first of January 1970 lie before it."""

_PUBLISHED = (
    "article:published_time", "og:article:published_time", "og:published_time", "article:published",
    "itemprop=datepublished", "datepublished", "parsely-pub-date", "sailthru.date", "publishdate", "publish-date",
    "publish_date", "publication_date", "published_at", "pubdate", "date", "dc.date.issued", "dc.date",
    "dcterms.issued", "dcterms.created", "dcterms.date", "cxenseparse:recs:publishtime", "article.published",
    "article.created",
    "article_date_original", "originalpublicationdate", "rnews:datepublished", "displaydate", "itemprop=datecreated",
)  # fmt: skip
_MODIFIED = (
    "article:modified_time", "og:article:modified_time", "og:updated_time", "article:modified", "itemprop=datemodified",
    "datemodified", "dc.date.modified", "dcterms.modified", "article.updated", "lastmod", "last-modified",
    "updated_time",
)  # fmt: skip
_STATE = re.compile(
    r'\\?"(?:datePublished|date_published|publishedAt|published_at|publishDate|publish_date|publishedDate|publicationDate'
    r'|firstPublished|first_published|published_time|publishTime|pubDate|published)\\?"\s*:\s*\\?"?'
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d[^\"\\,}]{0,20}|1\d{12}|1\d{9})"
)
_ASIDE = frozenset({"aside", "nav", "footer"})
_MAX_TIMES = 40


@dataclass(frozen=True)
class Moment:
    """An instant, whether its zone was written or follows from the page, and where it was found."""

    instant: datetime
    zone_known: bool
    method: str
    has_time: bool = True


def guessed(tree: HtmlElement, url: str, now: datetime | None = None) -> Moment | None:
    """Return the day of publication that all of the page is searched for, or None.

    It may take long: a day in words is tried in every language.
    """
    now = now or datetime.now(UTC)
    day = find_date(tree, url=url, original_date=True, max_date=(now + FUTURE).date().isoformat())
    # The first of January is what is made of a year alone.
    found = [("htmldate", day)] if day and not day.endswith("-01-01") else []
    return next(_believable(found, now), None)


def published(tree: HtmlElement, head: Head, statements: Statements, url: str, now: datetime) -> Moment | None:
    """Return when the article says it was published, or None.

    A time that was written without a zone gets the zone of another field with the same wall clock, else that of the
    country of the address (`zones.py`), else none and is as if in UTC. What lies more than a day after `now` is no
    time of publication.
    """
    found = list(_believable(_publications(tree, head, statements), now))
    if not any(moment.has_time for moment in found):
        found += _believable(_in_scripts(tree), now)
    best = next((moment for moment in found if moment.has_time), None) or next(iter(found), None)
    if best is None or best.zone_known:
        return best
    others = [*found, *_believable(_modifications(head, statements), now)]
    return _with_zone(best, others, url)


def modified(head: Head, statements: Statements, url: str, now: datetime, first: Moment | None) -> Moment | None:
    """Return when the article was last changed, or None; `first` is when it was published, which is never later."""
    found = list(_believable(_modifications(head, statements), now))
    best = next((moment for moment in found if moment.has_time), None) or next(iter(found), None)
    if best is None:
        return None
    if not best.zone_known:
        best = _with_zone(best, [*found, *([first] if first else [])], url)
    return best if first is None or best.instant >= first.instant else None


def _publications(tree: HtmlElement, head: Head, statements: Statements) -> Iterator[tuple[str, str]]:
    for name in ("datePublished", "uploadDate", "dateCreated"):
        yield from (("json-ld", text) for text in statements.article_times(name))
    yield from head.all(*_PUBLISHED)
    for element in tree.xpath("//body//*[contains(@itemprop, 'datePublished')]"):
        yield "microdata", element.get("content") or element.get("datetime") or element.text_content()[:80]
    yield from _time_elements(tree)


def _modifications(head: Head, statements: Statements) -> Iterator[tuple[str, str]]:
    yield from (("json-ld", text) for text in statements.article_times("dateModified"))
    yield from head.all(*_MODIFIED)


def _time_elements(tree: HtmlElement) -> Iterator[tuple[str, str]]:
    """Yield the `<time>` elements: those that say what they are, the article's, then the others outside of asides."""
    ranked: list[tuple[int, str]] = []
    for number, element in enumerate(tree.iter("time")):
        if number == _MAX_TIMES:
            break
        text = element.get("datetime") or element.text_content()[:80]
        tags = {parent.tag for parent in element.iterancestors()}
        names = f"{element.get('class') or ''} {element.get('itemprop') or ''}".lower()
        if "modif" in names or "updat" in names:
            continue
        says = element.get("pubdate") is not None or "publi" in names or "entry-date" in names
        ranked.append((0 if says else 3 if tags & _ASIDE else 1 if tags & {"article", "main"} else 2, text))
    for _rank, text in sorted(ranked, key=lambda pair: pair[0]):
        yield "time element", text


def _in_scripts(tree: HtmlElement) -> Iterator[tuple[str, str]]:
    for script in tree.iter("script"):
        match = _STATE.search(script.text or "")
        if match:
            yield "script", match[1]


def _believable(candidates: Iterable[tuple[str, str]], now: datetime) -> Iterator[Moment]:
    for method, text in candidates:
        instant, zoned = parse_time(text)
        if instant is not None and EARLIEST <= instant <= now + FUTURE:
            yield Moment(instant, zoned, method, has_time_of_day(text))


def _with_zone(moment: Moment, others: Iterable[Moment], url: str) -> Moment:
    """Return a moment of unknown zone in the zone that the page or its address tells, or as it is."""
    wall_clock = moment.instant.replace(tzinfo=None)
    for other in others:
        if (
            other.zone_known
            and other.has_time
            and abs(other.instant.replace(tzinfo=None) - wall_clock) < timedelta(minutes=1)
        ):
            return Moment(wall_clock.replace(tzinfo=other.instant.tzinfo), True, moment.method, moment.has_time)
    local = in_country(wall_clock, urlsplit(url).hostname or "") if moment.has_time else None
    return moment if local is None else Moment(local, True, f"{moment.method}, zone of the country", moment.has_time)
