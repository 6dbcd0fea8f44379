"""The end of a run: the one place where it is written, together with everything that follows from it.

Called by whatever executes a run (`scheduling.jobs.execution`), by the scheduler for runs whose process is gone
(`scheduling.runs`), and by `Run.cancel()` for a run that had not begun.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _

from scheduling.models import Cause, FollowOn, FollowUp, Run, RunStatus, Schedule, ScheduleState
from scheduling.models.run_queries import RunQuerySet
from scheduling.retries import Tries, next_attempt
from scheduling.statements import end_together, listed
from scheduling.storable import storable_json, storable_text

logger = logging.getLogger(__name__)

CHUNK = 500
"""Runs that are ended in one transaction: it holds no lock for long."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended, as it is written to its row.

    `retry` is false where another attempt would end the same; `fence` is how long another attempt waits, so that what
    may be left of this one notices that it is no longer wanted. `error_class` and `nothing_due`: as of the run.
    """

    status: RunStatus
    sentence: str = ""
    traceback: str = ""
    summary: dict[str, Any] = field(default_factory=dict)
    retry: bool = True
    fence: timedelta = timedelta(0)
    error_class: str = ""
    nothing_due: bool = False


def finish(run_id: int, claim_token: str, outcome: Outcome, now: datetime | None = None, **values: Any) -> Run | None:
    """End a run that is still held under its claim; return its row, or None if it is not held any more."""
    ended = end(Run.objects.claimed(run_id, claim_token), outcome, now, **values)
    if not ended:
        logger.warning("Run %s ended, but it is no longer held under this claim; nothing is written.", run_id)
        return None
    return ended[0]


@dataclass(frozen=True)
class Finished:
    """A run that was claimed, how it ended, and when it really began and ended."""

    run: Run
    outcome: Outcome
    started_at: datetime
    finished_at: datetime


def finish_many(ends: Sequence[Finished]) -> list[Run]:
    """End runs that are still held under their claims, at most `CHUNK`; return the rows of those that were.

    Ends that nothing follows from are written together, in one transaction with a constant number of statements for
    each different outcome; the others one by one (`finish`).
    """
    plain, others = _without_consequences(ends)
    ended = _write_together(plain) if plain else []
    for one in others:
        run = finish(one.run.pk, one.run.claim_token, one.outcome, one.finished_at, started_at=one.started_at)
        if run is not None:
            ended.append(run)
    return ended


def _without_consequences(ends: Sequence[Finished]) -> tuple[list[Finished], list[Finished]]:
    """Part ends into those that nothing follows from (good ones of schedules that nothing follows), and the others."""
    if len(ends) == 1:
        return [], list(ends)
    schedules = listed({one.run.schedule_id for one in ends if one.run.schedule_id is not None})
    followed = set(FollowUp.objects.filter(predecessor__in=schedules).values_list("predecessor_id", flat=True))
    failing = ScheduleState.objects.filter(schedule__in=schedules, failures_in_row__gt=0)
    followed |= set(failing.values_list("schedule_id", flat=True))
    plain: list[Finished] = []
    others: list[Finished] = []
    for one in ends:
        is_plain = one.outcome.status in RunStatus.good() and one.run.schedule_id not in followed
        (plain if is_plain else others).append(one)
    return plain, others


def _write_together(ends: Sequence[Finished]) -> list[Run]:
    now = timezone.now()
    alike: dict[str, list[Finished]] = {}
    for one in ends:
        alike.setdefault(repr(one.outcome), []).append(one)
    ended: list[Run] = []
    with transaction.atomic():
        Run.objects.running().filter(pk__in=listed(one.run.pk for one in ends)).lock()
        for group in alike.values():
            values = _values(group[0].outcome, now)
            del values["finished_at"]
            keys = [(one.run.pk, one.run.claim_token, one.started_at, one.finished_at) for one in group]
            written = end_together(keys, values)
            for one in group:
                if one.run.pk in written:
                    # Plain columns, so without the fields' descriptors: thousands a second pass through here.
                    vars(one.run).update(values, started_at=one.started_at, finished_at=one.finished_at)
                    ended.append(one.run)
                else:
                    logger.warning("Run %s ended, but it is no longer held under its claim.", one.run.pk)
    return ended


def cancelled(run_id: int) -> Outcome:
    """Return the outcome of a run that ends because somebody asked for it, naming whom and why."""
    run = Run.objects.select_related("cancel_requested_by").get(pk=run_id)
    return Outcome(RunStatus.CANCELLED, run.cancelled_words(_("while it ran")))


def end(which: RunQuerySet, outcome: Outcome, now: datetime | None = None, **values: Any) -> list[Run]:
    """End the runs of a query set that are still in it, all with the same outcome; return those that were ended.

    The query set is the compare of a compare-and-set: it says in which state (and under which claim) a run may be
    ended. `values` are written beside the outcome. In one transaction:

    1. Lock the schedules that consequences touch, in the order of their ids and before any run, as the fire path
       does; then the runs (`RunQuerySet.lock`), then what is counted: so an end and a fire cannot wait for each other.
    2. Write the ends.
    3. Commit with them what follows (`_consequences`).
    """
    now = now or timezone.now()
    found = list(which.select_related("schedule__state"))
    if not found:
        return []
    followers = _followers(found)
    with transaction.atomic():
        _lock_schedules(found, followers)
        ids = [run.pk for run in found]
        # A single run is compared by the update itself; of several, those that are still there are read first.
        if len(ids) > 1:
            ids = which.filter(pk__in=ids).lock()
        values |= _values(outcome, now)
        if not which.filter(pk__in=ids).update(**values):
            return []
        held = set(ids)
        ended = [run for run in found if run.pk in held]
        for run in ended:
            _mirror(run, values)
        _consequences(ended, followers, outcome, now)
    return ended


def _values(outcome: Outcome, now: datetime) -> dict[str, Any]:
    values: dict[str, Any] = {
        "status": outcome.status,
        "finished_at": now,
        "outcome": storable_text(outcome.sentence),
        "traceback": storable_text(outcome.traceback),
        "error_class": storable_text(outcome.error_class)[: Run.ERROR_CLASS_LENGTH],
        "nothing_due": outcome.nothing_due,
        "progress_message": "",
        "wait_reason": "",
        "claim_token": "",
    }
    if outcome.summary:
        values["summary"] = storable_json(outcome.summary)
    return values


def _mirror(run: Run, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(run, name, value)


def _followers(runs: Iterable[Run]) -> dict[int, list[FollowUp]]:
    """Return the follow-ups of the runs' schedules by predecessor."""
    schedules = {run.schedule_id for run in runs if run.schedule_id is not None}
    followers: dict[int, list[FollowUp]] = {}
    if schedules:
        for follow_up in FollowUp.objects.filter(predecessor__in=schedules).order_by("pk"):
            followers.setdefault(follow_up.predecessor_id, []).append(follow_up)
    return followers


def _lock_schedules(runs: Iterable[Run], followers: dict[int, list[FollowUp]]) -> None:
    wanted = {follow_up.successor_id for follow_ups in followers.values() for follow_up in follow_ups}
    wanted |= {run.schedule.pk for run in runs if run.schedule and run.schedule.pause_after_failures}
    if wanted:
        list(Schedule.objects.filter(pk__in=wanted).order_by("pk").select_for_update(no_key=True).values_list("pk"))


def _consequences(ended: Sequence[Run], followers: dict[int, list[FollowUp]], outcome: Outcome, now: datetime) -> None:
    """Commit what follows from the ends of runs, inside their transaction.

    1. Another attempt, if the schedule's policy says so (`scheduling.retries`).
    2. Where there is none, the end is final. Only then it counts for the schedule (which may pause it), and the
       schedules that follow get their runs: a failure that will be retried does neither.
    """
    bad = [run for run in ended if run.status in RunStatus.bad()]
    tries = _tries(bad)
    wanted = (next_attempt(run, run.schedule, tries[run.pk], outcome.retry, now) for run in bad)
    attempts = [attempt for attempt in wanted if attempt is not None]
    if outcome.fence:
        for attempt in attempts:
            attempt.not_before = now + outcome.fence
            attempt.wait_reason = _("Waits until what may be left of the lost run %(run)s has ended.") % {
                "run": attempt.parent_id
            }
    _number(attempts)
    Run.objects.bulk_create(attempts)
    again = {attempt.parent_id for attempt in attempts}
    final = [run for run in ended if run.pk not in again]
    if counted := [run for run in final if run.status in RunStatus.bad() or _has_failures(run)]:
        ScheduleState.objects.note_ends(counted)
    for run in final:
        for follow_up in followers.get(run.schedule_id or 0, []):
            if FollowOn(follow_up.on).holds_for(run.status):
                _follow(run, follow_up.successor_id, now)


def _has_failures(run: Run) -> bool:
    """Tell whether the schedule's failures in a row were above zero before this end."""
    state = getattr(run.schedule, "state", None)
    return state is not None and state.failures_in_row > 0


def _tries(runs: Sequence[Run]) -> dict[int, Tries]:
    """Count the attempts before each run along its parents, back to what began the execution.

    One statement for each generation, however many runs there are.
    """
    again = {Cause.RETRY, Cause.RECOVERY}
    known = {run.pk: (run.cause, run.parent_id) for run in runs}
    wanted = {run.parent_id for run in runs if run.cause in again and run.parent_id} - known.keys()
    while wanted:
        rows = list(Run.objects.filter(pk__in=wanted).order_by().values_list("pk", "cause", "parent_id"))
        known |= {pk: (cause, parent) for pk, cause, parent in rows}
        wanted = {parent for _pk, cause, parent in rows if cause in again and parent} - known.keys()
    tries = {}
    for run in runs:
        causes = []
        step = known.get(run.pk)
        while step is not None and step[0] in again:
            causes.append(step[0])
            step = known.get(step[1] or 0)
        tries[run.pk] = Tries(causes.count(Cause.RETRY), causes.count(Cause.RECOVERY))
    return tries


def _number(attempts: Sequence[Run]) -> None:
    """Give attempts at a due time the next free number: a backfill may have used those that follow the parent's."""
    due = {(run.schedule_id, run.scheduled_for) for run in attempts if run.scheduled_for is not None}
    if not due:
        return
    highest = (
        Run.objects.filter(schedule__in={key[0] for key in due}, scheduled_for__in={key[1] for key in due})
        .order_by()
        .values_list("schedule_id", "scheduled_for")
        .annotate(highest=Max("attempt"))
    )
    numbers = {(schedule, moment): number for schedule, moment, number in highest}
    for run in attempts:
        key = (run.schedule_id, run.scheduled_for)
        if key in numbers:
            numbers[key] = run.attempt = max(run.attempt, numbers[key] + 1)


def _follow(run: Run, successor_id: int, now: datetime) -> None:
    """Give a schedule that follows its run: queued, or skipped with the reason; a disabled one gets none."""
    successor = Schedule.objects.filter(pk=successor_id, enabled=True).first()
    if successor is None:
        return
    if successor.is_paused(now):
        _skip(run, successor, now, _("Skipped: %(pause)s.") % {"pause": successor.pause_words()})
        return
    active, is_new = successor.run_now(cause=Cause.FOLLOW_UP, parent=run)
    if not is_new:
        _skip(run, successor, now, _("Skipped: run %(run)s of this schedule had not ended yet.") % {"run": active.pk})


def _skip(run: Run, successor: Schedule, now: datetime, sentence: str) -> None:
    Run.of(
        successor,
        cause=Cause.FOLLOW_UP,
        parent=run,
        status=RunStatus.SKIPPED,
        queued_at=now,
        finished_at=now,
        outcome=sentence,
    ).save()
