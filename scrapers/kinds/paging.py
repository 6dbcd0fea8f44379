"""Following pages: what the kinds that have them share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from django import forms
from django.utils.translation import gettext_lazy as _

from scrapers.fetch.answers import Answer
from scrapers.kinds.base import Listing
from scrapers.kinds.forms import OptionsForm
from scrapers.kinds.poll import Poll

#: From an answer, its number (1, 2, …) and the options to what it holds and the address of the page that follows, or
#: none. A function of a module, since it may be called in another process.
Reader = Callable[[Answer, int, Mapping[str, Any]], tuple[Listing, str]]


class PagesForm(OptionsForm):
    """The option that all kinds with following pages have."""

    pages = forms.IntegerField(
        label=_("Pages at most"),
        initial=1,
        min_value=1,
        max_value=200,
        help_text=_("A further page is asked for only if the one before held anything new."),
    )


async def pages(poll: Poll, read: Reader, *, accept: str) -> AsyncIterator[Listing]:
    """Yield page after page, in these steps.

    1. The first is asked for only if it has changed since everything was dealt with.
    2. The one that follows is asked for while there are fewer than `pages`, and while the one before held something
       that was not known, or the last poll was not finished.
    3. No address is asked twice; an answer without items ends it.
    """
    answer, seen = await poll.first(accept=accept), {poll.url}
    most = int(poll.options["pages"])
    for number in range(1, most + 1):
        listing, following = await poll.read(read, answer, number, poll.options)
        more = bool(following and following not in seen and listing.items and number < most)
        yield Listing(listing.title, listing.language, listing.items, more, listing.unmatched)
        if not more or (poll.caught_up and not poll.found_new):
            return
        seen |= {following, answer.url}
        answer = await poll.fetch(following, accept=accept)


def with_parameter(url: str, name: str, value: str) -> str:
    """Return an address with one parameter of its query set."""
    parts = urlsplit(url)
    kept = [(key, old) for key, old in parse_qsl(parts.query, keep_blank_values=True) if key != name]
    return urlunsplit(parts._replace(query=urlencode([*kept, (name, value)])))
