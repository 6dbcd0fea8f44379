"""The processes in which text is extracted, so that a page that takes long to read holds no request up."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection

from django.utils.translation import gettext as _t

from scrapers import conf
from scrapers.extract.page import Page, read_page
from scrapers.fetch.failures import CollectError, FailureClass

logger = logging.getLogger(__name__)


class ExtractPool:
    """Extraction in processes of its own, started when the first page comes."""

    def __init__(self) -> None:
        self._executor: ProcessPoolExecutor | None = None
        self._lifeline: Connection | None = None
        # What waits, waits here, where its time does not count yet.
        self._room = asyncio.Semaphore(conf.extract_processes() + 1)

    async def read(self, body: bytes, content_type: str, url: str, *, complete: bool) -> Page:
        """Return the article of a page, as `read_page` does.

        Raises `CollectError`: `NOT_A_PAGE` for what is no HTML, `NO_TEXT` for a page that could not be read in time or
        whose reading ended its process.
        """
        async with self._room:
            executor = self._running()
            try:
                future = asyncio.get_running_loop().run_in_executor(
                    executor, read_page, body, content_type, url, complete
                )
                page = await asyncio.wait_for(future, conf.extract_seconds())
            except TimeoutError as error:
                self._replace(executor)
                raise CollectError(FailureClass.NO_TEXT, _t("Reading the page took too long.")) from error
            except BrokenProcessPool as error:
                logger.warning("A process that extracts text died, perhaps of %s.", url)
                self._replace(executor)
                raise CollectError(FailureClass.NO_TEXT, _t("Reading the page ended its process.")) from error
        if page is None:
            raise CollectError(FailureClass.NOT_A_PAGE, _t("The answer is not a page of HTML."))
        return page

    def close(self) -> None:
        """End the processes."""
        if self._executor is not None:
            self._replace(self._executor)

    def _running(self) -> ProcessPoolExecutor:
        if self._executor is None:
            context = multiprocessing.get_context("forkserver")
            if multiprocessing.parent_process() is not None:
                # The child of a run starts a forkserver of its own; it imports once what all its children need.
                context.set_forkserver_preload([read_page.__module__])
            reader, self._lifeline = context.Pipe(duplex=False)
            self._executor = ProcessPoolExecutor(
                conf.extract_processes(), mp_context=context, initializer=_live_with_parent, initargs=(reader,)
            )
        return self._executor

    def _replace(self, executor: ProcessPoolExecutor) -> None:
        if self._executor is not executor or self._lifeline is None:
            return
        self._executor = None
        # Whatever the processes are busy with: they see their lifeline close and end.
        self._lifeline.close()
        executor.shutdown(wait=True, cancel_futures=True)


def _live_with_parent(lifeline: Connection) -> None:
    """End this process when the one that started it is gone, however it went."""
    threading.Thread(target=_watch, args=(lifeline,), name="lifeline", daemon=True).start()


def _watch(lifeline: Connection) -> None:
    try:
        lifeline.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)
