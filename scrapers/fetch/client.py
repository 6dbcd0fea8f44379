"""The polite fetcher: one address to one answer, by the rules of its host, over addresses that may be asked.

Used by a run's event loop; see `Fetcher.fetch`. It raises `CollectError` and nothing else for what the outside does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

import aiohttp
from django.utils import timezone
from django.utils.translation import gettext as _t
from yarl import URL

from scrapers import conf
from scrapers.database import DatabaseThread
from scrapers.extract.addresses import to_wire
from scrapers.fetch import robots, slots
from scrapers.fetch.body import ACCEPT_ENCODING, read_limited, too_big
from scrapers.fetch.failures import NETWORK, CollectError, FailureClass, classify, status_error
from scrapers.fetch.identity import ANONYMOUS, Identity
from scrapers.fetch.safety import check_name, safe_socket
from scrapers.fetch.validators import conditional_headers, fresh_for, retry_after, validators_of
from scrapers.models import Host

logger = logging.getLogger(__name__)

MAX_REDIRECTS = 10
MAX_ROBOTS_REDIRECTS = 5
"""RFC 9309, 2.3.1.2: at least five."""
RATE_LIMIT_PAUSE = timedelta(seconds=60)
"""How long a host is left alone that answered 429 without saying how long."""
_PERMANENT = frozenset({301, 308})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}
_RESOURCE_HEADERS = ("Content-Type", "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials")
_ROBOTS_HEADERS = {"Accept": "text/plain, */*;q=0.1"}


@dataclass
class Tally:
    """What fetching cost, for one source."""

    requests: int = 0
    bytes_received: int = 0


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
class _Raw:
    """Any answer of one hop."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass
class _Known:
    """A host as this process knows it."""

    host: Host
    slots: slots.HostSlots
    robots: robots.Robots | None = None
    robots_lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Fetcher:
    """Fetches addresses for one process and event loop; an async context manager."""

    def __init__(self, database: DatabaseThread) -> None:
        self._database = database
        self._slots = slots.Slots(database)
        self._hosts: dict[tuple[str, str, int], asyncio.Task[_Known]] = {}

    async def __aenter__(self) -> Self:
        """Open the connections' pool."""
        timeout = aiohttp.ClientTimeout(
            total=None, connect=conf.connect_seconds(), sock_read=conf.silence_seconds(), ceil_threshold=1e9
        )
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, socket_factory=safe_socket),
            timeout=timeout,
            headers={"User-Agent": conf.user_agent(), "Accept-Encoding": ACCEPT_ENCODING},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            max_line_size=16 * 1024,
            max_field_size=32 * 1024,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections and give back every lane."""
        await self._session.close()
        await self._slots.close()

    async def fetch(
        self,
        url: str,
        *,
        accept: str = "*/*",
        etag: str = "",
        last_modified: str = "",
        tally: Tally | None = None,
        identity: Identity = ANONYMOUS,
    ) -> Answer:
        """Return the answer for an address, in these steps for it and for each redirect.

        1. The address must be http or https.
        2. The host must not have asked to be left alone.
        3. Its robots.txt, fetched at most once a day, must allow the address.
        4. The request waits for the host's slot, and is made to an address that may be asked.

        Raises `CollectError` for everything that is no success (2xx or, if validators were given, 304).
        """
        headers = {"Accept": accept, **conditional_headers(etag, last_modified)}
        tally = tally if tally is not None else Tally()
        visited: set[str] = set()
        moved_to, permanent = "", True
        while True:
            wire = _to_wire(url)
            if wire in visited:
                raise CollectError(FailureClass.BAD_REDIRECT, _t("The address redirects in a circle: %s") % wire)
            if len(visited) > MAX_REDIRECTS:
                raise CollectError(FailureClass.BAD_REDIRECT, _t("More than %d redirects.") % MAX_REDIRECTS)
            visited.add(wire)
            known = await self._known(wire)
            await self._check_robots(known, wire, tally, identity.proxy)
            sent = {**headers, **identity.headers_for(wire)}
            raw = await self._ask(known, wire, sent, tally, proxy=identity.proxy)
            if raw.status in _REDIRECTS:
                url = _target(wire, raw)
                # What lies behind the first passing redirect may be elsewhere the next time.
                permanent = permanent and raw.status in _PERMANENT
                moved_to = url if permanent else moved_to
                continue
            return self._answer(known, wire, raw, moved_to, conditional=bool(etag or last_modified))

    @asynccontextmanager
    async def hold(self, url: str, tally: Tally) -> AsyncIterator[float]:
        """Hold the only slot of an address's host for the block, for somebody else who asks it; yield its delay.

        Raises `CollectError` if its robots.txt does not allow the address or it wants to be left alone.
        """
        wire = _to_wire(url)
        known = await self._known(wire)
        await self._check_robots(known, wire, tally, "")
        self._check_cool_down(known.host)
        async with self._slots.request(known.slots, alone=True):
            yield known.slots.delay

    async def resource(
        self, url: str, method: str, headers: Mapping[str, str], data: bytes | None, identity: Identity
    ) -> tuple[int, dict[str, str], bytes]:
        """Return (status, headers, body) of what a rendered page asks for, whatever the status.

        Its address is checked and its size limited as always; there is no wait for a slot, since a page's parts are
        asked for as a reader's browser does, but robots.txt holds. Redirects are not followed. Raises `CollectError`.
        """
        wire = _to_wire(url)
        known = await self._known(wire)
        await self._check_robots(known, wire, Tally(), identity.proxy)
        self._check_cool_down(known.host)
        kept = {name: value for name, value in headers.items() if name.lower() in ("accept", "content-type", "referer")}
        host = known.host.host
        try:
            if identity.proxy:
                await check_name(host)
            async with (
                asyncio.timeout(conf.total_seconds()),
                self._session.request(
                    method,
                    URL(wire, encoded=True),
                    headers={**kept, **identity.headers_for(wire)},
                    data=data,
                    allow_redirects=False,
                    proxy=identity.proxy or None,
                ) as response,
            ):
                packing = response.headers.get("Content-Encoding", "")
                body, _received = await read_limited(response.content.iter_any(), packing, conf.max_bytes(), host=host)
                given = {name: response.headers[name] for name in _RESOURCE_HEADERS if name in response.headers}
                return response.status, given, body
        except CollectError:
            raise
        except Exception as error:
            raise classify(error, host) from error

    async def forget_network_failures(self) -> None:
        """Ask again for each robots.txt that could not be had for a reason that may have been our own connection's."""
        tasks = [task for task in self._hosts.values() if task.done() and not task.cancelled() and not task.exception()]
        for known in [task.result() for task in tasks]:
            if known.host.robots_failure in NETWORK:
                known.host.robots_expires_at, known.robots = None, None
                await self._database.run(_save_robots, known.host)

    async def answers(self, url: str) -> bool:
        """Tell whether a control address answers, with any status; it is asked without robots.txt and slots."""
        try:
            async with (
                asyncio.timeout(conf.connect_seconds()),
                self._session.head(URL(_to_wire(url), encoded=True), allow_redirects=False),
            ):
                return True
        except Exception as error:
            logger.info("The control address %s does not answer: %s", url, classify(error, url).sentence)
            return False

    def _answer(self, known: _Known, url: str, raw: _Raw, moved_to: str, *, conditional: bool) -> Answer:
        if is_challenge(raw.headers, raw.body):
            sentence = _t("%(host)s answered with a page that wants to see a browser with a person before it.")
            values = {"host": known.host.host}
            raise CollectError(FailureClass.CHALLENGE, sentence % values, http_status=raw.status)
        if not (200 <= raw.status < 300 or (raw.status == 304 and conditional)):
            raise status_error(raw.status, known.host.host, retry_after(raw.headers))
        tag, modified = validators_of(raw.headers)
        kind = raw.headers.get("Content-Type", "")
        return Answer(url, raw.status, raw.body, kind, tag, modified, fresh_for(raw.headers), moved_to)

    async def _known(self, url: str) -> _Known:
        """Return the host of an address, read from the database the first time."""
        parts = urlsplit(url)
        key = (parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme])
        task = self._hosts.get(key)
        if task is None:
            task = self._hosts[key] = asyncio.create_task(self._load(key))
        try:
            return await asyncio.shield(task)
        except Exception:
            self._hosts.pop(key, None)
            raise

    async def _load(self, key: tuple[str, str, int]) -> _Known:
        host = await self._database.run(_load_host, key)
        return _Known(host, self._slots.add(host, robots.delay_seconds(host), conf.host_concurrency()))

    async def _check_robots(self, known: _Known, url: str, tally: Tally, proxy: str) -> None:
        if known.robots is None or not known.host.robots_are_fresh():
            async with known.robots_lock:
                if not known.host.robots_are_fresh():
                    await self._fetch_robots(known, tally, proxy)
                if known.robots is None:
                    known.robots = robots.meaning(known.host)
        known.robots.check(url)

    async def _fetch_robots(self, known: _Known, tally: Tally, proxy: str) -> None:
        """Ask for robots.txt, in the host's only slot, unless another process has done so meanwhile."""
        host, url = known.host, f"{known.host.origin}/robots.txt"
        self._check_cool_down(host)
        known.robots = None
        try:
            async with self._slots.request(known.slots, alone=True) as slot:
                await self._database.run(host.refresh_from_db)
                if host.robots_are_fresh():
                    known.slots.delay = robots.delay_seconds(host)
                    return
                raw = await self._send(
                    known, url, _ROBOTS_HEADERS, slot, tally=tally, truncate_at=robots.MAX_BYTES, proxy=proxy
                )
                if raw.status not in _REDIRECTS:
                    self._note_robots(known, raw)
            if raw.status in _REDIRECTS:
                self._note_robots(known, await self._follow_robots(url, raw, tally, proxy))
                await self._slots.pause(known.slots, known.slots.delay)
        except CollectError as error:
            if error.failure is FailureClass.RATE_LIMITED:
                raise
            robots.note_failure(host, error)
        await self._database.run(_save_robots, host)

    async def _follow_robots(self, url: str, raw: _Raw, tally: Tally, proxy: str) -> _Raw:
        """Follow the redirects of a robots.txt; where they lead nowhere it counts as missing."""
        for _hop in range(MAX_ROBOTS_REDIRECTS):
            try:
                url = _to_wire(_target(url, raw))
            except CollectError:
                break
            known = await self._known(url)
            raw = await self._ask(known, url, _ROBOTS_HEADERS, tally, robots.MAX_BYTES, proxy=proxy)
            if raw.status not in _REDIRECTS:
                return raw
        return _Raw(404, {})

    def _note_robots(self, known: _Known, raw: _Raw) -> None:
        robots.note_answer(known.host, raw.status, raw.body)
        known.slots.delay = robots.delay_seconds(known.host)

    async def _ask(
        self,
        known: _Known,
        url: str,
        headers: Mapping[str, str],
        tally: Tally,
        truncate_at: int | None = None,
        *,
        proxy: str = "",
    ) -> _Raw:
        """Make one request in the host's next slot."""
        self._check_cool_down(known.host)
        async with self._slots.request(known.slots) as slot:
            return await self._send(known, url, headers, slot, tally=tally, truncate_at=truncate_at, proxy=proxy)

    async def _send(
        self,
        known: _Known,
        url: str,
        headers: Mapping[str, str],
        slot: slots.Slot,
        *,
        tally: Tally,
        truncate_at: int | None = None,
        proxy: str = "",
    ) -> _Raw:
        """Make one request now; note what the answer says about being left alone."""
        host = known.host.host
        tally.requests += 1
        try:
            if proxy:
                # The connector sees the proxy's address alone.
                await check_name(host)
            async with (
                asyncio.timeout(conf.total_seconds()),
                self._session.get(
                    URL(url, encoded=True), headers=headers, allow_redirects=False, proxy=proxy or None
                ) as response,
            ):
                slot.answered()
                raw = _Raw(response.status, response.headers)
                if 200 <= response.status < 300:
                    limit = truncate_at or conf.max_bytes()
                    if truncate_at is None and (response.content_length or 0) > limit:
                        raise too_big(host, limit)
                    raw.body, received = await read_limited(
                        response.content.iter_any(),
                        response.headers.get("Content-Encoding", ""),
                        limit,
                        host=host,
                        truncate=truncate_at is not None,
                    )
                    tally.bytes_received += received
        except CollectError:
            raise
        except Exception as error:
            failure = classify(error, host)
            if failure.failure is FailureClass.INTERNAL:
                logger.exception("Fetching %s failed for a reason of our own.", url)
            raise failure from error
        if raw.status in (429, 503):
            pause = retry_after(raw.headers) or (RATE_LIMIT_PAUSE if raw.status == 429 else None)
            if pause:
                await self._database.run(slots.note_cool_down, known.host, pause)
        return raw

    def _check_cool_down(self, host: Host) -> None:
        if host.cool_down_until and host.cool_down_until > timezone.now():
            raise slots.cooling_error(host)


def is_challenge(headers: Mapping[str, str], body: bytes) -> bool:
    """Tell whether an answer is a challenge page, by what its makers document or only such pages hold.

    Cloudflare sends `cf-mitigated: challenge`, AWS WAF `x-amzn-waf-action`; Cloudflare's page defines `_cf_chl_opt`.
    """
    if headers.get("cf-mitigated", "").lower() == "challenge":
        return True
    if headers.get("x-amzn-waf-action", "").lower() in ("challenge", "captcha"):
        return True
    return "html" in headers.get("Content-Type", "").lower() and b"_cf_chl_opt" in body[:65536]


def _to_wire(url: str) -> str:
    try:
        return to_wire(url)
    except ValueError as error:
        raise CollectError(FailureClass.BAD_ADDRESS, _t("The address cannot be used: %s") % error) from error


def _target(url: str, raw: _Raw) -> str:
    """Return where a redirect leads; raises `CollectError` for nowhere that may be asked."""
    location = raw.headers.get("Location", "").strip()
    try:
        target = urljoin(url, location)
        if not location or urlsplit(target).scheme not in _PORTS:
            raise ValueError
        return to_wire(target)
    except ValueError as error:
        sentence = _t("%(host)s redirects to an address that cannot be used: %(target)s")
        values = {"host": urlsplit(url).netloc, "target": location[:200] or "–"}
        raise CollectError(FailureClass.BAD_REDIRECT, sentence % values, http_status=raw.status) from error


def _load_host(key: tuple[str, str, int]) -> Host:
    scheme, name, port = key
    host, _created = Host.objects.get_or_create(scheme=scheme, host=name, port=port)
    slots.create_lanes(host, conf.host_concurrency())
    return host


def _save_robots(host: Host) -> None:
    host.save(
        update_fields=[
            "robots_txt",
            "robots_status",
            "robots_failure",
            "robots_error",
            "robots_fetched_at",
            "robots_expires_at",
            "crawl_delay",
        ]
    )
