"""What the driver did to schedules, and the proof from the rows that nothing of it was lost or doubled.

Every schedule is an interval on one grid of whole seconds, so its due times follow from the ledger alone: a span for
each time in which it had one interval, from the instant at which the database noted the edit that began it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from django.db import connection, transaction
from django.utils import timezone

from scheduling.database import DatabaseAway
from scheduling.models import Run, RunStatus, Schedule, ScheduleChange

T = TypeVar("T")
INTERVALS = (1, 2, 3, 4, 5)


@dataclass
class Span:
    """From `start` (exclusive) to `end` (inclusive), a schedule was due every `seconds`; None: it was switched off."""

    start: datetime
    seconds: int | None
    end: datetime | None = None


@dataclass
class Entry:
    """One schedule: its name outlives it, its spans are what was asked of it."""

    key: int
    name: str
    spans: list[Span] = field(default_factory=list)
    deleted: bool = False


@dataclass
class Proof:
    """What the rows say, compared with the ledger."""

    due_times: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    #: Rows for times that the schedule, as edited, was not due: an edit did not reach the scheduler.
    astray: list[str] = field(default_factory=list)
    #: Missed rows that give no reason, or count wrongly.
    unexplained: list[str] = field(default_factory=list)
    #: Edits that are not in the schedule's row or in its job.
    edits_lost: list[str] = field(default_factory=list)
    #: Due times that passed unnoticed before their schedule was deleted; they went with it.
    went_with_schedule: int = 0
    statuses: Counter[str] = field(default_factory=Counter)


class Ledger:
    """Edits schedules, and remembers what it did."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.anchor = timezone.now().replace(microsecond=0) - timedelta(seconds=10)
        self.entries: dict[int, Entry] = {}
        self._number = 0
        self.edits = 0

    def create(self) -> None:
        """Insert a schedule; one in twenty sleeps in a child process, the others do nothing in a thread."""
        self._number += 1
        name = f"chaos {self._number}"
        seconds = self._rng.choice(INTERVALS)
        sleeps = self._number % 20 == 0
        values: dict[str, Any] = {
            "name": name,
            "trigger_kind": "interval",
            "interval_seconds": seconds,
            "start_at": self.anchor,
            "executor": "processes" if sleeps else "threads",
            "job": "sleep" if sleeps else "noop",
            "parameters": {"seconds": 0.3} if sleeps else {},
        }
        for_certain(lambda: Schedule.objects.create(**values), lambda: Schedule.objects.filter(name=name).exists())
        key = Schedule.objects.values_list("pk", flat=True).get(name=name)
        self.entries[key] = Entry(key, name, [Span(self._noted(key), seconds)])
        self.edits += 1

    def edit(self) -> None:
        """Change, switch off or on, or delete a schedule at random; sometimes make a new one."""
        what = self._rng.choices(["change", "switch", "delete", "create"], [6, 2, 1, 1])[0]
        if what == "create":
            self.create()
            return
        free = self._applied()
        if not free:
            return
        entry = self.entries[self._rng.choice(free)]
        if what == "delete":
            self._delete(entry)
        else:
            self._change(entry, switch=what == "switch")
        self.edits += 1

    def _applied(self) -> list[int]:
        """Return schedules whose last edit the scheduler has taken: what is edited twice while it is down is due by
        the first edit for no scheduler to see."""
        noted = set(ScheduleChange.objects.values_list("schedule_id", flat=True))
        return [key for key, entry in self.entries.items() if not entry.deleted and key not in noted]

    def _change(self, entry: Entry, *, switch: bool) -> None:
        last = entry.spans[-1]
        if switch and last.seconds is not None:
            seconds = None
        else:
            seconds = self._rng.choice([one for one in INTERVALS if one != last.seconds])
        values = {"enabled": False} if seconds is None else {"enabled": True, "interval_seconds": seconds}
        before = Schedule.objects.values_list("version", flat=True).get(pk=entry.key)
        at = timezone.now()

        def write() -> None:
            nonlocal at
            with transaction.atomic():
                Schedule.objects.filter(pk=entry.key).update(**values)
                at = self._noted(entry.key)

        for_certain(write, lambda: Schedule.objects.filter(pk=entry.key, version__gt=before).exists())
        last.end = at
        entry.spans.append(Span(at, seconds))

    def _delete(self, entry: Entry) -> None:
        at = timezone.now()

        def write() -> None:
            nonlocal at
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("DELETE FROM scheduling_schedulestate WHERE schedule_id = %s", [entry.key])
                cursor.execute("DELETE FROM scheduling_schedule WHERE id = %s", [entry.key])
                at = self._noted(entry.key)

        for_certain(write, lambda: not Schedule.objects.filter(pk=entry.key).exists())
        entry.spans[-1].end = at
        entry.deleted = True

    def _noted(self, key: int) -> datetime:
        """Return when the database noted the last edit of a schedule: from then on it counts."""
        at = ScheduleChange.objects.filter(schedule_id=key).order_by("-id").values_list("at", flat=True).first()
        # A note that the scheduler has already taken: the creation, whose instant is the row's own then.
        return at or Schedule.objects.values_list("created_at", flat=True).get(pk=key)

    def prove(self, end: datetime) -> Proof:
        """Compare all due times up to `end` with the rows."""
        proof = Proof()
        rows: dict[str, list[Run]] = {}
        for run in Run.objects.filter(attempt=1, scheduled_for__isnull=False).order_by("scheduled_for"):
            rows.setdefault(run.schedule_name, []).append(run)
            proof.statuses[run.status] += 1
        for entry in self.entries.values():
            self._prove_entry(entry, rows.get(entry.name, []), end, proof)
        return proof

    def _prove_entry(self, entry: Entry, rows: list[Run], end: datetime, proof: Proof) -> None:
        # A missed row may reach beyond the end of the proof.
        all_due = sorted(due for span in entry.spans for due in self._due_times(span, end + timedelta(minutes=5)))
        expected = [due for due in all_due if due <= end]
        known = set(all_due)
        covers: Counter[datetime] = Counter()
        for run in rows:
            assert run.scheduled_for is not None
            if run.status == RunStatus.MISSED:
                assert run.missed_until is not None
                covered = [due for due in all_due if run.scheduled_for <= due <= run.missed_until]
                covers.update(covered)
                if not run.outcome or run.missed_count != len(covered):
                    proof.unexplained.append(
                        f"{entry.name}: run {run.pk} covers {len(covered)}, says {run.missed_count}: {run.outcome!r}"
                    )
            elif run.scheduled_for in known:
                covers[run.scheduled_for] += 1
            else:
                proof.astray.append(f"{entry.name} at {run.scheduled_for:%H:%M:%S}: {self._story(entry)}")
        uncovered = [due for due in expected if not covers[due]]
        if entry.deleted:
            tail = [due for due in uncovered if not any(covers[later] for later in expected if later > due)]
            proof.went_with_schedule += len(tail)
            uncovered = uncovered[: len(uncovered) - len(tail)]
            expected = expected[: len(expected) - len(tail)]
        elif (problem := self._row_differs(entry)) is not None:
            proof.edits_lost.append(f"{entry.name}: {problem}")
        proof.due_times += len(expected)
        proof.lost += [f"{entry.name} at {due:%H:%M:%S}: {self._story(entry)}" for due in uncovered]
        proof.doubled += [f"{entry.name} at {due:%H:%M:%S}" for due, count in covers.items() if count > 1]

    def _due_times(self, span: Span, end: datetime) -> Iterator[datetime]:
        if span.seconds is None:
            return
        step = timedelta(seconds=span.seconds)
        due = self.anchor + step * ((span.start - self.anchor) // step + 1)
        while due <= min(end, span.end or end):
            yield due
            due += step

    def _row_differs(self, entry: Entry) -> str | None:
        stored = Schedule.objects.filter(pk=entry.key).first()
        if stored is None:
            return "its row is gone"
        wanted = entry.spans[-1].seconds
        found = stored.interval_seconds if stored.enabled else None
        return None if found == wanted else f"every {found} s is stored, {wanted} was written"

    def _story(self, entry: Entry) -> str:
        spans = (f"{span.seconds} s from {span.start:%H:%M:%S.%f}" for span in entry.spans)
        return "; ".join(spans) + (f"; deleted at {entry.spans[-1].end:%H:%M:%S.%f}" if entry.deleted else "")


def for_certain(write: Callable[[], object], written: Callable[[], bool]) -> None:
    """Write, whatever the database does meanwhile: when a commit was not answered, look whether it was made."""
    while True:
        try:
            write()
            return
        except DatabaseAway:
            connection.close()
        if patiently(written):
            return


def patiently(ask: Callable[[], T]) -> T:
    """Return an answer of a database that may be away for a while."""
    import time

    for _try in range(600):
        try:
            return ask()
        except DatabaseAway:
            connection.close()
            time.sleep(0.1)
    raise TimeoutError("the database did not come back")


def now() -> datetime:
    return datetime.now(UTC)
