"""What is on its way to the database: what comes while a batch is being written is the next batch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

from django.utils import timezone
from django.utils.translation import gettext as _t

from scrapers import dedupe
from scrapers.database import DatabaseThread
from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.ingest import Draft, Outcome, store

MAX_BATCH = 100
GATHER_SECONDS = 0.5
"""How long after another a batch is written while more is on its way: twenty articles cost little more than two."""
_LOOK_SECONDS = 0.02

Given = TypeVar("Given")
Made = TypeVar("Made")


class Together(Generic[Given, Made]):
    """Lets one function in the database thread write many things at once, in batches that form by themselves.

    `write` returns for each thing what became of it, or the error that is its own; what it raises befalls them all.
    While `more` tells that others are on their way, a batch waits for them until `GATHER_SECONDS` after the last one.
    """

    def __init__(
        self,
        database: DatabaseThread,
        write: Callable[[list[Given]], Sequence[Made | Exception]],
        more: Callable[[], bool] = lambda: False,
    ) -> None:
        self._database = database
        self._function = write
        self._more = more
        self._written_at = float("-inf")
        self._waiting: list[tuple[Given, asyncio.Future[Made]]] = []
        self._writer: asyncio.Task[None] | None = None

    @property
    def was_used(self) -> bool:
        """Tell whether there was anything to write."""
        return self._writer is not None

    async def write(self, one: Given) -> Made:
        """Return what became of a thing, when that is committed; it is written even if the caller is cancelled."""
        future: asyncio.Future[Made] = asyncio.get_running_loop().create_future()
        self._waiting.append((one, future))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        return await future

    async def close(self) -> None:
        """Wait until everything is written."""
        if self._writer is not None:
            await self._writer

    async def _write(self) -> None:
        while self._waiting:
            await self._gather()
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            made: Sequence[Made | Exception]
            try:
                made = await self._database.run(self._function, [one for one, _future in batch])
            except Exception as error:
                made = [error] * len(batch)
            self._written_at = asyncio.get_running_loop().time()
            for (_one, future), found in zip(batch, made, strict=True):
                if future.done():
                    continue
                if isinstance(found, Exception):
                    future.set_exception(found)
                else:
                    future.set_result(found)

    async def _gather(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._more() and len(self._waiting) < MAX_BATCH and clock() < self._written_at + GATHER_SECONDS:
            await asyncio.sleep(_LOOK_SECONDS)


class Batches:
    """Stores drafts of articles in batches."""

    def __init__(self, database: DatabaseThread) -> None:
        self._database = database
        self._coming = 0
        self._drafts: Together[Draft, Outcome] = Together(database, _store, more=lambda: self._coming > 0)

    @contextmanager
    def coming(self) -> Iterator[None]:
        """Tell, for the block, that an article will soon be there to be stored."""
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1

    async def store(self, draft: Draft) -> Outcome:
        """Return what became of a draft, when that is committed; raises `CollectError` or the database's error."""
        return await self._drafts.write(draft)

    async def close(self) -> None:
        """Wait until everything is stored, and forget by which traces of old texts copies were looked for."""
        await self._drafts.close()
        if self._drafts.was_used:
            await self._database.run(dedupe.forget_old, timezone.now())


def _store(drafts: list[Draft]) -> list[Outcome | Exception]:
    return [outcome if isinstance(outcome, Outcome) else _refused(outcome) for outcome in store(drafts)]


def _refused(error: Exception) -> CollectError:
    return CollectError(FailureClass.INTERNAL, _t("The article could not be stored: %s") % error)
