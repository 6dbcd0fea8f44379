"""Listing pages: HTML in which selectors find the items, and where a page that follows is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from lxml import etree, html
from lxml.html import HtmlElement

from scrapers import selectors
from scrapers.extract.encoding import decode
from scrapers.extract.names import clean_names
from scrapers.extract.times import parse_time
from scrapers.fetch.answers import Answer
from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.kinds.base import Item, Kind, Listing
from scrapers.kinds.paging import PagesForm, pages
from scrapers.kinds.poll import Poll
from scrapers.kinds.reading import address, is_blank

MAX_ITEMS = 1000
"""Items of one page; a selector that finds more finds too much."""


class SelectorField(forms.CharField):
    """A CSS selector or an XPath expression."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": selectors.MAX_LENGTH, "validators": [selectors.validate_selector], **kwargs})


class ListingForm(PagesForm):
    """Where the items of a listing page and their parts are."""

    items = SelectorField(
        label=_("Items"),
        help_text=_("CSS or XPath: what stands for one article each, e.g. article.teaser. XPath begins with / or ./"),
    )
    link = SelectorField(
        label=_("Link"), required=False, help_text=_("Within the item; left empty: its first link. E.g. h2 a")
    )
    title = SelectorField(
        label=_("Title"), required=False, help_text=_("Within the item; left empty: the article's page has it.")
    )
    date = SelectorField(label=_("Date"), required=False, help_text=_("E.g. time, or span.date::attr(title)"))
    summary = SelectorField(label=_("Summary"), required=False)
    author = SelectorField(label=_("Author"), required=False)
    image = SelectorField(label=_("Image"), required=False)
    following = SelectorField(
        label=_("Next page"), required=False, help_text=_("The link to the page that follows, e.g. a[rel=next]")
    )


class ListingKind(Kind):
    """A page that lists articles."""

    name = "listing"
    label = _("Listing page (by selectors)")
    form = ListingForm
    address_help = _("The address of a page that lists articles, the newest first; {query} stands for a run's query.")
    takes_query = True
    accept = "text/html, application/xhtml+xml, */*;q=0.1"

    async def poll(self, poll: Poll) -> AsyncIterator[Listing]:
        """Yield the items of the page and of those that follow."""
        async for listing in pages(poll, _read, accept=self.accept):
            yield listing


def read_listing(answer: Answer, options: Mapping[str, Any], *, must_match: bool = True) -> tuple[Listing, str]:
    """Return (items of a page, address of the page that follows or an empty string).

    Raises `CollectError`: `EMPTY`, `NOT_A_PAGE`, and `NO_MATCH` if `must_match` and the selector finds no item.
    """
    if is_blank(answer.body):
        raise CollectError(FailureClass.EMPTY, _t("The answer is empty."))
    tree = read_tree(answer)
    found = selectors.elements(tree, options["items"])[:MAX_ITEMS]
    if not found and must_match:
        sentence = _t("The selector for the items, “%s”, finds nothing on the page.") % options["items"]
        raise CollectError(FailureClass.NO_MATCH, sentence, http_status=answer.status)
    items = {item.guid: item for element in found if (item := _item(element, answer.url, options))}
    if found and not items and must_match:
        sentence = _t("None of the %(count)s items that “%(selector)s” finds holds a link that could be followed.")
        values = {"count": len(found), "selector": options["items"]}
        raise CollectError(FailureClass.NO_MATCH, sentence % values, http_status=answer.status)
    title = " ".join(str(tree.findtext(".//title") or "").split())
    language = str(tree.get("lang") or "")[:20]
    listing = Listing(title, language, tuple(items.values()), unmatched=_unmatched(items.values(), options))
    following = selectors.first_link(tree, options["following"]) if options.get("following") else ""
    return listing, address(following, answer.url)


def _read(answer: Answer, number: int, options: Mapping[str, Any]) -> tuple[Listing, str]:
    return read_listing(answer, options, must_match=number == 1)


def read_tree(answer: Answer) -> HtmlElement:
    """Return a page of HTML as a tree; raises `CollectError` (`NOT_A_PAGE`)."""
    text = decode(answer.body, answer.content_type)
    try:
        # In bytes, since lxml refuses text that declares an encoding.
        return html.document_fromstring(text.encode("utf-8", "replace"), parser=html.HTMLParser(encoding="utf-8"))
    except (etree.LxmlError, ValueError) as error:
        raise CollectError(FailureClass.NOT_A_PAGE, _t("The answer is no page of HTML.")) from error


def _item(element: HtmlElement, base: str, options: Mapping[str, Any]) -> Item | None:
    url = address(selectors.first_link(element, options.get("link") or "a[href]"), base)
    if not url:
        return None
    published, zoned = parse_time(selectors.first_text(element, options.get("date", "")))
    return Item(
        guid=url,
        url=url,
        title=selectors.first_text(element, options.get("title", "")),
        summary=selectors.first_text(element, options.get("summary", "")),
        published=published,
        zone_known=zoned,
        authors=clean_names(selectors.texts(element, options["author"])) if options.get("author") else (),
        image=address(selectors.first_link(element, options["image"]), base) if options.get("image") else "",
    )


def _unmatched(items: Collection[Item], options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the selectors that found nothing in any item, as "title: h2"."""
    parts = {"title": "title", "date": "published", "summary": "summary", "author": "authors", "image": "image"}
    return tuple(
        f"{name}: {options[name]}"
        for name, attribute in parts.items()
        if options.get(name) and not any(getattr(item, attribute) for item in items)
    )
