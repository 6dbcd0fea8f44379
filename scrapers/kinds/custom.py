"""Scrapers of one's own in Python: a class with one method, found in the `scrapers.py` of every installed app.

    from scrapers.kinds import Item, Scraper, scraper

    @scraper("tides", label="Tide tables")
    class Tides(Scraper):
        async def scrape(self, poll):
            answer = await poll.fetch(poll.url)
            yield Item(guid="today", url=poll.url, title="High water", text=answer.body.decode())

Each is a kind of source of its own, with its own form (`form = …`, an `OptionsForm`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, ClassVar, TypeVar, cast

from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from scrapers.kinds.base import Item, Kind, Listing, registry
from scrapers.kinds.forms import OptionsForm
from scrapers.kinds.poll import Poll

PREFIX = "custom."
"""What the names of these kinds begin with."""
BATCH = 100
"""Items that are dealt with at once, while the scraper waits."""
MAX_ITEMS = 50_000
"""A scraper that finds more than this in one poll is taken to have no end."""


class Scraper(ABC):
    """A scraper of one's own."""

    #: The form of its parameters, which are `poll.options`.
    form: ClassVar[type[OptionsForm]] = OptionsForm
    address_help: ClassVar[Any] = _("Where the scraper begins.")
    takes_query: ClassVar[bool] = True

    @abstractmethod
    def scrape(self, poll: Poll) -> AsyncIterator[Item]:
        """Yield items. Requests go through `poll.first` and `poll.fetch`, hard work through `poll.read`.

        Raises `CollectError` for what a person should be told; anything else is logged with its traceback.
        """


class CustomKind(Kind):
    """The kind that a scraper of one's own is."""

    def __init__(self, name: str, label: Any, scraper: type[Scraper]) -> None:
        self.name = f"{PREFIX}{name}"  # type: ignore[misc]
        self.label = label  # type: ignore[misc]
        self.form = scraper.form  # type: ignore[misc]
        self.address_help = scraper.address_help  # type: ignore[misc]
        self.takes_query = scraper.takes_query  # type: ignore[misc]
        self.scraper = scraper

    async def poll(self, poll: Poll) -> AsyncIterator[Listing]:
        """Yield the scraper's items in batches."""
        items: list[Item] = []
        found = 0
        async with aclosing(cast(AsyncGenerator[Item], self.scraper().scrape(poll))) as scraped:
            async for item in scraped:
                if not isinstance(item, Item):
                    raise TypeError(f"{self.name} yielded {type(item).__name__}, not Item")
                found += 1
                if len(items) == BATCH:
                    yield Listing(items=tuple(items), more=True)
                    items = []
                items.append(item)
                if found >= MAX_ITEMS:
                    break
        yield Listing(items=tuple(items))


S = TypeVar("S", bound=type[Scraper])


def scraper(name: str, *, label: Any = "") -> Callable[[S], S]:
    """Register the decorated class as a kind of source; raises `ValueError` if the name is taken or too long."""

    def register(decorated: S) -> S:
        if len(PREFIX + name) > 60:
            raise ValueError(f"the name of a scraper has at most {60 - len(PREFIX)} characters: {name!r}")
        registry.add(CustomKind(name, label or _t("Python: %s") % name, decorated))
        return decorated

    return register
