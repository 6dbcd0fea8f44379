"""robots.txt by RFC 9309: what it allows, how it is stored, how long it holds. Fetching it is the client's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.utils import timezone
from django.utils.translation import gettext as _t
from protego import Protego

from scrapers import conf
from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.models import Host

AGENT = "NEWSS"
"""The product token by which robots.txt may address us."""
VALID_FOR = timedelta(hours=24)
"""How long an answer holds (RFC 9309, 2.4)."""
TRY_AGAIN_AFTER = timedelta(minutes=10)
"""After how long a robots.txt that could not be had is asked for again."""
MAX_BYTES = 512 * 1024
"""What of it is read (RFC 9309, 2.5: at least 500 KiB)."""


@dataclass(frozen=True)
class Robots:
    """What a host's robots.txt means for us."""

    rules: Protego | None
    #: Why nothing may be fetched; None if the rules decide.
    forbids_all: CollectError | None = None

    def check(self, url: str) -> None:
        """Raise `CollectError` if the address may not be fetched."""
        if self.forbids_all is not None:
            raise self.forbids_all
        if self.rules is not None and not self.rules.can_fetch(url, AGENT):
            host = urlsplit(url).netloc
            raise CollectError(
                FailureClass.ROBOTS, _t("The robots.txt of %(host)s does not allow this address.") % {"host": host}
            )


def meaning(host: Host) -> Robots:
    """Return what the stored robots.txt means: 2xx its rules, 4xx all is allowed, anything else all is forbidden."""
    status = host.robots_status
    if status is not None and 200 <= status < 300:
        return Robots(Protego.parse(host.robots_txt))
    if status is not None and 300 <= status < 500:
        return Robots(None)
    if host.robots_failure:
        # No answer at all: the person is told what is wrong with the host, not what that means for robots.txt.
        return Robots(None, CollectError(FailureClass(host.robots_failure), host.robots_error))
    sentence = _t("%(host)s answered %(status)s for robots.txt, so nothing of it may be fetched for now.")
    return Robots(None, CollectError(FailureClass.ROBOTS, sentence % {"host": host.host, "status": status}))


def note_answer(host: Host, status: int, body: bytes, now: datetime | None = None) -> None:
    """Set on a host what its answer for robots.txt says (not saved)."""
    now = now or timezone.now()
    host.robots_status, host.robots_failure, host.robots_error = status, "", ""
    # PostgreSQL holds no NUL in a text.
    host.robots_txt = body.decode("utf-8-sig", "replace").replace("\0", "") if 200 <= status < 300 else ""
    host.robots_fetched_at = now
    host.robots_expires_at = now + (VALID_FOR if status < 500 else TRY_AGAIN_AFTER)
    delay = Protego.parse(host.robots_txt).crawl_delay(AGENT) if host.robots_txt else None
    host.crawl_delay = max(0.0, delay) if delay is not None else None


def note_failure(host: Host, error: CollectError, now: datetime | None = None) -> None:
    """Set on a host that its robots.txt could not be had (not saved); the crawl delay known before still holds."""
    now = now or timezone.now()
    host.robots_status, host.robots_failure, host.robots_error = None, error.failure, error.sentence
    host.robots_txt = ""
    host.robots_fetched_at = now
    host.robots_expires_at = now + TRY_AGAIN_AFTER


def delay_seconds(host: Host) -> float:
    """Return the seconds between two requests: ours, or the host's Crawl-delay where that is longer (capped)."""
    asked = min(host.crawl_delay or 0.0, conf.crawl_delay_max_seconds())
    return max(conf.host_delay_seconds(), asked)
