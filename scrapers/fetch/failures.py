"""What can go wrong while collecting: the classes of failure, and the one function that sorts an error into them."""

from __future__ import annotations

import asyncio
import ssl
from datetime import timedelta
from functools import partial
from typing import Any

import aiohttp
from django.db import models
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from scheduling.storable import storable_text
from scrapers.fetch.safety import AddressRefused


class FailureClass(models.TextChoices):
    """Why something could not be collected; the label says it in a word or two."""

    #: The host's name is unknown.
    DNS = "dns", _("name not found")
    #: Nothing listens on that host and port.
    REFUSED = "refused", _("connection refused")
    #: No way leads to the host, or the connection broke.
    CONNECTION = "connection", _("connection broken")
    #: A time limit passed: to connect, to the first byte, or for the whole.
    TIMEOUT = "timeout", _("timed out")
    #: No valid certificate, or no common protocol.
    TLS = "tls", _("certificate or TLS error")
    #: 401.
    UNAUTHORIZED = "unauthorized", _("login needed")
    #: 403.
    FORBIDDEN = "forbidden", _("access refused")
    #: A page that asks a browser to prove that a person sits before it.
    CHALLENGE = "challenge", _("challenge page")
    #: 404.
    NOT_FOUND = "not_found", _("not found")
    #: 410.
    GONE = "gone", _("gone for good")
    #: 429, or a host that still wants to be left alone after one.
    RATE_LIMITED = "rate_limited", _("too many requests")
    #: Any other 4xx.
    CLIENT_ERROR = "client_error", _("request refused")
    #: 5xx.
    SERVER_ERROR = "server_error", _("server error")
    #: A status that is none of those, or an answer that is no HTTP.
    BAD_ANSWER = "bad_answer", _("unreadable answer")
    #: More bytes than allowed, after decompression.
    TOO_BIG = "too_big", _("too big")
    #: robots.txt does not allow it.
    ROBOTS = "robots", _("forbidden by robots.txt")
    #: The answer holds nothing.
    EMPTY = "empty", _("empty answer")
    #: The answer is something else than a feed.
    NOT_A_FEED = "not_a_feed", _("not a feed")
    #: A spider may not be run here, or ended with an error.
    SPIDER = "spider", _("spider failed")
    #: A page needs JavaScript, and there is no Chromium or Playwright to run it.
    NO_BROWSER = "no_browser", _("browser missing")
    #: A selector or an expression of the source finds nothing.
    NO_MATCH = "no_match", _("selector finds nothing")
    #: A password, token or cookie of the source cannot be had.
    NO_SECRET = "no_secret", _("secret missing")
    #: The source's address wants a query, and there is none.
    NO_QUERY = "no_query", _("query needed")
    #: The answer is something else than a page of text.
    NOT_A_PAGE = "not_a_page", _("not a page")
    #: No article text was found on the page.
    NO_TEXT = "no_text", _("no text found")
    #: The entry has no address that could be fetched.
    NO_ADDRESS = "no_address", _("no address")
    #: The address is not one of http or https.
    BAD_ADDRESS = "bad_address", _("unusable address")
    #: The host is in a network that must not be asked.
    ADDRESS_REFUSED = "address_refused", _("private address refused")
    #: A redirect to nowhere, in a circle, or one too many.
    BAD_REDIRECT = "bad_redirect", _("bad redirect")
    #: Most hosts fail at once and the control addresses too: it is our own connection.
    OFFLINE = "offline", _("no connection of ours")
    #: A fault of ours; the log has the traceback.
    INTERNAL = "internal", _("internal error")

    @property
    def is_permanent(self) -> bool:
        """Tell whether asking again soon, with nothing changed, would be useless."""
        return self in _PERMANENT

    @property
    def weight(self) -> float:
        """Return how much a poll that failed so counts: hard 1, soft ½, passing ¼ (after Media Cloud's rss-fetcher)."""
        return 0.5 if self in _SOFT else 0.25 if self in _PASSING else 1.0


_PERMANENT = frozenset(
    {
        FailureClass.UNAUTHORIZED,
        FailureClass.FORBIDDEN,
        FailureClass.NOT_FOUND,
        FailureClass.GONE,
        FailureClass.CLIENT_ERROR,
        FailureClass.TOO_BIG,
        FailureClass.ROBOTS,
        FailureClass.NOT_A_PAGE,
        FailureClass.NO_TEXT,
        FailureClass.NO_ADDRESS,
        FailureClass.BAD_ADDRESS,
        FailureClass.ADDRESS_REFUSED,
        FailureClass.BAD_REDIRECT,
    }
)

#: What may well be over at the next poll.
_SOFT = frozenset(
    {
        FailureClass.NOT_FOUND,
        FailureClass.RATE_LIMITED,
        FailureClass.SERVER_ERROR,
        FailureClass.DNS,
        FailureClass.TLS,
        FailureClass.TIMEOUT,
        FailureClass.NOT_A_FEED,
        FailureClass.BAD_ANSWER,
        FailureClass.EMPTY,
        FailureClass.CHALLENGE,
    }
)
#: What mostly is over at the next poll, or is no fault of the source.
_PASSING = frozenset({FailureClass.CONNECTION, FailureClass.REFUSED, FailureClass.INTERNAL, FailureClass.NO_TEXT})
#: What may be the fault of our own connection as well as the host's.
NETWORK = frozenset(
    {FailureClass.DNS, FailureClass.CONNECTION, FailureClass.REFUSED, FailureClass.TIMEOUT, FailureClass.TLS}
)

_BY_STATUS = {
    401: FailureClass.UNAUTHORIZED,
    403: FailureClass.FORBIDDEN,
    404: FailureClass.NOT_FOUND,
    410: FailureClass.GONE,
    429: FailureClass.RATE_LIMITED,
}


class CollectError(Exception):
    """Something could not be collected: its class, and a sentence for people.

    `http_status` is that of the answer, if there was one; `retry_after` is how long the host asked to be left alone.
    What is not `counted` says nothing against the source.
    """

    def __init__(
        self,
        failure: FailureClass,
        sentence: str,
        *,
        http_status: int | None = None,
        retry_after: timedelta | None = None,
        counted: bool = True,
    ) -> None:
        # What a server wrote is repeated in it, and is stored.
        sentence = storable_text(sentence)
        super().__init__(sentence)
        self.failure = failure
        self.sentence = sentence
        self.http_status = http_status
        self.retry_after = retry_after
        self.counted = counted

    def __reduce__(self) -> tuple[Any, ...]:
        """Let it pass from one process to another."""
        made = partial(CollectError, http_status=self.http_status, retry_after=self.retry_after, counted=self.counted)
        return made, (self.failure, self.sentence)


def by_status(status: int) -> FailureClass:
    """Return the class of an HTTP status that is not a success."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 400 <= status < 500:
        return FailureClass.CLIENT_ERROR
    return FailureClass.SERVER_ERROR if 500 <= status < 600 else FailureClass.BAD_ANSWER


def status_error(status: int, host: str, retry_after: timedelta | None = None) -> CollectError:
    """Return the error for an HTTP status that is not a success."""
    failure = by_status(status)
    sentence = _t("%(host)s answered %(status)s (%(words)s).") % {
        "host": host,
        "status": status,
        "words": failure.label,
    }
    if retry_after:
        sentence += " " + _t("It asks to be left alone for %(seconds)s s.") % {
            "seconds": round(retry_after.total_seconds())
        }
    return CollectError(failure, sentence, http_status=status, retry_after=retry_after)


def busy_error(status: int, host: str, retry_after: timedelta | None = None) -> CollectError:
    """Return the error for a status that this source takes for 429."""
    error = status_error(status, host, retry_after)
    error.failure = FailureClass.RATE_LIMITED
    return error


def classify(error: BaseException, host: str) -> CollectError:
    """Return the `CollectError` for anything that was raised while `host` was asked; the one place that decides.

    What it does not know is `INTERNAL`; the caller logs that with its traceback.
    """
    if isinstance(error, CollectError):
        return error
    failure = _failure_class(error)
    by_proxy = isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError)
    if by_proxy and failure is FailureClass.ADDRESS_REFUSED:
        host = _t("The proxy of %s") % host
    elif by_proxy:
        sentence = _t("The proxy does not lead to %(host)s: %(detail)s")
        return CollectError(failure, sentence % {"host": host, "detail": _detail(error)})
    sentences = {
        FailureClass.DNS: _t("The name %(host)s could not be found."),
        FailureClass.REFUSED: _t("%(host)s refused the connection."),
        FailureClass.CONNECTION: _t("The connection to %(host)s broke: %(detail)s"),
        FailureClass.TIMEOUT: _t("%(host)s did not answer in time."),
        FailureClass.TLS: _t("No secure connection to %(host)s: %(detail)s"),
        FailureClass.ADDRESS_REFUSED: _t(
            "%(host)s has the address %(detail)s, which is not a public one; NEWSS_ALLOW_NETWORKS can allow it."
        ),
        FailureClass.BAD_ADDRESS: _t("The address of %(host)s cannot be used: %(detail)s"),
        FailureClass.BAD_ANSWER: _t("%(host)s sent an answer that cannot be read: %(detail)s"),
        FailureClass.INTERNAL: _t("Internal error (%(detail)s); the log tells more."),
    }
    return CollectError(failure, sentences[failure] % {"host": host, "detail": _detail(error)})


def _failure_class(error: BaseException) -> FailureClass:
    rules: tuple[tuple[tuple[type[BaseException], ...], FailureClass], ...] = (
        ((TimeoutError, asyncio.TimeoutError), FailureClass.TIMEOUT),
        ((aiohttp.ClientSSLError, ssl.SSLError, ssl.CertificateError), FailureClass.TLS),
        ((aiohttp.ClientConnectorDNSError,), FailureClass.DNS),
        ((aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, UnicodeError), FailureClass.BAD_ADDRESS),
        ((aiohttp.ClientConnectorError, ConnectionRefusedError), FailureClass.REFUSED),
        ((aiohttp.ClientResponseError,), FailureClass.BAD_ANSWER),
        ((aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError), FailureClass.CONNECTION),
    )
    if _refused_address(error):
        return FailureClass.ADDRESS_REFUSED
    for kinds, failure in rules:
        if isinstance(error, kinds):
            if failure is FailureClass.REFUSED and not _is_refusal(error):
                return FailureClass.CONNECTION
            return failure
    return FailureClass.INTERNAL


def _refused_address(error: BaseException) -> AddressRefused | None:
    """Return our own refusal that stands behind an error of the connector."""
    for candidate in (error, getattr(error, "os_error", None), error.__cause__):
        if isinstance(candidate, AddressRefused):
            return candidate
    return None


def _is_refusal(error: BaseException) -> bool:
    return any(isinstance(item, ConnectionRefusedError) for item in (error, getattr(error, "os_error", None)))


def _detail(error: BaseException) -> str:
    refused = _refused_address(error)
    if refused:
        return refused.address
    certificate = getattr(error, "certificate_error", None)
    words = str(certificate or getattr(error, "message", "") or error).strip()
    return f"{type(error).__name__}: {words}"[:300] if words else type(error).__name__
