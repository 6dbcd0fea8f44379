"""Articles on their way to the database: what comes while a batch is being stored is the next batch."""

from __future__ import annotations

import asyncio

from django.utils import timezone
from django.utils.translation import gettext as _t

from scrapers import dedupe
from scrapers.database import DatabaseThread
from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.ingest import Draft, Outcome, store

MAX_BATCH = 100


class Batches:
    """Stores drafts in batches that form by themselves."""

    def __init__(self, database: DatabaseThread) -> None:
        self._database = database
        self._waiting: list[tuple[Draft, asyncio.Future[Outcome]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def store(self, draft: Draft) -> Outcome:
        """Return what became of a draft, when that is committed; raises `CollectError` or the database's error."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((draft, future))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        return await future

    async def close(self) -> None:
        """Wait until everything is stored, and forget by which traces of old texts copies were looked for."""
        if self._writer is not None:
            await self._writer
            await self._database.run(dedupe.forget_old, timezone.now())

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            try:
                outcomes = await self._database.run(store, [draft for draft, _future in batch])
            except Exception as error:
                for _draft, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_draft, future), outcome in zip(batch, outcomes, strict=True):
                if future.done():
                    continue
                if isinstance(outcome, Outcome):
                    future.set_result(outcome)
                else:
                    sentence = _t("The article could not be stored: %s") % outcome
                    future.set_exception(CollectError(FailureClass.INTERNAL, sentence))
