"""Feeds: RSS 0.9x to 2.0, RDF and Atom by feedparser, JSON Feed 1.x by json."""

from __future__ import annotations

import calendar
import json
import logging
import math
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import feedparser
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from scrapers.extract.names import clean_names
from scrapers.extract.times import parse_time
from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.kinds.base import Item, Kind, Listing
from scrapers.kinds.poll import Poll
from scrapers.kinds.reading import address, as_utf8, is_blank, plain, scalar, without_doctype

logger = logging.getLogger(__name__)

_TTL_MAX = 86_400.0
"""A feed that asks for a longer pause, in seconds, is polled after this."""
_PICTURES = ("media_content", "media_thumbnail", "enclosures")
_PERIODS = {"hourly": 3600.0, "daily": 86_400.0, "weekly": 604_800.0, "monthly": 2_592_000.0, "yearly": 31_536_000.0}


class FeedKind(Kind):
    """RSS, RDF, Atom or JSON Feed, told apart by what the body is, not by what it is called."""

    name = "feed"
    label = _("Feed (RSS, Atom, JSON Feed)")
    address_help = _("The address of an RSS, Atom or JSON feed.")
    takes_query = True
    lists_all = True
    accept = (
        "application/atom+xml, application/rss+xml, application/feed+json, application/rdf+xml;q=0.9, "
        "application/xml;q=0.8, text/xml;q=0.8, application/json;q=0.7, */*;q=0.1"
    )

    async def poll(self, poll: Poll) -> AsyncIterator[Listing]:
        """Yield the feed's entries."""
        answer = await poll.first(accept=self.accept)
        yield await poll.read(self.read, answer.body, url=answer.url, content_type=answer.content_type)

    def read(self, body: bytes, *, url: str, content_type: str) -> Listing:
        """Return the entries of a feed; of broken XML those that can be read.

        Raises `CollectError`: `EMPTY` for a body of nothing, `NOT_A_FEED` for something else.
        """
        if is_blank(body):
            raise CollectError(FailureClass.EMPTY, _t("The answer is empty."))
        if body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
            return _read_json(body, url)
        return _read_xml(body, url, content_type)


def _read_xml(body: bytes, url: str, content_type: str) -> Listing:
    body, content_type = as_utf8(body, content_type)
    try:
        parsed = feedparser.parse(
            without_doctype(body),
            response_headers={"content-type": content_type, "content-location": url},
            sanitize_html=False,
            resolve_relative_uris=False,
        )
    except Exception as error:
        # The library forgives nearly all; what it does not (an end of "width" without a beginning) raises anything.
        logger.warning("%s: feedparser cannot read the feed.", url, exc_info=True)
        raise CollectError(FailureClass.NOT_A_FEED, _t("The feed is too broken to be read.")) from error
    if not parsed.version and not parsed.entries:
        raise CollectError(FailureClass.NOT_A_FEED, _t("The answer is not a feed."))
    language = str(parsed.feed.get("language", ""))[:20]
    items = tuple(item for entry in parsed.entries if (item := _readable(entry, url, language)))
    title = plain(parsed.feed.get("title", ""))
    return Listing(title=title, language=language, items=items, ttl=_ttl(parsed.feed))


def _ttl(feed: Any) -> float:
    """Return the seconds for which a feed says that nothing new is to be expected: RSS's ttl or sy:updatePeriod.

    RSS 2.0 gives minutes; the syndication module a period and how often in it (https://web.resource.org/rss/1.0).
    """
    try:
        minutes = float(feed.get("ttl") or 0)
        period = _PERIODS.get(str(feed.get("sy_updateperiod") or "").strip().lower(), 0.0)
        frequency = float(feed.get("sy_updatefrequency") or 1)
    except (ValueError, TypeError):
        # What has attributes the library gives as these.
        return 0.0
    asked = max(minutes * 60, period / frequency if frequency >= 1 else 0.0)
    return min(asked, _TTL_MAX) if math.isfinite(asked) and asked > 0 else 0.0


def _readable(entry: Any, base: str, language: str) -> Item | None:
    """Return an item, or None where the entry cannot be read: the others are none the worse for it."""
    try:
        return _xml_item(entry, base, language)
    except Exception:
        # An element called "links", say, stands where the library itself looks for a list.
        logger.warning("%s: an entry cannot be read.", base, exc_info=True)
        return None


def _xml_item(entry: Any, base: str, language: str) -> Item:
    # dict.get, since feedparser's own falls back from "updated" to "published" with a warning.
    published, published_zone = _entry_time(entry, "published")
    updated, updated_zone = _entry_time(entry, "updated")
    contents = [str(part.get("value", "")) for part in _dicts(entry, "content")]
    return Item(
        guid=str(entry.get("id", ""))[:2000],
        url=address(_entry_link(entry), base),
        title=plain(entry.get("title", "")),
        summary=plain(entry.get("summary", "")),
        content=max(contents, key=len, default=""),
        published=published or updated,
        updated=updated,
        zone_known=published_zone if published else updated_zone,
        authors=clean_names(_entry_authors(entry)),
        tags=tuple(str(tag.get("term") or "") for tag in _dicts(entry, "tags") if tag.get("term")),
        language=str(entry.get("language", "") or language)[:20],
        image=address(_entry_image(entry), base),
    )


def _entry_link(entry: Any) -> str:
    """Return the link to the story itself: FeedBurner's original where it stands, then the alternate one."""
    return str(entry.get("feedburner_origlink") or entry.get("link") or "")


def _entry_authors(entry: Any) -> list[str]:
    names = [str(author["name"]) for author in _dicts(entry, "authors") if author.get("name")]
    whole = str(entry.get("author", ""))
    # feedparser takes a mail address to end after four letters of its last part and the rest to be a name.
    return [whole] if len(names) < 2 and (not names or "@" in whole) else names


def _entry_image(entry: Any) -> str:
    for picture in (part for name in _PICTURES for part in _dicts(entry, name)):
        kind = str(picture.get("type") or picture.get("medium") or "image")
        where = picture.get("url") or picture.get("href")
        if where and kind.startswith("image"):
            return str(where)
    return ""


def _dicts(entry: Any, name: str) -> list[Any]:
    """Return the parts of an entry under a name of the library's; a feed's own element of that name gives none."""
    parts = entry.get(name)
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def _entry_time(entry: Any, name: str) -> tuple[datetime | None, bool]:
    """Return (instant, whether its zone was written); feedparser reads more shapes, but loses the zone."""
    instant, zoned = parse_time(str(dict.get(entry, name, "")))
    if instant is not None:
        return instant, zoned
    parsed = dict.get(entry, f"{name}_parsed")
    if not parsed:
        return None, False
    try:
        return datetime.fromtimestamp(calendar.timegm(parsed), UTC), True
    except (ValueError, TypeError, OverflowError, OSError):
        return None, False


def _read_json(body: bytes, url: str) -> Listing:
    try:
        feed = json.loads(body.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError) as error:
        raise CollectError(
            FailureClass.NOT_A_FEED, _t("The answer is not a feed: %(detail)s") % {"detail": error}
        ) from error
    if not isinstance(feed, dict) or not isinstance(feed.get("items"), list):
        raise CollectError(FailureClass.NOT_A_FEED, _t("The answer is JSON, but not a JSON Feed."))
    version = feed.get("version")
    if not (isinstance(version, str) and "jsonfeed.org" in version):
        raise CollectError(FailureClass.NOT_A_FEED, _t("The answer is JSON, but does not say that it is a JSON Feed."))
    language = scalar(feed.get("language"))[:20]
    usual = _json_authors(feed)
    items = tuple(_json_item(entry, url, language, usual) for entry in feed["items"] if isinstance(entry, dict))
    return Listing(title=scalar(feed.get("title")), language=language, items=items)


def _json_item(entry: Mapping[str, Any], base: str, language: str, usual: list[str]) -> Item:
    published, published_zone = parse_time(scalar(entry.get("date_published")))
    updated, updated_zone = parse_time(scalar(entry.get("date_modified")))
    identifier = scalar(entry.get("id"))
    return Item(
        guid=identifier[:2000],
        url=address(scalar(entry.get("url") or entry.get("external_url")) or identifier, base, relative=False),
        title=plain(scalar(entry.get("title"))),
        summary=plain(scalar(entry.get("summary"))),
        content=scalar(entry.get("content_html") or entry.get("content_text")),
        published=published or updated,
        updated=updated,
        zone_known=published_zone if published else updated_zone,
        authors=clean_names(_json_authors(entry) or usual),
        tags=tuple(str(tag) for tag in _list(entry.get("tags")) if tag),
        language=(scalar(entry.get("language")) or language)[:20],
        image=address(scalar(entry.get("image") or entry.get("banner_image")), base),
    )


def _json_authors(entry: Mapping[str, Any]) -> list[str]:
    people = [*_list(entry.get("authors")), entry.get("author")]
    return [scalar(person.get("name")) for person in people if isinstance(person, dict) and person.get("name")]


def _list(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else ()
