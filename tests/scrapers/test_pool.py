"""Extraction in processes: a page that hangs or crashes costs no other page anything."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from scrapers import pool
from scrapers.extract.page import Page
from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.pool import ExtractPool
from tests.scrapers.hard_pages import read, start_slowly

pytestmark = pytest.mark.anydb


@pytest.fixture(autouse=True)
def _two_processes(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr(pool, "read_page_by", read)
    settings.NEWSS_EXTRACT_PROCESSES = 2
    # Long enough for a process to start on a busy machine.
    settings.NEWSS_EXTRACT_SECONDS = 8.0


PLAINLY = "read plainly"


def read_all(bodies: Sequence[str]) -> list[str]:
    """Return for each body its text, that only what is seen of it was taken, or the class of its failure."""

    async def all_of_them() -> list[Page | BaseException]:
        extraction = ExtractPool()
        try:
            tasks = [extraction.read(body.encode(), "text/html", f"http://x/{body}") for body in bodies]
            return await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            extraction.close()

    answers = asyncio.run(all_of_them())
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, CollectError):
            raise answer
    return [_outcome(answer) for answer in answers]


def _outcome(answer: Any) -> str:
    if isinstance(answer, CollectError):
        return answer.failure
    return PLAINLY if answer.methods.get("text") == "seen text" else answer.text


@pytest.mark.parametrize("way", ["hang", "crash", pytest.param("expression", marks=pytest.mark.long)])
def test_a_page_that_hangs_or_crashes_takes_no_other_page_along(way: str) -> None:
    others = ["slow"] * 18  # Enough for one of them to be under way when the time of the one that hangs is over.
    assert read_all([way, *others, "a"]) == [PLAINLY, *others, "a"]


def test_two_pages_that_crash_are_both_blamed_and_nobody_else(settings: Any) -> None:
    found = read_all(["crash", "a", "slow", "crash"])
    assert found == [PLAINLY, "a", "slow", PLAINLY]


@pytest.mark.long
def test_the_time_that_a_page_waits_for_a_process_is_not_its_own(settings: Any) -> None:
    settings.NEWSS_EXTRACT_PROCESSES = 1
    assert read_all(["hang", "slow"]) == [PLAINLY, "slow"]


def test_what_is_no_page_is_called_so() -> None:
    assert read_all(["no page", "a"]) == [FailureClass.NOT_A_PAGE, "a"]


def test_a_page_that_cannot_be_read_plainly_either_has_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_read_plainly", read)
    assert read_all(["crash", "a"]) == [FailureClass.NO_TEXT, "a"]


def test_a_run_that_is_stopped_while_its_processes_start_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool, "_live_with_parent", start_slowly)

    async def stop() -> None:
        extraction = ExtractPool()
        tasks = [asyncio.create_task(extraction.read(b"a", "text/html", "http://x/a")) for _ in range(5)]
        await asyncio.sleep(0)
        executor = extraction._workers._executor
        assert executor is not None
        # One more than there are processes wait before these, the others behind.
        while sum(item.future.running() for item in list(executor._pending_work_items.values())) < 3:
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in found] == [asyncio.CancelledError] * 5
        extraction.close()

    raised: list[threading.ExceptHookArgs] = []
    hook, threading.excepthook = threading.excepthook, raised.append
    try:
        asyncio.run(stop())
    finally:
        threading.excepthook = hook
    assert not raised, "the thread that watches the processes stumbled"
