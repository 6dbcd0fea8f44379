"""JSON APIs: JMESPath expressions find the items, their parts and the page that follows (https://jmespath.org)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urljoin

import jmespath
from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions

from scrapers.extract.names import clean_names
from scrapers.extract.times import parse_time
from scrapers.fetch.answers import Answer
from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.kinds.base import Item, Kind, Listing
from scrapers.kinds.paging import PagesForm, pages, with_parameter
from scrapers.kinds.poll import Poll
from scrapers.kinds.reading import address, is_blank, plain, scalar

MAX_ITEMS = 1000
"""Items of one answer."""


def validate_jmespath(expression: str) -> None:
    """Accept a JMESPath expression; raises `ValidationError` that says what is wrong with it."""
    try:
        unknown = sorted(_functions(_compiled(expression).parsed) - set(Functions.FUNCTION_TABLE))
    except (JMESPathError, RecursionError) as error:
        why = " ".join(str(error).split())[:200]
        message = _t("“%(expression)s” is no JMESPath expression: %(why)s") % {"expression": expression, "why": why}
        raise ValidationError(message) from error
    if unknown:
        raise ValidationError(_t("JMESPath has no function %(name)s().") % {"name": unknown[0]})


def _functions(node: Any) -> set[str]:
    """Return the names of the functions that a parsed expression calls; they are looked up only when it is used."""
    named = {str(node["value"])} if node["type"] == "function_expression" else set()
    return named.union(*(_functions(child) for child in node["children"] if isinstance(child, dict)))


class PathField(forms.CharField):
    """A JMESPath expression."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": 500, "validators": [validate_jmespath], **kwargs})


class JSONForm(PagesForm):
    """Where the items of an answer and their parts are."""

    items = PathField(
        label=_("Items"), initial="items", help_text=_("JMESPath to the list of items, e.g. data.results")
    )
    link = PathField(label=_("Address"), initial="url", help_text=_("Within an item: the article's address."))
    identifier = PathField(label=_("Identifier"), required=False, help_text=_("Left empty: the address."))
    title = PathField(label=_("Title"), required=False, initial="title")
    date = PathField(label=_("Date"), required=False, help_text=_("E.g. published_at"))
    updated = PathField(label=_("Last change"), required=False)
    summary = PathField(label=_("Summary"), required=False)
    content = PathField(label=_("Content"), required=False, help_text=_("HTML or text of the article."))
    author = PathField(
        label=_("Authors"), required=False, help_text=_("A name or a list of names, e.g. authors[].name")
    )
    image = PathField(label=_("Image"), required=False)
    language = PathField(label=_("Language"), required=False)
    following = PathField(
        label=_("Next page"),
        required=False,
        help_text=_("From the whole answer: an address, or the value that the parameter below takes; null ends it."),
    )
    parameter = forms.RegexField(
        r"^[\w.\[\]-]+$",
        label=_("Parameter of the page"),
        required=False,
        max_length=50,
        help_text=_("E.g. page. Without an expression above it counts up: 2, 3, …"),
    )

    def clean(self) -> dict[str, Any]:
        """Refuse more than one page where nothing says how the next one is found."""
        cleaned = super().clean() or {}
        if (cleaned.get("pages") or 1) > 1 and not (cleaned.get("following") or cleaned.get("parameter")):
            self.add_error("pages", _("Say below how the page that follows is found."))
        return cleaned


class JSONKind(Kind):
    """An address that answers with JSON."""

    name = "json_api"
    label = _("JSON API")
    form = JSONForm
    address_help = _("An address that answers with JSON; {query} stands for a run's query.")
    takes_query = True
    accept = "application/json, */*;q=0.1"

    async def poll(self, poll: Poll) -> AsyncIterator[Listing]:
        """Yield the items of the answer and of those that follow."""
        async for listing in pages(poll, _read, accept=self.accept):
            yield listing


def read_json(
    answer: Answer, options: Mapping[str, Any], number: int = 1, *, must_match: bool = True
) -> tuple[Listing, str]:
    """Return (items of an answer, address of the page that follows or an empty string).

    Raises `CollectError`: `EMPTY`, `NOT_A_FEED` for what is no JSON, `NO_MATCH` if `must_match` and the expression for
    the items finds no list.
    """
    if is_blank(answer.body):
        raise CollectError(FailureClass.EMPTY, _t("The answer is empty."))
    try:
        data = json.loads(answer.body.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError) as error:
        raise CollectError(FailureClass.NOT_A_FEED, _t("The answer is no JSON: %s") % error) from error
    found = _value(data, options["items"])
    if not isinstance(found, list):
        if must_match:
            sentence = _t("The expression for the items, “%s”, finds no list in the answer.") % options["items"]
            raise CollectError(FailureClass.NO_MATCH, sentence, http_status=answer.status)
        found = []
    items = {item.guid: item for entry in found[:MAX_ITEMS] if (item := _item(entry, answer.url, options))}
    if found and not items and must_match:
        sentence = _t("None of the %(count)s items has an address by “%(path)s”.")
        values = {"count": len(found), "path": options["link"]}
        raise CollectError(FailureClass.NO_MATCH, sentence % values, http_status=answer.status)
    return Listing(items=tuple(items.values())), _following(data, answer.url, options, number)


def _read(answer: Answer, number: int, options: Mapping[str, Any]) -> tuple[Listing, str]:
    return read_json(answer, options, number, must_match=number == 1)


def _item(entry: Any, base: str, options: Mapping[str, Any]) -> Item | None:
    def text(name: str) -> str:
        return scalar(_value(entry, options[name])) if options.get(name) else ""

    url = address(text("link"), base)
    if not url:
        return None
    published, published_zone = parse_time(text("date"))
    updated, _zone = parse_time(text("updated"))
    names = _value(entry, options["author"]) if options.get("author") else []
    return Item(
        guid=text("identifier")[:2000] or url,
        url=url,
        title=plain(text("title")),
        summary=plain(text("summary")),
        content=text("content"),
        published=published,
        updated=updated,
        zone_known=published_zone,
        authors=clean_names(scalar(name) for name in (names if isinstance(names, list) else [names])),
        language=text("language")[:20],
        image=address(text("image"), base),
    )


def _following(data: Any, url: str, options: Mapping[str, Any], number: int) -> str:
    name = options.get("parameter") or ""
    if not options.get("following"):
        return with_parameter(url, name, str(number + 1)) if name else ""
    value = scalar(_value(data, options["following"])).strip()
    if not value:
        return ""
    if name and not value.startswith(("http://", "https://", "/", "?")):
        return with_parameter(url, name, value)
    return address(urljoin(url, value), url)


def _value(data: Any, expression: str) -> Any:
    try:
        return _compiled(expression).search(data)
    except (JMESPathError, RecursionError, TypeError, ValueError, AttributeError):
        # A function that gets a value of another type than it wants: the expression finds nothing here.
        return None


@lru_cache(maxsize=1000)
def _compiled(expression: str) -> Any:
    return jmespath.compile(expression)
