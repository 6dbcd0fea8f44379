"""Answers of servers: what one hop gave, what is of use to a caller, and where a redirect leads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urljoin, urlsplit

from django.utils.translation import gettext as _t

from scrapers.extract.addresses import AddressError, to_wire
from scrapers.fetch.failures import CollectError, FailureClass, status_error
from scrapers.fetch.validators import fresh_for, retry_after, validators_of

REDIRECTS = frozenset({301, 302, 303, 307, 308})
PERMANENT = frozenset({301, 308})
"""Redirects that say that an address has moved for good."""
PORTS = {"http": 80, "https": 443}
"""The schemes that may be asked, and their ports."""


@dataclass
class Tally:
    """What fetching cost, for one source; `left_alone` are the groups of hosts that it asks nothing until then.

    `forbidden_is_busy`: the source takes 403 for 429.
    """

    requests: int = 0
    bytes_received: int = 0
    forbidden_is_busy: bool = False
    left_alone: dict[int, datetime] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """An answer that is of use: a success, or "not modified". `url` is where it came from, after redirects.

    `fresh_for` is how long it says that it stays fresh; `moved_to` is where its address has moved for good (301, 308),
    if so.
    """

    url: str
    status: int
    body: bytes = b""
    content_type: str = ""
    etag: str = ""
    last_modified: str = ""
    fresh_for: timedelta = timedelta()
    moved_to: str = ""

    @property
    def not_modified(self) -> bool:
        """Tell whether the server says that nothing has changed."""
        return self.status == 304


@dataclass
class Raw:
    """Any answer of one hop."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


def answer_of(raw: Raw, url: str, host: str, moved_to: str, *, conditional: bool) -> Answer:
    """Return the answer if it is of use: a success or, if it was asked for with validators, "not modified".

    Raises `CollectError` for any other status and for a challenge page.
    """
    if is_challenge(raw.headers, raw.body):
        sentence = _t("%(host)s answered with a page that wants to see a browser with a person before it.")
        values = {"host": host}
        raise CollectError(FailureClass.CHALLENGE, sentence % values, http_status=raw.status)
    if not (200 <= raw.status < 300 or (raw.status == 304 and conditional)):
        raise status_error(raw.status, host, retry_after(raw.headers))
    tag, modified = validators_of(raw.headers)
    kind = raw.headers.get("Content-Type", "")
    return Answer(url, raw.status, raw.body, kind, tag, modified, fresh_for(raw.headers), moved_to)


def is_challenge(headers: Mapping[str, str], body: bytes) -> bool:
    """Tell whether an answer is a challenge page, by what its makers document or only such pages hold.

    Cloudflare sends `cf-mitigated: challenge`, AWS WAF `x-amzn-waf-action`; Cloudflare's page defines `_cf_chl_opt`.
    """
    if headers.get("cf-mitigated", "").lower() == "challenge":
        return True
    if headers.get("x-amzn-waf-action", "").lower() in ("challenge", "captcha"):
        return True
    return "html" in headers.get("Content-Type", "").lower() and b"_cf_chl_opt" in body[:65536]


def wire_of(url: str) -> str:
    """Return an address as it goes over the wire; raises `CollectError` for one that cannot be used."""
    try:
        return to_wire(url)
    except ValueError as error:
        reason = _t(error.words) % error.address if isinstance(error, AddressError) else error
        raise CollectError(FailureClass.BAD_ADDRESS, _t("The address cannot be used: %s") % reason) from error


def target_of(url: str, raw: Raw) -> str:
    """Return where a redirect leads; raises `CollectError` for nowhere that may be asked."""
    location = raw.headers.get("Location", "").strip()
    try:
        target = urljoin(url, location)
        if not location or urlsplit(target).scheme not in PORTS:
            raise ValueError
        return to_wire(target)
    except ValueError as error:
        sentence = _t("%(host)s redirects to an address that cannot be used: %(target)s")
        values = {"host": urlsplit(url).netloc, "target": location[:200] or "–"}
        raise CollectError(FailureClass.BAD_REDIRECT, sentence % values, http_status=raw.status) from error
