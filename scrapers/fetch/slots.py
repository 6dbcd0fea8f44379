"""When a host may be asked: its delay and its number of requests at once, shared by all runs and processes.

Each group of hosts (one host alone, or those of a domain: `groups.py`) has lanes (`HostLane` rows); who makes a request
holds one, by a lease that is renewed while the process lives. The rules:

1. With a delay, one lane is used. It is taken for one request and given back with the time of the next slot: the delay
   counted from the moment the answer's headers were there. The server got the request before that, and gets the next
   one after the slot, so the gap that it sees is never shorter than the delay, whatever connecting took.
2. Without a delay, as many lanes are used as requests are allowed at once. A process keeps a lane for its next
   requests, since a write for each would cost more than the request, until it is idle or another process wants it.
3. Where one host of a group has a delay, the group uses one lane; each host keeps its own delay.
4. A lane whose lease has passed is free: a process that was killed holds nothing for long. So is one whose times lie
   further ahead than any can: the clock was wrong when they were written.

Only this module knows that the two databases differ: whose clock counts, and how a taken row is skipped.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Count
from django.utils import timezone
from django.utils.translation import gettext as _t

from scrapers.database import DatabaseThread
from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.fetch.groups import group_name
from scrapers.models import Host, HostLane
from scrapers.polling import FURTHEST_HELD

logger = logging.getLogger(__name__)

LEASE_SECONDS = 15.0
"""How long a lane is held without renewal."""
RENEW_SECONDS = 1.0
"""How often leases are renewed."""
IDLE_SECONDS = 10.0
"""After how long a lane that nobody uses is given back."""
POLL_SECONDS = 0.1
"""How long to wait for a lane that another process uses before looking again."""
PAUSE_SECONDS = 1.0
"""A slot that is further away than the delay and this is so because the host wants to be left alone."""
WANTED_SECONDS = 2.0
"""How long a process that waits for a lane is remembered."""

_TAKE = """
WITH free AS MATERIALIZED (
    SELECT id FROM {lane}
    WHERE group_id = %(group)s AND number < %(lanes)s AND (leased_until <= {now} OR leased_until > {now} + %(ahead)s)
      AND (next_slot_at <= {now} OR next_slot_at > {now} + %(ahead)s)
    ORDER BY number LIMIT %(count)s {skip_locked}
)
UPDATE {lane} SET holder = %(holder)s, leased_until = {now} + %(lease)s, wanted_until = 0,
                  next_slot_at = {now} + %(delay)s
WHERE id IN (SELECT id FROM free)
  AND (leased_until <= {now} OR leased_until > {now} + %(ahead)s)
  AND NOT EXISTS (SELECT 1 FROM {lane} AS beyond
                  WHERE beyond.group_id = %(group)s AND beyond.number >= %(lanes)s
                    AND beyond.leased_until > {now} AND beyond.leased_until <= {now} + %(ahead)s)
RETURNING id
"""
_WANT = """
UPDATE {lane} SET wanted_until = {now} + %(wanted)s WHERE group_id = %(group)s
RETURNING number, next_slot_at - {now}, leased_until - {now}
"""
_GIVE_BACK = """
UPDATE {lane} SET holder = '', leased_until = 0, next_slot_at = {greatest}(next_slot_at, {now} - %(ago)s + %(delay)s)
WHERE id = %(id)s AND holder = %(holder)s
"""
_GIVE_BACK_IDLE = """
UPDATE {lane} SET holder = '', leased_until = 0, next_slot_at = {greatest}(next_slot_at, {now})
WHERE id IN ({ids}) AND holder = %(holder)s
"""
_GIVE_BACK_ALL = """
UPDATE {lane} SET holder = '', leased_until = 0 WHERE holder = %(holder)s
"""
_RENEW = """
UPDATE {lane} SET leased_until = {now} + %(lease)s WHERE holder = %(holder)s
RETURNING id, wanted_until > {now} OR next_slot_at > {now} + %(pause)s
"""
_PAUSE = """
UPDATE {lane} SET next_slot_at = {greatest}(next_slot_at, {now} + %(seconds)s) WHERE group_id = %(group)s
"""


def _execute(statement: str, ids: Sequence[int] = (), **values: Any) -> list[tuple[Any, ...]]:
    """Run one of the statements above and return its rows; `ids` are the lanes that it names."""
    if connection.vendor == "postgresql":
        # The server's clock: the processes may be on several machines.
        words = {"now": "extract(epoch from clock_timestamp())::float8", "skip_locked": "FOR UPDATE SKIP LOCKED"}
        words["greatest"] = "greatest"
    else:
        words = {"now": "%(now)s", "skip_locked": "", "greatest": "max"}
        values["now"] = time.time()
    words["ids"] = ", ".join(f"%(id{place})s" for place in range(len(ids)))
    values |= {f"id{place}": lane for place, lane in enumerate(ids)}
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
class GroupLanes:
    """What this process knows of the lanes of a group; `delays` are those of its hosts, in seconds.

    Of the requests that want a lane (`wanting`) one takes lanes for all of them (`taking`).
    """

    group_id: int
    concurrency: int
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    taking: asyncio.Lock = field(default_factory=asyncio.Lock)
    wanting: int = 0
    idle: list[Lane] = field(default_factory=list)
    held: dict[int, Lane] = field(default_factory=dict)
    delays: dict[int, float] = field(default_factory=dict)
    not_before: float = 0.0

    def __post_init__(self) -> None:
        self.room = asyncio.Semaphore(self.concurrency)


@dataclass
class HostSlots:
    """The slots of one host, in the lanes of its group."""

    host_id: int
    lanes: GroupLanes

    @property
    def delay(self) -> float:
        """Return the seconds between two requests to this host."""
        return self.lanes.delays[self.host_id]

    @delay.setter
    def delay(self, seconds: float) -> None:
        self.lanes.delays[self.host_id] = seconds

    @property
    def one_at_once(self) -> bool:
        """Tell whether any host of the group has a delay."""
        return any(delay > 0 for delay in self.lanes.delays.values())


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
        self._groups: dict[int, GroupLanes] = {}
        self._keeper: asyncio.Task[None] | None = None

    def add(self, host: Host, delay: float, concurrency: int) -> HostSlots:
        """Return the slots of a host, whose group and lanes must exist (`create_lanes`)."""
        assert host.group_id is not None
        lanes = self._groups.setdefault(host.group_id, GroupLanes(host.group_id, concurrency))
        lanes.delays[host.pk] = delay
        return HostSlots(host.pk, lanes)

    @asynccontextmanager
    async def request(self, slots: HostSlots, *, alone: bool = False) -> AsyncIterator[Slot]:
        """Wait until the host may be asked, and hold that permission for the block.

        `alone`: no other request may be under way meanwhile, whatever the delay (for robots.txt, which tells it). The
        delay that holds when the block ends counts for what comes next.
        """
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())
        if alone or slots.one_at_once:
            async with slots.lanes.turn, self._own_lane(slots) as slot:
                yield slot
        else:
            async with slots.lanes.room, self._shared_lane(slots) as slot:
                yield slot

    async def pause(self, slots: HostSlots, seconds: float) -> None:
        """Let nobody ask the host for some seconds."""
        await self._database.run(_execute, _PAUSE, group=slots.lanes.group_id, seconds=seconds)

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
            if slots.one_at_once:
                await self._give_back(slots.lanes, lane, slots.delay, slot.seconds_ago())
            else:
                await self._keep_for_next(slots.lanes, lane)

    @asynccontextmanager
    async def _shared_lane(self, slots: HostSlots) -> AsyncIterator[Slot]:
        group = slots.lanes
        lane = group.idle.pop() if group.idle else await self._any_lane(slots)
        try:
            yield Slot()
        finally:
            await self._keep_for_next(group, lane)

    async def _any_lane(self, slots: HostSlots) -> Lane:
        group = slots.lanes
        group.wanting += 1
        try:
            # Those that begin in the same instant are to be counted.
            await asyncio.sleep(0)
            async with group.taking:
                return group.idle.pop() if group.idle else await self._take(slots, lanes=group.concurrency)
        finally:
            group.wanting -= 1

    async def _keep_for_next(self, group: GroupLanes, lane: Lane) -> None:
        """Keep a lane of a group without a delay for the next request, unless another process wants it."""
        if lane.id not in group.held:
            logger.warning("The lease of a lane of group %s passed while it was used.", group.group_id)
        elif lane.wanted:
            await self._give_back(group, lane)
            group.not_before = time.monotonic() + 2 * POLL_SECONDS
        else:
            lane.idle_since = time.monotonic()
            group.idle.append(lane)

    async def _take(self, slots: HostSlots, lanes: int) -> Lane:
        """Wait for a free lane whose slot has come, and take it; where all are used, one for each that wants one."""
        group = slots.lanes
        while True:
            await asyncio.sleep(max(0.0, group.not_before - time.monotonic()))
            while lanes == 1 and group.idle:
                await self._give_back(group, group.idle.pop())
            values: dict[str, Any] = {"holder": self._holder, "lease": LEASE_SECONDS, "delay": slots.delay}
            values["ahead"] = FURTHEST_HELD.total_seconds()
            count = 1 if lanes == 1 else max(1, group.wanting)
            rows = await self._database.run(_execute, _TAKE, group=group.group_id, lanes=lanes, count=count, **values)
            if rows:
                now = time.monotonic()
                taken = [Lane(key, idle_since=now) for (key,) in rows]
                group.held |= {lane.id: lane for lane in taken}
                group.idle += taken[1:]
                return taken[0]
            if lanes > 1 and group.idle:
                return group.idle.pop()
            wait = await self._wait(group, lanes)
            if wait > slots.delay + PAUSE_SECONDS:
                await self._database.run(check_cool_down, group.group_id)
            # A little chance, so that no process comes always second.
            await asyncio.sleep(min(max(wait, 0.002), 5.0) + random.random() * 0.02)  # noqa: S311

    async def _wait(self, group: GroupLanes, lanes: int) -> float:
        """Say that a lane is wanted; return the seconds after which one of the first `lanes` may be free."""
        rows = await self._database.run(_execute, _WANT, wanted=WANTED_SECONDS, group=group.group_id)
        waits = [max(slot, POLL_SECONDS if leased > 0 else 0.0) for number, slot, leased in rows if number < lanes]
        beyond = any(number >= lanes and leased > 0 for number, _slot, leased in rows)
        return max(min(waits, default=POLL_SECONDS), POLL_SECONDS if beyond else 0.0)

    async def _give_back(self, group: GroupLanes, lane: Lane, delay: float = 0.0, ago: float = 0.0) -> None:
        """Give a lane back, with the next slot `delay` seconds after an answer that came `ago` seconds ago."""
        group.held.pop(lane.id, None)
        group.not_before = max(group.not_before, time.monotonic() - ago + delay)
        try:
            await self._database.run(_execute, _GIVE_BACK, id=lane.id, holder=self._holder, ago=ago, delay=delay)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("A lane of group %s could not be given back, its lease will end: %s", group.group_id, error)

    async def _keep(self) -> None:
        """Renew the leases of this process, and give back what is idle or wanted by others."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            if not any(group.held for group in self._groups.values()):
                continue
            try:
                values: dict[str, Any] = {"lease": LEASE_SECONDS, "holder": self._holder, "pause": PAUSE_SECONDS}
                rows = await self._database.run(_execute, _RENEW, **values)
            except (DatabaseError, InterfaceError) as error:
                logger.warning("Leases of lanes could not be renewed: %s", error)
                continue
            wanted = {lane: bool(is_wanted) for lane, is_wanted in rows}
            unused = [lane for group in self._groups.values() for lane in self._unused(group, wanted)]
            if unused:
                await self._give_back_idle(unused)

    @staticmethod
    def _unused(group: GroupLanes, wanted: dict[int, bool]) -> list[int]:
        """Forget the lanes that are idle for long or wanted by others; return them."""
        for lane in group.held.values():
            lane.wanted = wanted.get(lane.id, True)
        now = time.monotonic()
        unused = [lane for lane in group.idle if lane.wanted or now - lane.idle_since > IDLE_SECONDS]
        for lane in unused:
            group.idle.remove(lane)
            group.held.pop(lane.id, None)
        return [lane.id for lane in unused]

    async def _give_back_idle(self, lanes: Sequence[int]) -> None:
        try:
            await self._database.run(_execute, _GIVE_BACK_IDLE, ids=lanes, holder=self._holder)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("Lanes could not be given back, their leases will end: %s", error)


def create_lanes(hosts: Sequence[Host], concurrency: int) -> None:
    """See to it that hosts have their groups, by the rule that holds now, and the groups their lanes."""
    groups = sorted({host.join(group_name(host)).pk for host in hosts})
    known = dict(
        HostLane.objects.filter(group__in=groups).order_by().values_list("group").annotate(number_of=Count("pk"))
    )
    HostLane.objects.bulk_create(
        [
            HostLane(group_id=group, number=number)
            for group in groups
            if known.get(group, 0) < concurrency
            for number in range(concurrency)
        ],
        ignore_conflicts=True,
    )


def note_cool_down(host: Host, pause: timedelta) -> None:
    """Store that a host wants to be left alone for a while, for all processes and all hosts of its group."""
    host.cool_down(timezone.now() + pause)
    _execute(_PAUSE, group=host.group_id, seconds=pause.total_seconds())


def check_cool_down(group_id: int) -> None:
    """Raise `CollectError` if a host of this group still wants to be left alone."""
    host = Host.objects.cooling().filter(group=group_id).first()
    if host is not None and host.cool_down_until is not None:
        raise cooling_error(host.host, host.cool_down_until)


def cooling_error(host: str, until: datetime) -> CollectError:
    """Return the error for a host that still wants to be left alone."""
    values = {"host": host, "time": timezone.localtime(until).strftime("%H:%M:%S")}
    sentence = _t("%(host)s asked to be left alone until %(time)s.") % values
    left = max(until - timezone.now(), timedelta())
    return CollectError(FailureClass.RATE_LIMITED, sentence, retry_after=left, counted=False)
