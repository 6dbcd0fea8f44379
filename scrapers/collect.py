"""One run of collecting: sources → items → pages → text → storage.

The fetching is async, text is extracted in processes (`pool.py`), the database is reached through one thread
(`database.py`). Each item is committed as it goes, so an end at any instant loses no more than what is under way, and
running again doubles nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, cast
from urllib.parse import urlsplit

from django.utils import timezone
from django.utils.translation import gettext as _t

from scheduling.jobs import RunContext
from scrapers import conf
from scrapers.database import DatabaseThread
from scrapers.fetch.client import Fetcher
from scrapers.fetch.failures import NETWORK, CollectError, FailureClass
from scrapers.fetch.rendering import Renderer, missing
from scrapers.ingest import Outcome
from scrapers.items import Items
from scrapers.kinds import Listing, NotModified, Poll, registry
from scrapers.models import ResultStatus, Source, SourceMove, SourceResult
from scrapers.outage import Outage
from scrapers.pool import ExtractPool
from scrapers.progress import Progress, facts_of, result_of
from scrapers.query import Query
from scrapers.secrets import SecretError, revealed_options
from scrapers.source_settings import resolve_all
from scrapers.source_settings.plan import Plan
from scrapers.storage import Storage

logger = logging.getLogger(__name__)

CANCEL_POLL_SECONDS = 0.2
"""How often a run looks whether it was asked to stop."""


def collect(
    context: RunContext, sources: Sequence[Source], query: Query, limit: int | None = None, *, waits: bool = False
) -> list[SourceResult]:
    """Collect from sources and return how each went, in their order.

    `limit` is the number of new articles from each source; a run that `waits` asks one that is due in a moment
    (`polling.early`) only then. A run that is asked to stop returns those that were begun.
    """
    return asyncio.run(Collection(context, sources, query, limit, waits=waits).run())


def spread(sources: Sequence[Source]) -> list[int]:
    """Return the places of sources in an order in which those of one host are far apart.

    Side by side they would fill the room of a run and wait for one another, while other hosts could be asked.
    """
    before: Counter[str] = Counter()
    turns = []
    for place, source in enumerate(sources):
        host = urlsplit(source.url).netloc
        turns.append((before[host], place))
        before[host] += 1
    return [place for _turn, place in sorted(turns)]


class Collection:
    """The state of one run; `storage` is what takes the place of the database in a rehearsal."""

    def __init__(
        self,
        context: RunContext,
        sources: Sequence[Source],
        query: Query,
        limit: int | None,
        storage: Callable[[DatabaseThread], Storage] = Storage,
        *,
        waits: bool = False,
    ) -> None:
        self._context = context
        self._waits = waits
        self._sources = sources
        self._query = query
        self._limit = limit
        self._database = DatabaseThread()
        self._storage = storage(self._database)
        self._done = 0

    async def run(self) -> list[SourceResult]:
        """Collect; the results of the sources that were begun."""
        self._room = asyncio.Semaphore(conf.concurrent_sources())
        self._pool = ExtractPool()
        self._context.progress(0, len(self._sources))
        try:
            settings = await self._database.run(resolve_all, self._sources)
            self._settings = dict(zip([source.pk for source in self._sources], settings, strict=True))
            async with Fetcher(self._database) as self._fetcher, Renderer(self._fetcher) as renderer:
                self._items = Items(
                    self._context,
                    self._query,
                    self._limit,
                    storage=self._storage,
                    fetcher=self._fetcher,
                    renderer=renderer,
                    pool=self._pool,
                )
                self._outage = Outage(self._fetcher, self._database)
                return await self._all_sources()
        finally:
            await self._storage.close()
            self._pool.close()
            await self._database.close()

    async def _all_sources(self) -> list[SourceResult]:
        # Those that begin first get room first.
        begun = {place: asyncio.create_task(self._one_source(self._sources[place])) for place in spread(self._sources)}
        tasks = [begun[place] for place in range(len(begun))]
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
        if self._waits and source.is_due():
            await asyncio.sleep(source.until_due().total_seconds())
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
            except Exception as problem:
                error = CollectError(FailureClass.INTERNAL, _t("Internal error; the log tells more."))
                error.__cause__ = problem
            if error is not None and error.failure is FailureClass.INTERNAL:
                if await self._storage.is_gone(source):
                    self._context.log(_t("%s was deleted while it was read.") % source, logging.WARNING)
                    error, status = None, ResultStatus.CANCELLED
                elif error.__cause__ is not None:
                    cause = error.__cause__
                    logger.error("Collecting from %s failed for a reason of our own.", source, exc_info=cause)
            if error is not None:
                status = ResultStatus.FAILED
                await self._note_failure(source, error)
            if progress.tally.left_alone:
                await self._storage.hold_off(source, max(progress.tally.left_alone.values()) - timezone.now())
            result = result_of(progress, status, error, self._context.run_id)
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
            await self._storage.forgive()
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
            pool=self._pool,
            options=_options(source),
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
            move = await self._storage.not_modified(source, facts_of(progress, poll, unchanged=True))
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
                facts=facts_of(progress, poll, unchanged=False),
            )
            self._say_move(source, move)
        return ResultStatus.OK

    async def _note_failure(self, source: Source, error: CollectError) -> None:
        """Note what a failed poll says of the source; nothing, where it is not the source that failed."""
        if error.failure is FailureClass.NO_QUERY:
            return
        if error.counted:
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
            poll.found_new = await self._items.deal_with(progress, listing)
            if listing.more and self._limit is not None and progress.counts[Outcome.NEW] >= self._limit:
                progress.cut_short = True
                break

    def _report(self, result: SourceResult) -> None:
        self._done += 1
        self._context.progress(self._done, len(self._sources), result.source_name)
        level = logging.ERROR if result.status == ResultStatus.FAILED else logging.INFO
        self._context.log(f"{result.source_name}: {result.sentence()}", level)


def _options(source: Source) -> dict[str, Any]:
    """Return a source's options, all of them, with their secrets.

    Raises `CollectError` (`NO_SECRET`) where one cannot be had.
    """
    try:
        return {**registry.get(source.kind).form.defaults(), **revealed_options(source.options)}
    except SecretError as error:
        raise CollectError(FailureClass.NO_SECRET, str(error)) from None
