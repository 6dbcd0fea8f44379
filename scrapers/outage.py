"""Whether it is our own connection that fails: then no source is blamed, and polling waits.

1. Most of the hosts that were asked within the last minute, by this run and others, failed without an answer (DNS,
   refused, time-out, TLS …).
2. None of the control addresses (`NEWSS_CONTROL_URLS`) answers either, with any status.
3. Without such addresses it takes more: at least `ALL_LOST_LEAST` hosts of different names were asked in that minute,
   each of them is out of reach (a refusal or a wrong certificate comes from somebody who was reached), and some of
   them still are when they are asked again. With fewer hosts nobody can tell, and each is to blame itself.
4. What was counted in that minute before it was noticed is taken back (`forgive`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import Case, F, Value, When
from django.db.models.functions import Greatest
from django.utils import timezone

from scrapers import conf
from scrapers.database import DatabaseThread
from scrapers.fetch.client import Fetcher
from scrapers.fetch.failures import NETWORK, CollectError, FailureClass
from scrapers.models import ResultStatus, Source, SourceResult

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 60.0
ASK_AGAIN_SECONDS = 5.0
"""How often control addresses are asked at most, while they fail."""
ALL_LOST_LEAST = 5
"""From how many hosts on it tells of our own connection that not one of them is in reach."""
ASKED_AGAIN = 3
"""How many of these take the place of control addresses where there are none."""
_TELLING = (ResultStatus.OK, ResultStatus.NOT_MODIFIED, ResultStatus.FAILED)
#: What a result's class says of the connection; any other was an answer.
_LOST: dict[str, FailureClass] = {**{str(f): f for f in NETWORK}, FailureClass.OFFLINE: FailureClass.CONNECTION}
_NEVER_FAILED: dict[str, Any] = {
    "failure_score": 0.0,
    "consecutive_failures": 0,
    "failing_since": None,
    "last_failure_class": "",
    "last_error": "",
    "next_poll_at": None,
}
_OUT_OF_REACH = frozenset({FailureClass.DNS, FailureClass.CONNECTION, FailureClass.TIMEOUT})


class Outage:
    """What one run knows of its connection; used in its event loop alone."""

    def __init__(self, fetcher: Fetcher, database: DatabaseThread) -> None:
        self._fetcher = fetcher
        self._database = database
        self._last: dict[str, tuple[float, FailureClass | None]] = {}
        self._lock = asyncio.Lock()
        self._others: dict[str, FailureClass | None] = {}
        self._looked = float("-inf")
        self._asked = (float("-inf"), True)

    def note(self, source: Source, error: CollectError | None) -> None:
        """Note how a host went: whether it answered at all."""
        failure = error.failure if error is not None and error.failure in NETWORK else None
        self._last[_origin(source.url)] = (time.monotonic(), failure)

    async def is_ours(self) -> bool:
        """Tell whether our own connection fails now."""
        recent = await self._recent()
        if conf.control_urls():
            failed = sum(failure is not None for failure in recent.values())
            return 2 * failed > len(recent) and not await self._control_answers()
        names = {urlsplit(origin).hostname for origin in recent}
        all_lost = len(names) >= ALL_LOST_LEAST and all(failure in _OUT_OF_REACH for failure in recent.values())
        return all_lost and not await self._control_answers()

    async def wait(self) -> bool:
        """Wait until a control address answers, at most `NEWSS_OFFLINE_WAIT_SECONDS`; tell whether one does."""
        until = time.monotonic() + conf.offline_wait_seconds()
        while not await self._control_answers():
            if time.monotonic() >= until:
                return False
            await asyncio.sleep(min(ASK_AGAIN_SECONDS, max(0.05, until - time.monotonic())))
        return True

    async def _recent(self) -> dict[str, FailureClass | None]:
        """Return how each host went in the last minute, here or else in other runs: one may have too few to tell."""
        if time.monotonic() - self._looked >= ASK_AGAIN_SECONDS:
            self._looked = time.monotonic()
            self._others = await self._database.run(_polled_lately)
        return self._recent_known()

    def _recent_known(self) -> dict[str, FailureClass | None]:
        since = time.monotonic() - WINDOW_SECONDS
        here = {origin: failure for origin, (at, failure) in self._last.items() if at >= since}
        return {**self._others, **here}

    async def _control_answers(self) -> bool:
        async with self._lock:
            at, answered = self._asked
            if time.monotonic() - at >= min(ASK_AGAIN_SECONDS, conf.offline_wait_seconds()):
                answered = False
                hosts = sorted(self._recent_known() or self._last)
                for url in conf.control_urls() or hosts[:ASKED_AGAIN]:
                    answered = answered or await self._fetcher.answers(url)
                self._asked = (time.monotonic(), answered)
                if not answered:
                    logger.warning("No control address answers: it seems to be our own connection that fails.")
            return answered


@transaction.atomic
def forgive(now: datetime) -> int:
    """Take back each failure of the network that was counted in the last minute, by whatever run; return their number.

    These sources are due again at once. Who had failed before goes on failing, as `OFFLINE` until the next poll tells
    more; so none is forgiven twice.
    """
    blamed = Source.objects.filter(
        last_polled_at__gte=now - timedelta(seconds=WINDOW_SECONDS),
        last_failure_class__in=NETWORK,
        consecutive_failures__gt=0,
    )
    first = blamed.filter(consecutive_failures=1)
    weight = Case(*(When(last_failure_class=failure, then=Value(failure.weight)) for failure in NETWORK))
    return (
        first.filter(last_success_at=None).update(**_NEVER_FAILED, last_polled_at=None)
        + first.update(**_NEVER_FAILED)
        + blamed.update(
            failure_score=Greatest(F("failure_score") - weight, Value(0.0)),
            consecutive_failures=F("consecutive_failures") - 1,
            last_failure_class=FailureClass.OFFLINE,
            next_poll_at=None,
        )
    )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/"


def _polled_lately() -> dict[str, FailureClass | None]:
    """Return how the host of each source went that a run was done with in the last minute, by its results."""
    since = timezone.now() - timedelta(seconds=WINDOW_SECONDS)
    # Bounded by what the index holds; who began before that was not asked within the minute.
    begun = SourceResult.objects.filter(status__in=_TELLING, started_at__gte=since - timedelta(seconds=WINDOW_SECONDS))
    rows = begun.filter(finished_at__gte=since, source__isnull=False).order_by("finished_at")
    return {
        _origin(url): _LOST.get(failure) if status == ResultStatus.FAILED else None
        for url, status, failure in rows.values_list("source__url", "status", "failure_class")
    }
