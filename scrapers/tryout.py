"""Try it: what a source would bring, by the very path of a run, with nothing stored.

Called by the admin's *Try it* and by `manage.py scrape --dry-run`. Only what concerns the hosts is written as ever
(robots.txt, slots, cool-downs): a rehearsal asks as politely as a run.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from scheduling.jobs import RunContext
from scheduling.models import Cause, Run
from scrapers import query as queries
from scrapers import selectors
from scrapers.collect import Collection
from scrapers.database import DatabaseThread
from scrapers.drafts import Draft, Entry, Outcome, Status
from scrapers.fetch.answers import Answer
from scrapers.fetch.client import Fetcher
from scrapers.fetch.failures import CollectError, classify
from scrapers.items import PAGE_ACCEPT
from scrapers.kinds.listing import read_tree
from scrapers.models import Article, Facts, ResultStatus, Source, SourceResult
from scrapers.polled_by import JOB
from scrapers.storage import Storage

ARTICLES = 10
"""How many items a rehearsal looks at."""
SECONDS = 15.0
"""How long a rehearsal in the admin may take; what it has by then is shown."""
VALUES_SHOWN = 20
"""How many texts of a selector are shown."""


class Rehearsal(Storage):
    """Takes the place of the database: every item is new, and articles are kept in memory.

    `most` is how many items are looked at; `on_draft` is called with each article, and where it returns False, `stop`.
    """

    def __init__(
        self,
        database: DatabaseThread,
        stop: Callable[[], None],
        most: int | None = None,
        on_draft: Callable[[Draft], bool] | None = None,
    ) -> None:
        super().__init__(database)
        self._stop = stop
        self._most = most
        self._on_draft = on_draft
        self._seen: set[str] = set()
        self._order: dict[str, int] = {}
        self._drafts: list[Draft] = []

    @property
    def drafts(self) -> list[Draft]:
        """Return the articles in the order of the source."""
        return sorted(self._drafts, key=lambda draft: self._order[draft.entry.key])

    async def look_up(self, source: Source, entries: Sequence[Entry], scope: str) -> list[Status]:
        """Take every entry for new that does not repeat an earlier one, up to `most`."""
        statuses = []
        for entry in entries:
            names = {entry.key, entry.url} - {""}
            if names & self._seen:
                statuses.append(Status(Outcome.DUPLICATE))
            elif self._most is not None and len(self._order) >= self._most:
                statuses.append(Status(Outcome.OVER_LIMIT))
            else:
                self._order[entry.key] = len(self._order)
                statuses.append(Status())
            self._seen |= names
        return statuses

    async def store(self, draft: Draft) -> Outcome:
        """Keep an article in memory."""
        self._drafts.append(draft)
        if self._on_draft and not self._on_draft(draft):
            self._stop()
        return Outcome.NEW

    async def pass_over(self, source: Source, entries: Iterable[Entry], scope: str = "") -> None:
        """Remember nothing."""

    async def begin_pages(self, source: Source) -> None:
        """Note nothing."""

    async def stored_titles(self, source: Source, titles: set[str]) -> set[str]:
        """Know none."""
        return set()

    async def begin_poll(self, source: Source) -> None:
        """Note nothing; raises `CollectError` if the server asked to be left alone, which a rehearsal heeds too."""
        source.check_held()

    async def polled(self, source: Source, **how: Any) -> None:
        """Note nothing."""

    async def not_modified(self, source: Source, facts: Facts) -> None:
        """Note nothing."""

    async def forgive(self) -> None:
        """Note nothing."""

    async def is_gone(self, source: Source) -> bool:
        """Mind nothing: it may never have been stored."""
        return False

    async def hold_off(self, source: Source, pause: timedelta) -> None:
        """Note nothing."""

    async def failed(self, source: Source, error: CollectError) -> None:
        """Note nothing."""

    async def save(self, result: SourceResult) -> SourceResult:
        """Return the result as it is."""
        return result


class RehearsalContext(RunContext):
    """The context of a run that is no row: it is never opened, so nothing that is reported is written."""

    def __init__(self, query: str = "", on_progress: Callable[[str], None] | None = None) -> None:
        super().__init__(Run(job=JOB, parameters={"query": query}, cause=Cause.MANUAL))
        self._on_progress = on_progress
        self.lines: list[str] = []

    def log(self, message: str, level: int = 0) -> None:
        """Keep a line of the log."""
        self.lines.append(message)
        if self._on_progress:
            self._on_progress(message)


@dataclass(frozen=True)
class Trial:
    """What a rehearsal brought: the articles as they would be stored, how it went, and what was noted on the way."""

    source: Source
    articles: list[Article]
    drafts: list[Draft]
    result: SourceResult
    lines: list[str] = field(default_factory=list)
    out_of_time: bool = False

    @property
    def failed(self) -> bool:
        """Tell whether the source could not be read."""
        return self.result.status == ResultStatus.FAILED

    @property
    def left_out(self) -> str:
        """Return in words what became of the entries that brought no article."""
        return ", ".join(
            self.result.counted(name)
            for name in self.result.COUNTERS
            if name not in ("new", "over_limit") and getattr(self.result, name)
        )


def rehearse(
    source: Source,
    *,
    query: str = "",
    limit: int | None = None,
    most: int | None = ARTICLES,
    seconds: float | None = SECONDS,
    on_draft: Callable[[Draft], bool] | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Trial:
    """Collect from a source, saved or not, and store nothing.

    At most `most` items are looked at and `limit` articles kept; after `seconds`, or when `on_draft` returns False, it
    ends with what it has. Raises `query.QueryError`.
    """
    parsed = queries.parse(query)
    context = RehearsalContext(query, on_progress)
    rehearsals: list[Rehearsal] = []

    def storage(database: DatabaseThread) -> Rehearsal:
        rehearsals.append(Rehearsal(database, context.request_cancel, most, on_draft))
        return rehearsals[-1]

    collection = Collection(context, [_as_new(source)], parsed, limit, storage)
    timer = threading.Timer(seconds, context.request_cancel) if seconds is not None else None
    if timer:
        timer.daemon = True
        timer.start()
    try:
        (result,) = asyncio.run(collection.run())
    finally:
        if timer:
            timer.cancel()
    drafts = rehearsals[0].drafts
    articles = [Article(url=draft.url, **draft.fields()) for draft in drafts]
    return Trial(source, articles, drafts, result, context.lines[:-1], out_of_time=context.cancelled)


def _as_new(source: Source) -> Source:
    """Return the source as if it had never been polled: nothing is asked for conditionally, nothing is known."""
    values = {field.attname: getattr(source, field.attname) for field in Source._meta.concrete_fields}
    return Source(
        **values
        | {"etag": "", "last_modified": "", "validators_key": "", "page_validators": {}, "last_success_at": None}
    )


@dataclass(frozen=True)
class Yield:
    """What a selector finds on a page: how often, and the first texts (an address where it finds a link)."""

    url: str
    selector: str
    count: int
    texts: tuple[str, ...]


def try_selector(url: str, selector: str) -> Yield:
    """Return what a selector finds on the page at an address.

    Raises `CollectError` for the page, `ValidationError` for the selector.
    """
    selectors.validate_selector(selector)
    try:
        answer = asyncio.run(asyncio.wait_for(_fetch(url), SECONDS))
    except TimeoutError as error:
        raise classify(error, urlsplit(url).netloc) from error
    count, texts = selectors.yields(read_tree(answer), selector, VALUES_SHOWN)
    return Yield(answer.url, selector, count, tuple(texts))


async def _fetch(url: str) -> Answer:
    database = DatabaseThread()
    try:
        async with Fetcher(database) as fetcher:
            return await fetcher.fetch(url, accept=PAGE_ACCEPT)
    finally:
        await database.close()
