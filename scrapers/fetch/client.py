"""The polite fetcher: one address to one answer, by the rules of its host, over addresses that may be asked.

Used by a run's event loop; see `Fetcher.fetch`. It raises `CollectError` and nothing else for what the outside does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from django.utils.translation import gettext as _t

from scrapers.database import DatabaseThread
from scrapers.fetch.answers import PERMANENT, REDIRECTS, Answer, Tally, answer_of, target_of, wire_of
from scrapers.fetch.failures import CollectError, FailureClass, busy_error
from scrapers.fetch.hosts import RATE_LIMIT_PAUSE, Hosts, check_cool_down
from scrapers.fetch.identity import ANONYMOUS, Identity
from scrapers.fetch.validators import conditional_headers, retry_after
from scrapers.fetch.wire import Wire

MAX_REDIRECTS = 10


class Fetcher:
    """Fetches addresses for one process and event loop; an async context manager."""

    def __init__(self, database: DatabaseThread) -> None:
        self._wire = Wire()
        self._hosts = Hosts(database, self._wire)

    async def __aenter__(self) -> Self:
        """Open the connections' pool."""
        await self._wire.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections and give back every lane."""
        await self._wire.__aexit__(kind, error, trace)
        await self._hosts.close()

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
        try:
            return await self._fetch(url, headers, tally, identity)
        except CollectError as error:
            raise identity.masked(error) from error.__cause__

    async def _fetch(self, url: str, headers: Mapping[str, str], tally: Tally, identity: Identity) -> Answer:
        visited: set[str] = set()
        conditional = {"If-None-Match", "If-Modified-Since"} & set(headers)
        moved_to, permanent = "", True
        while True:
            wire = identity.shown(wire_of(url))
            if wire in visited:
                raise CollectError(FailureClass.BAD_REDIRECT, _t("The address redirects in a circle: %s") % wire)
            if len(visited) > MAX_REDIRECTS:
                raise CollectError(FailureClass.BAD_REDIRECT, _t("More than %d redirects.") % MAX_REDIRECTS)
            visited.add(wire)
            known = await self._hosts.known(wire)
            await self._hosts.check_robots(known, identity.address_for(wire), tally, identity.proxy)
            sent = {**headers, **identity.headers_for(wire)}
            raw = await self._hosts.ask(known, identity.address_for(wire), sent, tally, proxy=identity.proxy)
            if raw.status == 403 and tally.forbidden_is_busy:
                await self._hosts.leave_alone(known.host, retry_after(raw.headers) or RATE_LIMIT_PAUSE, tally)
                raise busy_error(raw.status, known.host.host, retry_after(raw.headers))
            if raw.status in REDIRECTS:
                url = identity.shown(target_of(wire, raw))
                # What lies behind the first passing redirect may be elsewhere the next time.
                permanent = permanent and raw.status in PERMANENT
                moved_to = url if permanent else moved_to
                continue
            return answer_of(raw, wire, known.host.host, moved_to, conditional=bool(conditional))

    @asynccontextmanager
    async def hold(self, url: str, tally: Tally) -> AsyncIterator[float]:
        """Hold the only slot of an address's host for the block, for somebody else who asks it; yield its delay.

        Raises `CollectError` if its robots.txt does not allow the address or it wants to be left alone.
        """
        wire = wire_of(url)
        known = await self._hosts.known(wire)
        await self._hosts.check_robots(known, wire, tally, "")
        async with self._hosts.hold(known, tally) as delay:
            yield delay

    async def resource(
        self, url: str, method: str, headers: Mapping[str, str], data: bytes | None, identity: Identity
    ) -> tuple[int, dict[str, str], bytes]:
        """Return (status, headers, body) of what a rendered page asks for, whatever the status.

        Its address is checked and its size limited as always; there is no wait for a slot, since a page's parts are
        asked for as a reader's browser does, but robots.txt holds. Redirects are not followed. Raises `CollectError`.
        """
        wire = wire_of(url)
        known = await self._hosts.known(wire)
        await self._hosts.check_robots(known, wire, Tally(), identity.proxy)
        check_cool_down(known.host)
        kept = {name: value for name, value in headers.items() if name.lower() in ("accept", "content-type", "referer")}
        sent = {**kept, **identity.headers_for(wire)}
        return await self._wire.resource(identity.address_for(wire), method, sent, data, proxy=identity.proxy)

    async def forget_network_failures(self) -> None:
        """Ask again for each robots.txt that could not be had for a reason that may have been our own connection's."""
        await self._hosts.forget_network_failures()

    async def answers(self, url: str) -> bool:
        """Tell whether a control address answers, with any status; it is asked without robots.txt and slots."""
        return await self._wire.answers(url)
