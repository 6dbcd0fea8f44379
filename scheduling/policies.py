"""Policies as pure functions: no database, no clock of their own.

Fixed here: overlap `forbid` (a due time whose schedule has an active run is skipped) and catch-up `once` (of due times
found together the latest is run however late, the rest is one missed row).
"""

from __future__ import annotations

from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from scheduling.models import Cause, Run, RunStatus, Schedule
from scheduling.triggers import DueTimes


def runs_for(schedule: Schedule, due: DueTimes, now: datetime, active_run: int | None) -> list[Run]:
    """Return the unsaved rows for due times found together, oldest first.

    1. All but the latest due time are one `missed` row that covers their range.
    2. The latest is `skipped` while a run of the schedule is active.
    3. Otherwise it is `queued`; jitter is a `not_before` after the due time.
    """
    rows = []
    if due.before_latest is not None:
        rows.append(
            _row(
                schedule,
                due.first,
                status=RunStatus.MISSED,
                missed_until=due.before_latest,
                missed_count=due.count - 1,
                queued_at=now,
                finished_at=now,
                outcome=ngettext(
                    "One due time passed while no scheduler could run it; the latest one was run instead.",
                    "%(count)d due times passed while no scheduler could run them; the latest one was run instead.",
                    due.count - 1,
                )
                % {"count": due.count - 1},
            )
        )
    if active_run is not None:
        rows.append(
            _row(
                schedule,
                due.latest,
                status=RunStatus.SKIPPED,
                queued_at=now,
                finished_at=now,
                outcome=_("Skipped: run %(run)s of this schedule had not ended yet.") % {"run": active_run},
            )
        )
        return rows
    delay = schedule.delay(due.latest)
    rows.append(
        _row(
            schedule,
            due.latest,
            status=RunStatus.QUEUED,
            queued_at=now,
            not_before=due.latest + delay if delay else None,
            wait_reason=_("Waits for its jitter to pass.") if delay else "",
        )
    )
    return rows


def _row(schedule: Schedule, scheduled_for: datetime, **values: object) -> Run:
    return Run(
        schedule_id=schedule.pk,
        schedule_name=schedule.name,
        job=schedule.job,
        parameters=schedule.parameters,
        executor=schedule.executor,
        cause=Cause.SCHEDULE,
        scheduled_for=scheduled_for,
        **values,
    )
