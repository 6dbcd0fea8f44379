"""Whether it is our own connection that fails: then no source is blamed, and polling waits.

1. Most of the hosts that were asked within the last minute failed without an answer (DNS, refused, time-out, TLS …).
2. None of the control addresses (`NEWSS_CONTROL_URLS`) answers either, with any status.
3. Without such addresses it takes more: at least `ALL_LOST_LEAST` hosts of different names were asked in that minute,
   each of them is out of reach (a refusal or a wrong certificate comes from somebody who was reached), and some of
   them still are when they are asked again. With fewer hosts nobody can tell, and each is to blame itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from urllib.parse import urlsplit

from scrapers import conf
from scrapers.fetch.client import Fetcher
from scrapers.fetch.failures import NETWORK, CollectError, FailureClass
from scrapers.models import Source

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 60.0
ASK_AGAIN_SECONDS = 5.0
"""How often control addresses are asked at most, while they fail."""
ALL_LOST_LEAST = 5
"""From how many hosts on it tells of our own connection that not one of them is in reach."""
ASKED_AGAIN = 3
"""How many of these take the place of control addresses where there are none."""
_OUT_OF_REACH = frozenset({FailureClass.DNS, FailureClass.CONNECTION, FailureClass.TIMEOUT})


class Outage:
    """What one run knows of its connection; used in its event loop alone."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._last: dict[str, tuple[float, FailureClass | None]] = {}
        self._lock = asyncio.Lock()
        self._asked = (float("-inf"), True)

    def note(self, source: Source, error: CollectError | None) -> None:
        """Note how a host went: whether it answered at all."""
        failure = error.failure if error is not None and error.failure in NETWORK else None
        parts = urlsplit(source.url)
        self._last[f"{parts.scheme}://{parts.netloc}/"] = (time.monotonic(), failure)

    async def is_ours(self) -> bool:
        """Tell whether our own connection fails now."""
        recent = self._recent()
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

    def _recent(self) -> dict[str, FailureClass | None]:
        since = time.monotonic() - WINDOW_SECONDS
        return {origin: failure for origin, (at, failure) in self._last.items() if at >= since}

    async def _control_answers(self) -> bool:
        async with self._lock:
            at, answered = self._asked
            if time.monotonic() - at >= min(ASK_AGAIN_SECONDS, conf.offline_wait_seconds()):
                answered = False
                for url in conf.control_urls() or sorted(self._recent() or self._last)[:ASKED_AGAIN]:
                    answered = answered or await self._fetcher.answers(url)
                self._asked = (time.monotonic(), answered)
                if not answered:
                    logger.warning("No control address answers: it seems to be our own connection that fails.")
            return answered
