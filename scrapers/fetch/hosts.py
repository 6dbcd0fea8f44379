"""What hosts want: their robots.txt, slots and cool-downs, as this process knows them and all processes share them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

from django.db import DatabaseError, InterfaceError, OperationalError
from django.db.models import Max
from django.utils import timezone

from scrapers import conf
from scrapers.batches import Together
from scrapers.database import DatabaseThread
from scrapers.fetch import robots, slots
from scrapers.fetch.answers import PORTS, REDIRECTS, Raw, Tally, target_of, wire_of
from scrapers.fetch.failures import NETWORK, CollectError, FailureClass
from scrapers.fetch.groups import group_name
from scrapers.fetch.validators import retry_after
from scrapers.fetch.wire import Wire
from scrapers.models import Host, HostGroup
from scrapers.polling import FURTHEST_HELD

MAX_ROBOTS_REDIRECTS = 5
"""RFC 9309, 2.3.1.2: at least five."""
RATE_LIMIT_PAUSE = timedelta(seconds=60)
"""How long a host is left alone that answered 429 without saying how long."""
Key = tuple[str, str, int]
"""Scheme, name and port of a host."""
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
        self._loaded: Together[Key, Host] = Together(database, _load_hosts)
        self._slots = slots.Slots(database)
        self._hosts: dict[Key, asyncio.Task[Known]] = {}

    async def close(self) -> None:
        """Give back every lane."""
        await self._loaded.close()
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

    async def _load(self, key: Key) -> Known:
        host = await self._loaded.write(key)
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
        if until is not None and now < until <= now + FURTHEST_HELD:
            raise slots.cooling_error(host.host, until)


def _load_hosts(keys: Sequence[Key]) -> list[Host | Exception]:
    """Return hosts, made where they are new; where the database refuses one, that error in its place."""
    try:
        found = _stored(keys)
        if missing := sorted(set(keys) - found.keys()):
            _make(missing)
            found = _stored(keys)
        slots.create_lanes(list(found.values()), conf.host_concurrency())
        # SQLite passes silently over what breaks a constraint.
        return [found.get(key) or DatabaseError(f"the host {key[1]} could not be stored") for key in keys]
    except (OperationalError, InterfaceError):
        raise
    except DatabaseError as error:
        return [error] if len(keys) == 1 else [host for key in keys for host in _load_hosts([key])]


def _stored(keys: Sequence[Key]) -> dict[Key, Host]:
    wanted = set(keys)
    hosts = Host.objects.select_related("group").filter(host__in={name for _scheme, name, _port in keys})
    return {key: host for host in hosts if (key := (host.scheme, host.host, host.port)) in wanted}


def _make(keys: Sequence[Key]) -> None:
    """Store new hosts with their groups, and what the hosts of these have asked for; another process may do so too."""
    made = [Host(scheme=scheme, host=name, port=port) for scheme, name, port in keys]
    names = [group_name(host) for host in made]
    HostGroup.objects.bulk_create([HostGroup(name=name) for name in sorted(set(names))], ignore_conflicts=True)
    groups = {group.name: group for group in HostGroup.objects.filter(name__in=names)}
    cooling = Host.objects.cooling().filter(group__in=groups.values()).order_by().values_list("group")
    until = dict(cooling.annotate(until=Max("cool_down_until")))
    for host, name in zip(made, names, strict=True):
        host.group, host.cool_down_until = groups[name], until.get(groups[name].pk)
    Host.objects.bulk_create(made, ignore_conflicts=True)


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
