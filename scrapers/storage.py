"""What collecting reads from and writes to the database on its way, all in the run's database thread.

One object for each run, so that a rehearsal (`scrapers.tryout`) can take its place and leave the database as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, transaction
from django.utils import timezone

from scrapers import ingest
from scrapers.batches import Batches, Together
from scrapers.database import DatabaseThread, update_rows
from scrapers.fetch.failures import CollectError
from scrapers.ingest import Draft, Entry, Outcome, Status
from scrapers.known import Listed, look_up_all, stored_titles
from scrapers.models import Facts, Source, SourceMove, SourceResult
from scrapers.outage import forgive

Noted = tuple[int, Mapping[str, Any]]
"""The primary key of a source, and the fields of it that a poll has changed."""


class Storage:
    """Stores what a run collects, and how its sources went."""

    def __init__(self, database: DatabaseThread) -> None:
        self._database = database
        self._batches = Batches(database)
        self._looked_up: Together[Listed, list[Status]] = Together(database, look_up_all)
        self._begun: Together[Source, None] = Together(database, Source.begin_polls)
        self._polled: Together[Noted, None] = Together(database, _store_noted)
        self._ended: Together[Callable[[], None], None] = Together(database, _in_one_transaction)
        self._results: Together[SourceResult, SourceResult] = Together(database, _save)

    async def close(self) -> None:
        """Wait until everything is stored."""
        for writer in (self._looked_up, self._begun, self._polled, self._ended, self._results, self._batches):
            await writer.close()

    async def look_up(self, source: Source, entries: Sequence[Entry], scope: str) -> list[Status]:
        """Return what is known of each entry (`known.look_up`)."""
        return await self._looked_up.write(Listed(source.pk, entries, scope))

    def article_coming(self) -> AbstractContextManager[None]:
        """Tell, for the block, that an article will soon be there to be stored (`Batches.coming`)."""
        return self._batches.coming()

    async def store(self, draft: Draft) -> Outcome:
        """Return what became of an article, when that is committed; raises `CollectError` or the database's error."""
        return await self._batches.store(draft)

    async def pass_over(self, source: Source, entries: Iterable[Entry], scope: str = "") -> None:
        """Remember items that are not stored (`ingest.pass_over`)."""
        await self._database.run(ingest.pass_over, [(source.pk, entry) for entry in entries], scope)

    async def begin_pages(self, source: Source) -> None:
        """Note that several listings are on their way (`Source.begin_pages`)."""
        await self._database.run(source.begin_pages)

    async def stored_titles(self, source: Source, titles: set[str]) -> set[str]:
        """Return which of these titles the source's articles have (`known.stored_titles`)."""
        return await self._database.run(stored_titles, source.pk, titles)

    async def begin_poll(self, source: Source) -> None:
        """Note the next poll before this one's request (`Source.begin_polls`)."""
        await self._begun.write(source)

    async def polled(self, source: Source, **how: Any) -> SourceMove | None:
        """Note a poll that was answered in full (`Source.polled`); return the move of its address that is due by it."""
        await self._polled.write((source.pk, source.note_polled(**how)))
        return await self._move(source)

    async def not_modified(self, source: Source, facts: Facts) -> SourceMove | None:
        """Note a poll that brought nothing new (`Source.not_modified`); return what `polled` does."""
        await self._polled.write((source.pk, source.note_not_modified(facts)))
        return await self._move(source)

    async def _move(self, source: Source) -> SourceMove | None:
        return await self._database.run(SourceMove.objects.move, source) if source.moving_seen else None

    async def forgive(self) -> None:
        """Take back the failures of the network that were just counted or are about to be (`outage.forgive`)."""
        await self._ended.write(_forgive)

    async def is_gone(self, source: Source) -> bool:
        """Tell whether somebody has deleted a source meanwhile."""
        return not await self._database.run(Source.objects.filter(pk=source.pk).exists)

    async def hold_off(self, source: Source, pause: timedelta) -> None:
        """Leave a source alone for a while (`Source.hold_off`)."""
        await self._database.run(source.hold_off, pause)

    async def failed(self, source: Source, error: CollectError) -> None:
        """Note a poll that failed (`Source.failed`)."""
        await self._ended.write(partial(source.failed, error))

    async def save(self, result: SourceResult) -> SourceResult:
        """Store how a source went."""
        return await self._results.write(result)


def _store_noted(polls: Sequence[Noted]) -> list[Exception | None]:
    """Store what polls changed of their sources, in a statement for each set of fields.

    Returns the error of each; where the database refuses one, each is stored by itself. Raises `OperationalError` and
    `InterfaceError` when the database does not answer.
    """
    alike: dict[tuple[str, ...], dict[int, Mapping[str, Any]]] = {}
    for key, values in polls:
        alike.setdefault(tuple(values), {})[key] = values
    try:
        with transaction.atomic():
            for rows in alike.values():
                update_rows(Source, rows)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        return [error] if len(polls) == 1 else [outcome for poll in polls for outcome in _store_noted([poll])]
    return [None] * len(polls)


def _in_one_transaction(functions: Sequence[Callable[[], None]]) -> list[Exception | None]:
    """Call functions that write, and return what each raised; where the database refuses one, each by itself.

    Raises `OperationalError` and `InterfaceError` when the database does not answer.
    """
    try:
        with transaction.atomic():
            return [_raised(function) for function in functions]
    except (OperationalError, InterfaceError):
        raise
    except DatabaseError as error:
        if len(functions) == 1:
            return [error]
        return [outcome for function in functions for outcome in _in_one_transaction([function])]


def _forgive() -> None:
    forgive(timezone.now())


def _raised(function: Callable[[], None]) -> Exception | None:
    """Call a function and return what it raises, except for what ends the transaction."""
    try:
        function()
    except (DatabaseError, InterfaceError):
        raise
    except Exception as error:
        return error
    return None


@transaction.atomic
def _save(results: list[SourceResult]) -> list[SourceResult]:
    """Store results of a run in place of those that an earlier start of it left; a source may be gone."""
    there = set(Source.objects.filter(pk__in={result.source_id for result in results}).values_list("pk", flat=True))
    for result in results:
        if result.source_id not in there:
            result.source = None
    names = {result.source_name for result in results}
    SourceResult.objects.filter(run=results[0].run_id, source_name__in=names).delete()
    return SourceResult.objects.bulk_create(results)
