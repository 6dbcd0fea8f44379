"""The processes in which text is extracted and large answers of sources are read.

So one that takes long to read holds no request up, and one that takes for ever no run.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import multiprocessing
import os
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import Any

import django
from django.apps import apps
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _t

from scrapers import conf
from scrapers.extract.page import Page, Wanted, read_plainly
from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.source_settings.page_rules import NO_RULES, PageRules, read_page_by

logger = logging.getLogger(__name__)

GARBAGE_AT = 50_000
"""Objects more than before from which on an extraction process looks for garbage; a page makes some thousands."""
LISTING_LIMITS = 4.0
"""How many times as long as a page an answer of a source may take: it may hold fifty thousand entries."""
Task = tuple[bytes, str, str, Wanted, PageRules]
"""What `read_page_by` takes."""


class ExtractPool:
    """Extraction in processes of its own, started when the first page comes.

    A page that takes too long or crashes its process ends all processes. Which page it was is only sure if it was
    read alone; so those that were being read at the same time are read again, one after another, before any is blamed.
    """

    def __init__(self) -> None:
        self._workers = _Workers(conf.extract_processes())
        # Of their own: an answer that takes for ever makes no page wait.
        self._listings = _Workers(conf.extract_processes())
        # What waits, waits here, where its time does not count yet; but each process has its next page before it asks,
        # since this process may be busy with the database when it does.
        self._room = asyncio.Semaphore(2 * conf.extract_processes() + 1)
        self._alone = asyncio.Lock()

    async def read(
        self, body: bytes, content_type: str, url: str, *, wanted: Wanted = Wanted.ALL, rules: PageRules = NO_RULES
    ) -> Page:
        """Return the article of a page, as `read_page_by` does; in the plain way if that hangs or ends its process.

        Raises `CollectError`: `NOT_A_PAGE` for what is no HTML, `NO_TEXT` for a page that could not be read in the
        plain way either.
        """
        task = (body, content_type, url, wanted, rules)
        try:
            async with self._room:
                page = await self._workers.read(read_page_by, task)
            if isinstance(page, _Unclear):
                page = await self._read_alone(read_page_by, task)
        except CollectError as error:
            logger.warning("%s: %s Only what is seen of it is taken.", url, error.sentence)
            page = await self._read_alone(_read_plainly, task)
        if not isinstance(page, Page):
            raise CollectError(FailureClass.NOT_A_PAGE, _t("The answer is not a page of HTML."))
        return page

    async def call(self, packed: bytes, url: str) -> Any:
        """Return what a pickled function that takes no arguments returns or raises; `url` is what it reads.

        Raises `CollectError` (`BAD_ANSWER`) if it takes too long or ends its process.
        """
        task = (packed, get_language(), url)
        try:
            found = await self._listings.read(_call, task, LISTING_LIMITS)
            return await self._read_alone(_call, task, LISTING_LIMITS) if isinstance(found, _Unclear) else found
        except CollectError as error:
            if error.failure is not FailureClass.NO_TEXT:
                raise
            raise CollectError(FailureClass.BAD_ANSWER, _t("The answer takes too long to be read.")) from error

    async def _read_alone(self, function: Callable[..., Any], task: tuple[Any, ...], limits: float = 1) -> Any:
        async with self._alone:
            workers = _Workers(1)
            try:
                page = await workers.read(function, task, limits)
            finally:
                workers.close()
        assert not isinstance(page, _Unclear), "who is alone is to blame"
        return page

    def close(self) -> None:
        """End the processes."""
        self._workers.close()
        self._listings.close()


class _Unclear:
    """The page was not read, perhaps for another's fault."""


class _Workers:
    """Some processes that read pages."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._executor: ProcessPoolExecutor | None = None
        self._lifeline: Connection | None = None
        self._reading = 0

    async def read(self, function: Callable[..., Any], task: tuple[Any, ...], limits: float = 1) -> Any:
        """Return what a function does, or `_Unclear` where another page may be to blame.

        Raises `CollectError` (`NO_TEXT`) if it takes longer than `limits` times the limit, or ends its process.
        """
        executor = self._running()
        # Beyond the number of processes it first waits for one of the others.
        waits = self._reading >= self._number
        others = self._reading > 0
        self._reading += 1
        try:
            future = asyncio.get_running_loop().run_in_executor(executor, function, *task)
            # One that was cancelled would be stumbled over when the processes end, and those behind it never told.
            return await asyncio.wait_for(asyncio.shield(future), limits * conf.extract_seconds())
        except TimeoutError as error:
            self._end(executor)
            if waits:
                return _Unclear()
            raise CollectError(FailureClass.NO_TEXT, _t("Reading the page took too long.")) from error
        except BrokenProcessPool as error:
            # Somebody else ended it, or may have been what broke it.
            if self._executor is not executor or others or self._reading > 1:
                self._end(executor)
                return _Unclear()
            self._end(executor)
            logger.warning("The process that extracts the text of %s died.", task[2])
            raise CollectError(FailureClass.NO_TEXT, _t("Reading the page ended its process.")) from error
        finally:
            self._reading -= 1

    def close(self) -> None:
        """End the processes."""
        if self._executor is not None:
            self._end(self._executor)

    def _running(self) -> ProcessPoolExecutor:
        if self._executor is None:
            context = multiprocessing.get_context("forkserver")
            if multiprocessing.parent_process() is not None:
                # The child of a run has a forkserver of its own. Where none stands ready that has imported all
                # (`Job.starts_processes`), it imports once what all its children need.
                context.set_forkserver_preload([read_page_by.__module__])
            reader, self._lifeline = context.Pipe(duplex=False)
            self._executor = ProcessPoolExecutor(
                self._number, mp_context=context, initializer=_live_with_parent, initargs=(reader,)
            )
        return self._executor

    def _end(self, executor: ProcessPoolExecutor) -> None:
        if self._executor is not executor or self._lifeline is None:
            return
        self._executor = None
        self._lifeline.close()
        # One that is deep in a regular expression gives no other thread of its a turn, so it would not see that.
        for process in list((executor._processes or {}).values()):
            process.kill()
        executor.shutdown(wait=True)


def _read_plainly(body: bytes, content_type: str, url: str, _wanted: Wanted, _rules: PageRules) -> Page:
    return read_plainly(body, content_type, url)


def _call(packed: bytes, language: str | None, _url: str) -> Any:
    """Call a pickled function; a process that was not forked from one with all imports sets Django up first."""
    if not apps.ready:
        django.setup()
    with override(language):
        return pickle.loads(packed)()  # noqa: S301  packed by this run


def _live_with_parent(lifeline: Connection) -> None:
    """End this process when the one that started it is gone, however it went.

    The garbage collector is to look at what pages leave behind, and seldom, not at all that was imported.
    """
    gc.freeze()
    gc.set_threshold(GARBAGE_AT)
    threading.Thread(target=_watch, args=(lifeline,), name="lifeline", daemon=True).start()


def _watch(lifeline: Connection) -> None:
    try:
        lifeline.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)
