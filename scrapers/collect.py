"""One run of collecting: sources → items → pages → text → storage.

The fetching is async, text is extracted in processes (`pool.py`), the database is reached through one thread
(`database.py`). Each item is committed as it goes, so an end at any instant loses no more than what is under way, and
running again doubles nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, cast

from django.utils import timezone
from django.utils.translation import gettext as _t

from scheduling.jobs import RunContext
from scrapers import conf, ingest
from scrapers.assemble import draft as assemble
from scrapers.assemble import full_text, page_of_item
from scrapers.database import DatabaseThread
from scrapers.extract.page import Page
from scrapers.fetch.client import Answer, Fetcher, Tally
from scrapers.fetch.failures import NETWORK, CollectError, FailureClass
from scrapers.fetch.rendering import Renderer, missing
from scrapers.health import Finding, Trouble, looks_new
from scrapers.ingest import Entry, Outcome, Status
from scrapers.kinds import Item, Listing, NotModified, Poll, registry
from scrapers.kinds.reading import in_encoding
from scrapers.models import Facts, ResultStatus, Source, SourceMove, SourceResult
from scrapers.outage import Outage
from scrapers.pool import ExtractPool
from scrapers.query import Document, Query
from scrapers.source_settings import resolve_all
from scrapers.source_settings.plan import Plan
from scrapers.storage import Storage

logger = logging.getLogger(__name__)

PAGES_AT_ONCE = 8
"""Pages of one source that are dealt with at once; how many requests a host allows is decided by its slots."""
CANCEL_POLL_SECONDS = 0.2
"""How often a run looks whether it was asked to stop."""
PAGE_ACCEPT = "text/html, application/xhtml+xml, */*;q=0.1"
_PAGE_TYPES = ("text/html", "application/xhtml+xml", "application/xml", "text/xml", "")


def collect(
    context: RunContext, sources: Sequence[Source], query: Query, limit: int | None = None
) -> list[SourceResult]:
    """Collect from sources and return how each went, in their order.

    `limit` is the number of new articles from each source. A run that is asked to stop returns those that were begun.
    """
    return asyncio.run(Collection(context, sources, query, limit).run())


@dataclass
class Progress:
    """How one source goes: its counters, its cost, and what of it failed."""

    source: Source
    plan: Plan = field(init=False)
    counts: Counter[str] = field(default_factory=Counter)
    tally: Tally = field(default_factory=Tally)
    failures: list[CollectError] = field(default_factory=list)
    http_status: int | None = None
    cut_short: bool = False
    ttl: float = 0.0
    lost: list[str] = field(default_factory=list)
    pages: int = 0
    looks_new: int = 0
    caught_up: bool = False
    #: Items that a first import let through or left out, and selectors that found nothing on pages.
    ranked: int = 0
    unmatched: Counter[str] = field(default_factory=Counter)

    def found_nothing(self) -> list[str]:
        """Return the selectors that found nothing: in no item of a listing, or on no page."""
        return [*self.lost, *(name for name, count in self.unmatched.items() if count == self.pages)]

    def complete(self) -> bool:
        """Tell whether every item was dealt with for good, so that nothing is left for the next poll."""
        transient = any(not error.failure.is_permanent for error in self.failures)
        return not transient and not self.cut_short and not self.counts[Outcome.OVER_LIMIT]

    def all_failed(self) -> CollectError | None:
        """Return why not one of the items could be had, if so."""
        if not self.counts[Outcome.FAILED] or self.counts[Outcome.FAILED] < self.counts.total():
            return None
        failure, count = Counter(error.failure for error in self.failures).most_common(1)[0]
        first = next(error for error in self.failures if error.failure == failure)
        sentence = _t("None of its %(count)s articles could be had; %(share)s of them: %(why)s")
        values = {"count": self.counts.total(), "share": count, "why": first.sentence}
        return CollectError(failure, sentence % values, http_status=self.http_status)


class Collection:
    """The state of one run; `storage` is what takes the place of the database in a rehearsal."""

    def __init__(
        self,
        context: RunContext,
        sources: Sequence[Source],
        query: Query,
        limit: int | None,
        storage: Callable[[DatabaseThread], Storage] = Storage,
    ) -> None:
        self._context = context
        self._sources = sources
        self._query = query
        self._limit = limit
        self._database = DatabaseThread()
        self._storage = storage(self._database)
        self._totals: Counter[str] = Counter()
        self._done = 0
        self._doubtful: list[tuple[Source, dict[str, Any]]] = []

    async def run(self) -> list[SourceResult]:
        """Collect; the results of the sources that were begun."""
        self._room = asyncio.Semaphore(conf.concurrent_sources())
        self._pool = ExtractPool()
        self._context.progress(0, len(self._sources))
        try:
            settings = await self._database.run(resolve_all, self._sources)
            self._settings = dict(zip([source.pk for source in self._sources], settings, strict=True))
            async with Fetcher(self._database) as self._fetcher, Renderer(self._fetcher) as self._renderer:
                self._outage = Outage(self._fetcher)
                return await self._all_sources()
        finally:
            await self._storage.close()
            self._pool.close()
            await self._database.close()

    async def _all_sources(self) -> list[SourceResult]:
        tasks = [asyncio.create_task(self._one_source(source)) for source in self._sources]
        watcher = asyncio.create_task(self._stop_when_cancelled(tasks))
        try:
            results = await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            watcher.cancel()
        for result in results:
            # Only a database that does not answer gets this far: then the run has failed, not a source.
            if isinstance(result, Exception):
                raise result
        return [result for result in results if isinstance(result, SourceResult)]

    async def _stop_when_cancelled(self, tasks: Sequence[asyncio.Task[Any]]) -> None:
        while not self._context.cancelled:
            await asyncio.sleep(CANCEL_POLL_SECONDS)
        for task in tasks:
            task.cancel()

    async def _one_source(self, source: Source) -> SourceResult:
        """Collect from one source; whatever happens there is its result, and nobody else's."""
        async with self._room:
            progress, started = Progress(source), timezone.now()
            error: CollectError | None = None
            status = ResultStatus.FAILED
            try:
                status = await self._collect_online(progress)
                error = progress.all_failed()
            except asyncio.CancelledError:
                status = ResultStatus.CANCELLED
            except CollectError as failure:
                error = failure
            except Exception:
                logger.exception("Collecting from %s failed for a reason of our own.", source)
                error = CollectError(FailureClass.INTERNAL, _t("Internal error; the log tells more."))
            if error is not None:
                status = ResultStatus.FAILED
                await self._note_failure(source, error)
            result = _result(progress, status, error, self._context.run_id)
            result.started_at, result.finished_at = started, max(started, timezone.now())
            result = await self._storage.save(result)
            self._report(result)
            return result

    async def _collect_online(self, progress: Progress) -> ResultStatus:
        """Collect; where it is our own connection that fails, wait for it and try once more, and blame nobody."""
        try:
            status = await self._collect(progress)
        except CollectError as error:
            self._outage.note(progress.source, error)
            if error.failure not in NETWORK or not await self._outage.is_ours():
                raise
            self._context.log(_t("Our own connection fails; polling waits."), logging.WARNING)
            while self._doubtful:
                await self._storage.forgive(*self._doubtful.pop())
            online = await self._outage.wait()
            await self._fetcher.forget_network_failures()
            if not online:
                sentence = _t("Our own connection fails: most sources and the control addresses do not answer.")
                raise CollectError(FailureClass.OFFLINE, sentence, counted=False) from error
            status = await self._collect(progress)
        self._outage.note(progress.source, None)
        return status

    async def _collect(self, progress: Progress) -> ResultStatus:
        """Poll a source, deal with each of its items, and note what the next poll may rely on."""
        source, scope = progress.source, self._query.key
        await self._storage.begin_poll(source)
        plan = progress.plan = Plan.of(source, self._settings[source.pk])
        if plan.javascript and (sentence := missing()):
            raise CollectError(FailureClass.NO_BROWSER, sentence)
        query = str(self._context.parameters.get("query") or "") or plan.search_words
        url = source.address_for(query)
        basis = f"{url}\n{plan.key}"
        caught_up = progress.caught_up = source.is_caught_up(scope, basis)
        # Validators lie, so once in a while all is looked at again.
        trusted = random.random() >= conf.unconditional_share()  # noqa: S311
        etag, last_modified = source.validators(scope, basis) if trusted else ("", "")
        poll = Poll(
            self._fetcher,
            url=url,
            identity=plan.identity,
            tally=progress.tally,
            options=source.options,
            query=query,
            etag=etag,
            last_modified=last_modified,
            caught_up=caught_up,
            pages=source.page_validators if caught_up and trusted else None,
            body_hash=source.body_hash if caught_up and trusted else "",
            encoding=plan.encoding,
        )
        listings = cast(AsyncGenerator[Listing], registry.get(source.kind).poll(poll))
        try:
            async with aclosing(listings):
                await self._listings(progress, poll, listings)
        except NotModified:
            move = await self._storage.not_modified(source, _facts(progress, poll, unchanged=True))
            self._say_move(source, move)
            return ResultStatus.NOT_MODIFIED
        finally:
            progress.http_status = poll.answer.status if poll.answer else None
        if progress.all_failed() is None:
            # Validators of an answer that does not stand for all that the source holds would hide what changes there.
            answer = poll.answer if poll.first_covers_all else None
            move = await self._storage.polled(
                source,
                etag=answer.etag if answer else "",
                last_modified=answer.last_modified if answer else "",
                scope=scope,
                basis=basis,
                complete=progress.complete(),
                pages=poll.pages,
                facts=_facts(progress, poll, unchanged=False),
            )
            self._say_move(source, move)
        return ResultStatus.OK

    async def _note_failure(self, source: Source, error: CollectError) -> None:
        """Note what a failed poll says of the source; nothing, where it is not the source that failed."""
        if error.failure is FailureClass.NO_QUERY:
            return
        if error.counted:
            if error.failure in NETWORK:
                # Should it turn out to be our own connection, this is taken back.
                self._doubtful.append((source, source.failures()))
            await self._storage.failed(source, error)
        elif error.retry_after:
            await self._storage.hold_off(source, error.retry_after)

    def _say_move(self, source: Source, move: SourceMove | None) -> None:
        if move is not None:
            values = {"source": source, "url": move.to_url}
            self._context.log(_t("%(source)s has moved for good, its address is now %(url)s") % values)

    async def _listings(self, progress: Progress, poll: Poll, listings: AsyncGenerator[Listing]) -> None:
        """Deal with each listing before the next is asked for."""
        async for listing in listings:
            if listing.more:
                # Until the last one is dealt with, nobody may rely on what the first one says.
                await self._storage.begin_pages(progress.source)
            progress.ttl = max(progress.ttl, listing.ttl)
            progress.lost.extend(listing.unmatched)
            for selector in listing.unmatched:
                self._context.log(
                    _t("%(source)s: the selector finds nothing in any item: %(selector)s")
                    % {"source": progress.source, "selector": selector},
                    logging.WARNING,
                )
            poll.found_new = await self._items(progress, listing)
            if listing.more and self._limit is not None and progress.counts[Outcome.NEW] >= self._limit:
                progress.cut_short = True
                break

    async def _items(self, progress: Progress, listing: Listing) -> bool:
        """Deal with the items of a listing; tell whether any of them was not known."""
        entries = [Entry.of(item) for item in listing.items]
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
        for place in beyond:
            await self._storage.pass_over(progress.source, entries[place])
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
            await self._storage.pass_over(source, entry)
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
            await self._storage.pass_over(progress.source, entry, self._query.key)
            return Outcome.EXCLUDED
        if plan.is_too_old(draft.published, timezone.now()):
            await self._storage.pass_over(progress.source, entry)
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
        complete = not (item.title and item.published and item.authors)
        page = await self._pool.read(
            answer.body, answer.content_type, answer.url, complete=complete, rules=progress.plan.rules
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

    def _report(self, result: SourceResult) -> None:
        self._done += 1
        self._context.progress(self._done, len(self._sources), result.source_name)
        level = logging.ERROR if result.status == ResultStatus.FAILED else logging.INFO
        self._context.log(f"{result.source_name}: {result.sentence()}", level)


def _facts(progress: Progress, poll: Poll, *, unchanged: bool) -> Facts:
    """Return what a poll showed for the next ones."""
    facts = Facts(
        seen=progress.counts.total(),
        known=progress.counts[Outcome.KNOWN],
        ttl=progress.ttl,
        fresh_for=poll.answer.fresh_for.total_seconds() if poll.answer else 0.0,
        moved_to=poll.answer.moved_to if poll.answer and poll.first_covers_all else "",
        body_hash=poll.body_hash if poll.first_covers_all and progress.complete() else "",
        unmatched=None if unchanged else progress.found_nothing(),
    )
    if progress.looks_new:
        words = _t(
            "%(new)d of its %(all)d items look new at once; those with titles that are known were not read again."
        )
        facts.finding = Finding(Trouble.LOOKS_NEW, words % {"new": progress.looks_new, "all": facts.seen})
    return facts


def totals(counts: Counter[str]) -> dict[str, int]:
    """Return the counts that a run shows: those that a person always wants, and the others where there are any."""
    always = ("found", Outcome.NEW, Outcome.UPDATED, Outcome.KNOWN)
    others = [name for name in SourceResult.COUNTERS if name not in always and counts[name]]
    return {str(name): counts[name] for name in (*always, *others)}


def _result(progress: Progress, status: ResultStatus, error: CollectError | None, run_id: int) -> SourceResult:
    error_or_last = error or (progress.failures[-1] if progress.failures else None)
    http_status = error.http_status if error and error.http_status else progress.http_status
    return SourceResult(
        run_id=run_id,
        source=progress.source,
        source_name=progress.source.name,
        status=status,
        http_status=http_status,
        failure_class=error_or_last.failure if error_or_last else "",
        error=ingest.clean(error_or_last.sentence) if error_or_last else "",
        seen=progress.counts.total(),
        requests=progress.tally.requests,
        bytes_received=progress.tally.bytes_received,
        **{name: progress.counts[name] for name in SourceResult.COUNTERS},
    )
