"""What hosts want: their robots.txt, slots and cool-downs, as this process knows them and all processes share them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

from django.utils import timezone

from scrapers import conf
from scrapers.database import DatabaseThread
from scrapers.fetch import robots, slots
from scrapers.fetch.answers import PORTS, REDIRECTS, Raw, Tally, target_of, wire_of
from scrapers.fetch.failures import NETWORK, CollectError, FailureClass
from scrapers.fetch.validators import retry_after
from scrapers.fetch.wire import Wire
from scrapers.models import Host

MAX_ROBOTS_REDIRECTS = 5
"""RFC 9309, 2.3.1.2: at least five."""
RATE_LIMIT_PAUSE = timedelta(seconds=60)
"""How long a host is left alone that answered 429 without saying how long."""
_ROBOTS_HEADERS = {"Accept": "text/plain, */*;q=0.1"}


@dataclass
class Known:
    """A host as this process knows it."""

    host: Host
    slots: slots.HostSlots
    robots: robots.Robots | None = None
    robots_lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Hosts:
    """The hosts that one process and event loop asks."""

    def __init__(self, database: DatabaseThread, wire: Wire) -> None:
        self._database = database
        self._wire = wire
        self._slots = slots.Slots(database)
        self._hosts: dict[tuple[str, str, int], asyncio.Task[Known]] = {}

    async def close(self) -> None:
        """Give back every lane."""
        await self._slots.close()

    async def known(self, url: str) -> Known:
        """Return the host of an address, read from the database the first time."""
        parts = urlsplit(url)
        key = (parts.scheme, parts.hostname or "", parts.port or PORTS[parts.scheme])
        task = self._hosts.get(key)
        if task is None:
            task = self._hosts[key] = asyncio.create_task(self._load(key))
        try:
            return await asyncio.shield(task)
        except Exception:
            self._hosts.pop(key, None)
            raise

    async def _load(self, key: tuple[str, str, int]) -> Known:
        host = await self._database.run(_load_host, key)
        return Known(host, self._slots.add(host, robots.delay_seconds(host), conf.host_concurrency()))

    async def check_robots(self, known: Known, url: str, tally: Tally, proxy: str) -> None:
        """Raise `CollectError` if robots.txt, fetched at most once a day, does not allow the address."""
        if known.robots is None or not known.host.robots_are_fresh():
            async with known.robots_lock:
                if not known.host.robots_are_fresh():
                    await self._fetch_robots(known, tally, proxy)
                if known.robots is None:
                    known.robots = robots.meaning(known.host)
        known.robots.check(url)

    async def _fetch_robots(self, known: Known, tally: Tally, proxy: str) -> None:
        """Ask for robots.txt, in the host's only slot, unless another process has done so meanwhile."""
        host, url = known.host, f"{known.host.origin}/robots.txt"
        check_cool_down(host, tally)
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
                if raw.status not in REDIRECTS:
                    self._note_robots(known, raw)
            if raw.status in REDIRECTS:
                self._note_robots(known, await self._follow_robots(url, raw, tally, proxy))
                await self._slots.pause(known.slots, known.slots.delay)
        except CollectError as error:
            if error.failure is FailureClass.RATE_LIMITED:
                raise
            robots.note_failure(host, error)
        await self._database.run(_save_robots, host)

    async def _follow_robots(self, url: str, raw: Raw, tally: Tally, proxy: str) -> Raw:
        """Follow the redirects of a robots.txt; where they lead nowhere it counts as missing."""
        for _hop in range(MAX_ROBOTS_REDIRECTS):
            try:
                url = wire_of(target_of(url, raw))
            except CollectError:
                break
            known = await self.known(url)
            raw = await self.ask(known, url, _ROBOTS_HEADERS, tally, robots.MAX_BYTES, proxy=proxy)
            if raw.status not in REDIRECTS:
                return raw
        return Raw(404, {})

    def _note_robots(self, known: Known, raw: Raw) -> None:
        robots.note_answer(known.host, raw.status, raw.body)
        known.slots.delay = robots.delay_seconds(known.host)

    async def ask(
        self,
        known: Known,
        url: str,
        headers: Mapping[str, str],
        tally: Tally,
        truncate_at: int | None = None,
        *,
        proxy: str = "",
    ) -> Raw:
        """Make one request in the host's next slot."""
        check_cool_down(known.host, tally)
        async with self._slots.request(known.slots) as slot:
            return await self._send(known, url, headers, slot, tally=tally, truncate_at=truncate_at, proxy=proxy)

    @asynccontextmanager
    async def hold(self, known: Known, tally: Tally) -> AsyncIterator[float]:
        """Hold the only slot of a host for the block; yield its delay. Raises `CollectError` while it cools down."""
        check_cool_down(known.host, tally)
        async with self._slots.request(known.slots, alone=True):
            yield known.slots.delay

    async def forget_network_failures(self) -> None:
        """Ask again for each robots.txt that could not be had for a reason that may have been our own connection's."""
        tasks = [task for task in self._hosts.values() if task.done() and not task.cancelled() and not task.exception()]
        for known in [task.result() for task in tasks]:
            if known.host.robots_failure in NETWORK:
                known.host.robots_expires_at, known.robots = None, None
                await self._database.run(_save_robots, known.host)

    async def _send(
        self,
        known: Known,
        url: str,
        headers: Mapping[str, str],
        slot: slots.Slot,
        *,
        tally: Tally,
        truncate_at: int | None,
        proxy: str,
    ) -> Raw:
        """Make one request now; note what the answer says about being left alone."""
        raw = await self._wire.get(
            url, headers, tally=tally, answered=slot.answered, truncate_at=truncate_at, proxy=proxy
        )
        if raw.status in (429, 503):
            pause = retry_after(raw.headers) or (RATE_LIMIT_PAUSE if raw.status == 429 else None)
            if pause:
                await self.leave_alone(known.host, pause, tally)
        return raw

    async def leave_alone(self, host: Host, pause: timedelta, tally: Tally) -> None:
        """Ask a host and its group nothing for a while; with `NEWSS_COOL_DOWN_HOSTS` off, for this source alone."""
        if not conf.cool_down_hosts():
            tally.left_alone[host.group_id or 0] = timezone.now() + pause
            return
        await self._database.run(slots.note_cool_down, host, pause)
        for task in self._hosts.values():
            if task.done() and not task.cancelled() and not task.exception():
                other = task.result().host
                if other.group_id == host.group_id:
                    other.cool_down_until = host.cool_down_until


def check_cool_down(host: Host, tally: Tally | None = None) -> None:
    """Raise `CollectError` while a host wants to be left alone, by all or by the source that this tally is of."""
    now = timezone.now()
    for until in (host.cool_down_until, tally.left_alone.get(host.group_id or 0) if tally else None):
        if until is not None and until > now:
            raise slots.cooling_error(host.host, until)


def _load_host(key: tuple[str, str, int]) -> Host:
    scheme, name, port = key
    host, _created = Host.objects.select_related("group").get_or_create(scheme=scheme, host=name, port=port)
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
