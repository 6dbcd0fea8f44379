"""When a host may be asked: its delay and its number of requests at once, shared by all runs and processes.

Each host has lanes (`HostLane` rows); who makes a request holds one, by a lease that is renewed while the process
lives. The rules:

1. With a delay, one lane is used. It is taken for one request and given back with the time of the next slot: the delay
   counted from the moment the answer's headers were there. The server got the request before that, and gets the next
   one after the slot, so the gap that it sees is never shorter than the delay, whatever connecting took.
2. Without a delay, as many lanes are used as requests are allowed at once. A process keeps a lane for its next
   requests, since a write for each would cost more than the request, until it is idle or another process wants it.
3. A lane whose lease has passed is free: a process that was killed holds nothing for long.

Only this module knows that the two databases differ: whose clock counts, and how a taken row is skipped.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone
from django.utils.translation import gettext as _t

from scrapers.database import DatabaseThread
from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.models import Host, HostLane

logger = logging.getLogger(__name__)

LEASE_SECONDS = 15.0
"""How long a lane is held without renewal."""
RENEW_SECONDS = 1.0
"""How often leases are renewed."""
IDLE_SECONDS = 2.0
"""After how long a lane that nobody uses is given back."""
POLL_SECONDS = 0.1
"""How long to wait for a lane that another process uses before looking again."""
PAUSE_SECONDS = 1.0
"""A slot that is further away than the delay and this is so because the host wants to be left alone."""
WANTED_SECONDS = 2.0
"""How long a process that waits for a lane is remembered."""

_TAKE = """
UPDATE {lane} SET holder = %(holder)s, leased_until = {now} + %(lease)s, wanted_until = 0,
                  next_slot_at = {now} + %(delay)s
WHERE id = (SELECT id FROM {lane}
            WHERE host_id = %(host)s AND number < %(lanes)s AND leased_until <= {now} AND next_slot_at <= {now}
            ORDER BY number LIMIT 1 {skip_locked})
  AND leased_until <= {now}
  AND NOT EXISTS (SELECT 1 FROM {lane} AS beyond
                  WHERE beyond.host_id = %(host)s AND beyond.number >= %(lanes)s AND beyond.leased_until > {now})
RETURNING id
"""
_WANT = """
UPDATE {lane} SET wanted_until = {now} + %(wanted)s WHERE host_id = %(host)s AND number < %(lanes)s
RETURNING next_slot_at - {now}, leased_until - {now}
"""
_GIVE_BACK = """
UPDATE {lane} SET holder = '', leased_until = 0, next_slot_at = {greatest}(next_slot_at, {now} - %(ago)s + %(delay)s)
WHERE id = %(id)s AND holder = %(holder)s
"""
_GIVE_BACK_ALL = """
UPDATE {lane} SET holder = '', leased_until = 0 WHERE holder = %(holder)s
"""
_RENEW = """
UPDATE {lane} SET leased_until = {now} + %(lease)s WHERE holder = %(holder)s
RETURNING id, wanted_until > {now} OR next_slot_at > {now} + %(pause)s
"""
_PAUSE = """
UPDATE {lane} SET next_slot_at = {greatest}(next_slot_at, {now} + %(seconds)s) WHERE host_id = %(host)s
"""


def _execute(statement: str, **values: Any) -> list[tuple[Any, ...]]:
    """Run one of the statements above and return its rows."""
    if connection.vendor == "postgresql":
        # The server's clock: the processes may be on several machines.
        words = {"now": "extract(epoch from clock_timestamp())::float8", "skip_locked": "FOR UPDATE SKIP LOCKED"}
        words["greatest"] = "greatest"
    else:
        words = {"now": "%(now)s", "skip_locked": "", "greatest": "max"}
        values["now"] = time.time()
    with connection.cursor() as cursor:
        cursor.execute(statement.format(lane=HostLane._meta.db_table, **words), values)
        return cursor.fetchall() if "RETURNING" in statement else []


@dataclass
class Lane:
    """A lane that this process holds."""

    id: int
    idle_since: float = 0.0
    wanted: bool = False


@dataclass
class HostSlots:
    """What this process knows of the slots of one host; `delay` is in seconds."""

    host_id: int
    delay: float
    concurrency: int
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    idle: list[Lane] = field(default_factory=list)
    held: dict[int, Lane] = field(default_factory=dict)
    not_before: float = 0.0

    def __post_init__(self) -> None:
        self.room = asyncio.Semaphore(self.concurrency)


class Slot:
    """A request's permission; `answered` is to be called when the answer's headers are there."""

    def __init__(self) -> None:
        self.answered_at: float | None = None

    def answered(self) -> None:
        """Note that the server has surely got the request."""
        self.answered_at = time.monotonic()

    def seconds_ago(self) -> float:
        """Return the seconds since then; 0 without an answer."""
        return time.monotonic() - self.answered_at if self.answered_at is not None else 0.0


class Slots:
    """Hands out permissions to ask a host; one for each process and event loop."""

    def __init__(self, database: DatabaseThread) -> None:
        self._database = database
        self._holder = uuid.uuid4().hex
        self._hosts: dict[int, HostSlots] = {}
        self._keeper: asyncio.Task[None] | None = None

    def add(self, host: Host, delay: float, concurrency: int) -> HostSlots:
        """Return the slots of a host, whose lanes must exist (`create_lanes`)."""
        slots = self._hosts[host.pk] = HostSlots(host.pk, delay, concurrency)
        return slots

    @asynccontextmanager
    async def request(self, slots: HostSlots, *, alone: bool = False) -> AsyncIterator[Slot]:
        """Wait until the host may be asked, and hold that permission for the block.

        `alone`: no other request may be under way meanwhile, whatever the delay (for robots.txt, which tells it). The
        delay that holds when the block ends counts for what comes next.
        """
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())
        if alone or slots.delay > 0:
            async with slots.turn, self._own_lane(slots) as slot:
                yield slot
        else:
            async with slots.room, self._shared_lane(slots) as slot:
                yield slot

    async def pause(self, slots: HostSlots, seconds: float) -> None:
        """Let nobody ask the host for some seconds."""
        await self._database.run(_execute, _PAUSE, host=slots.host_id, seconds=seconds)

    async def close(self) -> None:
        """Give every lane back, those too whose taker was cancelled in that instant."""
        if self._keeper is None:
            return
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        try:
            await self._database.run(_execute, _GIVE_BACK_ALL, holder=self._holder)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("Lanes could not be given back, their leases will end: %s", error)

    @asynccontextmanager
    async def _own_lane(self, slots: HostSlots) -> AsyncIterator[Slot]:
        lane = await self._take(slots, lanes=1)
        slot = Slot()
        try:
            yield slot
        finally:
            await self._give_back(slots, lane, slot)

    @asynccontextmanager
    async def _shared_lane(self, slots: HostSlots) -> AsyncIterator[Slot]:
        lane = slots.idle.pop() if slots.idle else await self._take(slots, lanes=slots.concurrency)
        try:
            yield Slot()
        finally:
            if lane.id not in slots.held:
                logger.warning("The lease of a lane of host %s passed while it was used.", slots.host_id)
            elif lane.wanted:
                await self._give_back(slots, lane, Slot())
                slots.not_before = time.monotonic() + 2 * POLL_SECONDS
            else:
                lane.idle_since = time.monotonic()
                slots.idle.append(lane)

    async def _take(self, slots: HostSlots, lanes: int) -> Lane:
        """Wait for a free lane whose slot has come, and take it."""
        while True:
            await asyncio.sleep(max(0.0, slots.not_before - time.monotonic()))
            while lanes == 1 and slots.idle:
                await self._give_back(slots, slots.idle.pop(), Slot())
            values = {"host": slots.host_id, "lanes": lanes}
            rows = await self._database.run(
                _execute, _TAKE, holder=self._holder, lease=LEASE_SECONDS, delay=slots.delay, **values
            )
            if rows:
                lane = slots.held[rows[0][0]] = Lane(rows[0][0])
                return lane
            if lanes > 1 and slots.idle:
                return slots.idle.pop()
            waits = await self._database.run(_execute, _WANT, wanted=WANTED_SECONDS, **values)
            wait = min((max(slot, POLL_SECONDS if leased > 0 else 0.0) for slot, leased in waits), default=POLL_SECONDS)
            if wait > slots.delay + PAUSE_SECONDS:
                await self._database.run(check_cool_down, slots.host_id)
            # A little chance, so that no process comes always second.
            await asyncio.sleep(min(max(wait, 0.002), 5.0) + random.random() * 0.02)  # noqa: S311

    async def _give_back(self, slots: HostSlots, lane: Lane, slot: Slot) -> None:
        slots.held.pop(lane.id, None)
        ago = slot.seconds_ago()
        slots.not_before = time.monotonic() - ago + slots.delay
        try:
            await self._database.run(_execute, _GIVE_BACK, id=lane.id, holder=self._holder, ago=ago, delay=slots.delay)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("A lane of host %s could not be given back, its lease will end: %s", slots.host_id, error)

    async def _keep(self) -> None:
        """Renew the leases of this process, and give back what is idle or wanted by others."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            if not any(slots.held for slots in self._hosts.values()):
                continue
            try:
                values = {"lease": LEASE_SECONDS, "holder": self._holder, "pause": PAUSE_SECONDS}
                rows = await self._database.run(_execute, _RENEW, **values)
            except (DatabaseError, InterfaceError) as error:
                logger.warning("Leases of lanes could not be renewed: %s", error)
                continue
            wanted = {lane: bool(is_wanted) for lane, is_wanted in rows}
            for slots in self._hosts.values():
                await self._look_after(slots, wanted)

    async def _look_after(self, slots: HostSlots, wanted: dict[int, bool]) -> None:
        for lane in slots.held.values():
            lane.wanted = wanted.get(lane.id, True)
        now = time.monotonic()
        for lane in [lane for lane in slots.idle if lane.wanted or now - lane.idle_since > IDLE_SECONDS]:
            # Another task may have taken it while the one before was given back.
            if lane in slots.idle:
                slots.idle.remove(lane)
                await self._give_back(slots, lane, Slot())


def create_lanes(host: Host, concurrency: int) -> None:
    """See to it that a host has its lanes."""
    known = HostLane.objects.filter(host=host).count()
    if known < concurrency:
        HostLane.objects.bulk_create(
            [HostLane(host=host, number=number) for number in range(concurrency)], ignore_conflicts=True
        )


def note_cool_down(host: Host, pause: timedelta) -> None:
    """Store that a host wants to be left alone for a while, for all processes."""
    host.cool_down_until = timezone.now() + pause
    Host.objects.filter(pk=host.pk).update(cool_down_until=host.cool_down_until)
    _execute(_PAUSE, host=host.pk, seconds=pause.total_seconds())


def check_cool_down(host_id: int) -> None:
    """Raise `CollectError` if a host still wants to be left alone."""
    host = Host.objects.cooling().filter(pk=host_id).first()
    if host is not None:
        raise cooling_error(host)


def cooling_error(host: Host) -> CollectError:
    """Return the error for a host that still wants to be left alone."""
    until = timezone.localtime(host.cool_down_until).strftime("%H:%M:%S")
    sentence = _t("%(host)s asked to be left alone until %(time)s.") % {"host": host.host, "time": until}
    left = host.cool_down_until - timezone.now() if host.cool_down_until else timedelta()
    return CollectError(FailureClass.RATE_LIMITED, sentence, retry_after=max(left, timedelta()), counted=False)
