"""Whether it is our own connection that fails: then no source is blamed, and polling waits.

1. Most of the hosts that were asked within the last minute failed without an answer (DNS, refused, time-out, TLS …).
2. None of the control addresses (`NEWSS_CONTROL_URLS`) answers either, with any status. Without such addresses nobody
   can tell, and each host is to blame itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from urllib.parse import urlsplit

from scrapers import conf
from scrapers.fetch.client import Fetcher
from scrapers.fetch.failures import NETWORK, CollectError
from scrapers.models import Source

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 60.0
ASK_AGAIN_SECONDS = 5.0
"""How often control addresses are asked at most, while they fail."""


class Outage:
    """What one run knows of its connection; used in its event loop alone."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._last: dict[str, tuple[float, bool]] = {}
        self._lock = asyncio.Lock()
        self._asked = (float("-inf"), True)

    def note(self, source: Source, error: CollectError | None) -> None:
        """Note how a host went: whether it answered at all."""
        answered = error is None or error.failure not in NETWORK
        self._last[urlsplit(source.url).netloc] = (time.monotonic(), answered)

    async def is_ours(self) -> bool:
        """Tell whether our own connection fails now."""
        since = time.monotonic() - WINDOW_SECONDS
        recent = [answered for at, answered in self._last.values() if at >= since]
        most_fail = 2 * recent.count(False) > len(recent)
        return bool(most_fail and conf.control_urls() and not await self._control_answers())

    async def wait(self) -> bool:
        """Wait until a control address answers, at most `NEWSS_OFFLINE_WAIT_SECONDS`; tell whether one does."""
        until = time.monotonic() + conf.offline_wait_seconds()
        while not await self._control_answers():
            if time.monotonic() >= until:
                return False
            await asyncio.sleep(min(ASK_AGAIN_SECONDS, max(0.05, until - time.monotonic())))
        return True

    async def _control_answers(self) -> bool:
        async with self._lock:
            at, answered = self._asked
            if time.monotonic() - at >= min(ASK_AGAIN_SECONDS, conf.offline_wait_seconds()):
                answered = False
                for url in conf.control_urls():
                    answered = answered or await self._fetcher.answers(url)
                self._asked = (time.monotonic(), answered)
                if not answered:
                    logger.warning("No control address answers: it seems to be our own connection that fails.")
            return answered
