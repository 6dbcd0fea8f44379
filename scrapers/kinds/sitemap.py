"""Sitemaps: plain, news (`news:` fields), gzipped, plain text, and indexes of them (https://www.sitemaps.org)."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from django import forms
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from lxml import etree

from scrapers import conf
from scrapers.extract.addresses import is_fetchable
from scrapers.extract.times import parse_time
from scrapers.fetch.body import Unpacker, too_big
from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.kinds.base import Item, Kind, Listing
from scrapers.kinds.feed import FeedKind
from scrapers.kinds.forms import OptionsForm
from scrapers.kinds.poll import NotModified, Poll
from scrapers.kinds.reading import address, as_utf8, is_blank, plain, without_doctype

MAX_DEPTH = 3
"""An index that leads to an index that leads to an index: no further."""
STAMPED_SHARE, STAMPED_LEAST = 0.5, 10
"""Where more than this share of this many entries changed at the same instant, it is when the file was made."""
_NEVER = datetime.min.replace(tzinfo=UTC)


class SitemapForm(OptionsForm):
    """How much of a sitemap is read."""

    most = forms.IntegerField(
        label=_("Entries at most"),
        initial=1000,
        min_value=1,
        max_value=50_000,
        help_text=_("The newest by their date; older ones are never looked at."),
    )
    sitemaps = forms.IntegerField(
        label=_("Sitemaps at most"),
        initial=20,
        min_value=1,
        max_value=200,
        help_text=_("How many sitemaps of an index are fetched, those that changed last first."),
    )


@dataclass(frozen=True)
class Sitemap:
    """One file: the entries of a sitemap, or of an index the addresses of sitemaps with when each last changed."""

    items: tuple[Item, ...] = ()
    sitemaps: tuple[tuple[str, datetime | None], ...] = ()
    is_index: bool = False


class SitemapKind(Kind):
    """A sitemap or an index of sitemaps; the entries with the newest dates first."""

    name = "sitemap"
    label = _("Sitemap (news, plain, index)")
    form = SitemapForm
    address_help = _("The address of a sitemap or of an index of sitemaps, e.g. the one that robots.txt names.")
    accept = "application/xml, text/xml;q=0.9, application/gzip;q=0.8, text/plain;q=0.5, */*;q=0.1"

    async def poll(self, poll: Poll) -> AsyncIterator[Listing]:
        """Yield the sitemap's entries, or those of each sitemap of an index, in these steps.

        1. An index that names a time for each sitemap stands for all of them, and so may be "not modified"; one that
           does not is asked for unconditionally, and each of its sitemaps conditionally.
        2. Sitemaps that changed last come first; those without a time keep their place at the end.
        3. No file is fetched twice, none beyond `sitemaps`, and no entry beyond `most` is looked at.
        """
        answer = await poll.first(accept=self.accept)
        first = await poll.read(read_sitemap, answer.body, url=answer.url, content_type=answer.content_type)
        room = int(poll.options["most"])
        if not first.is_index:
            yield Listing(items=newest(first.items, room))
            return
        poll.first_covers_all = all(changed for _url, changed in first.sitemaps)
        waiting = [(url, 1) for url in in_order(first.sitemaps)]
        seen, unchanged = {poll.url, answer.url}, 0
        files = int(poll.options["sitemaps"])
        yielded = False
        while waiting and files and room > 0:
            url, depth = waiting.pop(0)
            if url in seen:
                continue
            seen.add(url)
            files -= 1
            answer = await poll.fetch(url, accept=self.accept, conditional=True)
            if answer.not_modified:
                unchanged += 1
                continue
            part = await poll.read(read_sitemap, answer.body, url=answer.url, content_type=answer.content_type)
            if part.is_index and depth < MAX_DEPTH:
                waiting = [*((inner, depth + 1) for inner in in_order(part.sitemaps)), *waiting]
            items = newest(part.items, room)
            room -= len(items)
            if items:
                yielded = True
                yield Listing(items=items, more=bool(waiting))
        if unchanged and not yielded:
            raise NotModified


def read_sitemap(body: bytes, *, url: str, content_type: str) -> Sitemap:
    """Return what a file holds; of broken XML what can be read.

    Raises `CollectError`: `EMPTY`, `TOO_BIG` for what unpacks to more than the limit, `NOT_A_FEED` for something else.
    """
    body = _unpacked(body, url)
    if is_blank(body):
        raise CollectError(FailureClass.EMPTY, _t("The answer is empty."))
    body, content_type = as_utf8(body, content_type)
    if body.lstrip(b"\xef\xbb\xbf \t\r\n")[:4].lower() == b"http":
        return Sitemap(tuple(_item(line, url) for line in _lines(body)))
    parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=True, huge_tree=False, load_dtd=False)
    try:
        root = etree.fromstring(without_doctype(body), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise CollectError(FailureClass.NOT_A_FEED, _t("The answer is no sitemap.")) from error
    name = _local(root) if root is not None else ""
    if name == "sitemapindex":
        return Sitemap(is_index=True, sitemaps=tuple(_sitemaps(root, url)))
    if name == "urlset":
        items = [item for entry in root if _local(entry) == "url" and (item := _entry(entry, url))]
        return Sitemap(tuple(_without_stamps(items)))
    if name in ("rss", "feed", "rdf"):
        # The protocol takes feeds for sitemaps, too.
        return Sitemap(FeedKind().read(body, url=url, content_type=content_type).items)
    raise CollectError(FailureClass.NOT_A_FEED, _t("The answer is no sitemap."))


def newest(items: Sequence[Item], most: int) -> tuple[Item, ...]:
    """Return at most so many items, the newest first; those without a date keep their order, behind."""
    return tuple(sorted(items, key=lambda item: item.updated or item.published or _NEVER, reverse=True)[:most])


def in_order(sitemaps: Sequence[tuple[str, datetime | None]]) -> list[str]:
    """Return the addresses, what changed last first; those without a time keep their order, behind."""
    return [url for url, _changed in sorted(sitemaps, key=lambda found: found[1] or _NEVER, reverse=True)]


def _unpacked(body: bytes, url: str) -> bytes:
    if not body.startswith(b"\x1f\x8b"):
        return body
    limit = conf.max_bytes()
    try:
        unpacked = Unpacker("gzip").feed(body, limit)
    except zlib.error as error:
        raise CollectError(FailureClass.BAD_ANSWER, _t("The file cannot be unpacked: %s") % error) from error
    if len(unpacked) > limit:
        raise too_big(url, limit)
    return unpacked


def _lines(body: bytes) -> list[str]:
    lines = (line.strip() for line in body.decode("utf-8-sig", "replace").splitlines())
    return [line for line in lines if is_fetchable(line)]


def _sitemaps(root: etree._Element, base: str) -> list[tuple[str, datetime | None]]:
    found = []
    for entry in root:
        fields = {_local(field): (field.text or "").strip() for field in entry}
        if url := address(fields.get("loc", ""), base):
            found.append((url, parse_time(fields.get("lastmod", ""))[0]))
    return found


def _entry(entry: etree._Element, base: str) -> Item | None:
    fields: dict[str, str] = {}
    for field in entry.iter():
        if not isinstance(field.tag, str) or not (text := (field.text or "").strip()):
            continue
        space = field.tag.rpartition("}")[0].lower()
        prefix = next((f"{name}:" for name in ("image", "video") if name in space), "")
        fields.setdefault(prefix + _local(field), text)
    url = address(fields.get("loc", ""), base)
    if not url:
        return None
    published, zoned = parse_time(fields.get("publication_date", ""))
    changed, _zoned = parse_time(fields.get("lastmod", ""))
    return Item(
        guid=url,
        url=url,
        title=plain(fields.get("title", "")),
        published=published,
        updated=changed,
        zone_known=zoned if published else True,
        tags=tuple(word for part in fields.get("keywords", "").split(",") if (word := part.strip())),
        language=fields.get("language", "")[:20],
        image=address(fields.get("image:loc", ""), base),
    )


def _item(url: str, base: str) -> Item:
    return Item(guid=url, url=address(url, base))


def _without_stamps(items: list[Item]) -> list[Item]:
    """Forget times of change that say when the file was made: all pages would be fetched again at each poll."""
    common = Counter(item.updated for item in items if item.updated).most_common(1)
    if not common or len(items) < STAMPED_LEAST or common[0][1] <= STAMPED_SHARE * len(items):
        return items
    return [replace(item, updated=None) if item.updated == common[0][0] else item for item in items]


def _local(element: etree._Element) -> str:
    # Not by QName: in broken XML there are names that it refuses.
    return element.tag.rpartition("}")[2].lower() if isinstance(element.tag, str) else ""
