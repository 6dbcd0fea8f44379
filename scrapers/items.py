"""What a listing holds: each item is looked up, judged, its page fetched and read, and the article stored.

`collect.py` calls it with each listing of a source. Each item ends in exactly one counter, whatever happens to it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace

from django.utils import timezone
from django.utils.translation import gettext as _t

from scheduling.jobs import RunContext
from scrapers.assemble import draft as assemble
from scrapers.assemble import full_text, page_of_item
from scrapers.extract.page import Page, Wanted
from scrapers.fetch.answers import Answer
from scrapers.fetch.client import Fetcher
from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.fetch.identity import Identity
from scrapers.fetch.rendering import Renderer
from scrapers.health import looks_new
from scrapers.ingest import Entry, Outcome, Status
from scrapers.kinds import Item, Listing
from scrapers.kinds.reading import in_encoding
from scrapers.pool import ExtractPool
from scrapers.progress import Progress, totals
from scrapers.query import Document, Query
from scrapers.storage import Storage

logger = logging.getLogger(__name__)

PAGES_AT_ONCE = 8
"""Pages of one source that are dealt with at once; how many requests a host allows is decided by its slots."""
PAGE_ACCEPT = "text/html, application/xhtml+xml, */*;q=0.1"
_PAGE_TYPES = ("text/html", "application/xhtml+xml", "application/xml", "text/xml", "")


class Items:
    """Deals with the items of a run's sources; `limit` is the number of new articles from each source."""

    def __init__(
        self,
        context: RunContext,
        query: Query,
        limit: int | None,
        *,
        storage: Storage,
        fetcher: Fetcher,
        renderer: Renderer,
        pool: ExtractPool,
    ) -> None:
        self._context = context
        self._query = query
        self._limit = limit
        self._storage = storage
        self._fetcher = fetcher
        self._renderer = renderer
        self._pool = pool
        self._totals: Counter[str] = Counter()

    async def deal_with(self, progress: Progress, listing: Listing) -> bool:
        """Deal with the items of a listing; tell whether any of them was not known."""
        entries = [Entry.of(_without_parameters(item, progress.plan.identity)) for item in listing.items]
        statuses = await self._storage.look_up(progress.source, entries, self._query.key)
        statuses = await self._known_by_title(progress, entries, statuses)
        beyond = await self._first_import(progress, entries)
        waiting: deque[tuple[Entry, Status]] = deque()
        for place, (entry, status) in enumerate(zip(entries, statuses, strict=True)):
            if status.outcome is not None:
                self._count(progress, status.outcome)
            elif place in beyond:
                self._count(progress, Outcome.TOO_OLD)
            else:
                waiting.append((entry, status))
        # With a limit one after another, since each may or may not turn out to be new.
        at_once = PAGES_AT_ONCE if self._limit is None else 1
        async with asyncio.TaskGroup() as group:
            for _worker in range(min(at_once, len(waiting))):
                group.create_task(self._work(progress, waiting))
        return any(status.outcome is not Outcome.KNOWN for status in statuses)

    async def _known_by_title(
        self, progress: Progress, entries: Sequence[Entry], statuses: list[Status]
    ) -> list[Status]:
        """Return what is known of entries; where most of a known source look new at once, their titles decide."""
        # Those of the last days are taken for duplicates by their titles already.
        other = (None, Outcome.DUPLICATE)
        unknown = [place for place, found in enumerate(statuses) if found.outcome in other and found.refresh is None]
        if not looks_new(progress.caught_up, len(entries), len(unknown)):
            return statuses
        keys = {entries[place].title_hash for place in unknown}
        titles = await self._storage.stored_titles(progress.source, keys)
        known = {place for place in unknown if entries[place].title_hash in titles}
        if not known:
            return statuses
        progress.looks_new += len(unknown)
        return [Status(Outcome.KNOWN) if place in known else status for place, status in enumerate(statuses)]

    async def _first_import(self, progress: Progress, entries: Sequence[Entry]) -> set[int]:
        """Pass over what the first poll of a source is to leave out; return the places of those entries."""
        if progress.source.last_success_at is not None:
            return set()
        beyond = progress.plan.beyond_first_import([entry.item for entry in entries], progress.ranked)
        progress.ranked += len(entries)
        if beyond:
            await self._storage.pass_over(progress.source, [entries[place] for place in beyond])
        return beyond

    async def _work(self, progress: Progress, waiting: deque[tuple[Entry, Status]]) -> None:
        while waiting:
            entry, status = waiting.popleft()
            if status.refresh is None and self._limit is not None and progress.counts[Outcome.NEW] >= self._limit:
                self._count(progress, Outcome.OVER_LIMIT)
                continue
            self._count(progress, await self._one_item(progress, entry, status))

    async def _one_item(self, progress: Progress, entry: Entry, status: Status) -> Outcome:
        """Deal with one item; a failure of its own is a counter, a line in the log, and no more."""
        source = progress.source
        try:
            return await self._article(progress, entry, status)
        except CollectError as error:
            failure = error
        except Exception:
            logger.exception("An article of %s failed for a reason of our own: %s", source, entry.url)
            failure = CollectError(FailureClass.INTERNAL, _t("Internal error; the log tells more."))
        title = entry.item.title or entry.url or entry.item.guid
        self._context.log(f"{source}: “{title}”: {failure.sentence}", logging.WARNING)
        if failure.failure.is_permanent:
            await self._storage.pass_over(source, [entry])
        if failure.failure is FailureClass.ROBOTS:
            return Outcome.FORBIDDEN
        progress.failures.append(failure)
        return Outcome.FAILED

    async def _article(self, progress: Progress, entry: Entry, status: Status) -> Outcome:
        item, plan = entry.item, progress.plan
        if plan.excludes(item):
            return Outcome.EXCLUDED_BY_PATTERN
        if plan.is_too_old(item.published, timezone.now()):
            return Outcome.TOO_OLD
        known = Document(item.title, item.summary, sources=(progress.source.name,))
        if self._query.excludes(known):
            return Outcome.EXCLUDED
        if not entry.url:
            raise CollectError(FailureClass.NO_ADDRESS, _t("The entry has no address that could be fetched."))
        text = full_text(item, plan)
        answer = None
        if text:
            page = page_of_item(progress.source, entry, text)
        else:
            answer = await self._fetcher.fetch(
                item.url, accept=PAGE_ACCEPT, tally=progress.tally, identity=plan.identity
            )
            page = await self._page(progress, in_encoding(answer, plan.encoding), item)
        draft = assemble(entry, status, page, source=progress.source, plan=plan, run_id=self._context.run_id)
        if draft is None:
            raise CollectError(FailureClass.NO_TEXT, _t("No text of an article was found on the page."))
        if answer and plan.keep_page:
            draft = replace(draft, page=answer.body, page_type=answer.content_type)
        if not self._query.matches(draft.document(progress.source.name)):
            await self._storage.pass_over(progress.source, [entry], self._query.key)
            return Outcome.EXCLUDED
        if plan.is_too_old(draft.published, timezone.now()):
            await self._storage.pass_over(progress.source, [entry])
            return Outcome.TOO_OLD
        return await self._storage.store(draft)

    async def _page(self, progress: Progress, answer: Answer, item: Item) -> Page:
        """Return what a page holds, by the source's selectors where it has some."""
        if answer.content_type.partition(";")[0].strip().lower() not in _PAGE_TYPES:
            sentence = _t("The answer is no page of text, but %(type)s.") % {"type": answer.content_type[:100]}
            raise CollectError(FailureClass.NOT_A_PAGE, sentence, http_status=answer.status)
        if progress.plan.javascript:
            body = await self._renderer.render(answer, progress.plan.identity)
            answer = replace(answer, body=body, content_type="text/html; charset=utf-8")
        with self._storage.article_coming():
            page = await self._pool.read(
                answer.body, answer.content_type, answer.url, wanted=_wanted(item), rules=progress.plan.rules
            )
        progress.pages += 1
        for selector in page.unmatched:
            progress.unmatched[selector] += 1
            if progress.unmatched[selector] == 1:
                words = _t("%(source)s: the selector finds nothing on %(url)s: %(selector)s")
                values = {"source": progress.source, "url": answer.url, "selector": selector}
                self._context.log(words % values, logging.WARNING)
        return page

    def _count(self, progress: Progress, outcome: Outcome) -> None:
        progress.counts[outcome] += 1
        self._totals[outcome] += 1
        self._totals["found"] += 1
        self._context.count(**totals(self._totals))


def _wanted(item: Item) -> Wanted:
    """Return what the page of an item is to be searched for."""
    if item.title and item.published and item.authors:
        return Wanted.REST
    return Wanted.STATED if item.published else Wanted.ALL


def _without_parameters(item: Item, identity: Identity) -> Item:
    """Return an item without the source's tokens, where its server repeats them in addresses."""
    if not identity.parameters:
        return item
    return replace(item, url=identity.shown(item.url), guid=identity.shown(item.guid), image=identity.shown(item.image))
