"""What the form warns of: said in words, at the right schedules, and at no others."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from scheduling.models import Schedule, ScheduleState
from tests import factories

AT = datetime(2026, 1, 10, tzinfo=UTC)
FORWARD = "On 29 March 2026 clocks go forward from 02:00 to 03:00: what is due in between "
BACK = "On 25 October 2026 clocks go back from 03:00 to 02:00: what is due in between "


def make(**values: Any) -> Schedule:
    return Schedule(**{"name": "x", "job": "noop", "timezone": "Europe/Berlin", "created_at": AT, **values})


def crontab(expression: str, **values: Any) -> Schedule:
    return make(trigger_kind="crontab", crontab=expression, **values)


def calendar(at: time, **values: Any) -> Schedule:
    first_day = values.pop("first_day", date(2026, 1, 1))
    return make(
        trigger_kind="calendar",
        calendar_count=1,
        calendar_unit="days",
        calendar_at=at,
        calendar_first_day=first_day,
        **values,
    )


@pytest.mark.anydb
@pytest.mark.parametrize(
    ("schedule", "warnings"),
    [
        (crontab("30 6 * * *"), []),
        (crontab("30 2 * * *"), [FORWARD + "comes at 03:00.", BACK + "comes once, the first time."]),
        (crontab("*/10 2 * * *"), [FORWARD + "is left out.", BACK + "comes twice."]),
        (crontab("0 30 2 * * *"), [FORWARD + "is left out.", BACK + "comes twice."]),
        (crontab("*/10 * * * *"), []),
        (crontab("30 2 * * *", timezone="Asia/Kathmandu"), []),
        (crontab("30 2 * * 1"), []),
        (crontab("30 2 * * *", end_at=AT + timedelta(days=30)), []),
        (crontab("30 2 * * *", blackout_times=[["01:00", "04:00"]]), ["It is never due again."]),
        (crontab("30 2,6 * * *", blackout_times=[["01:00", "04:00"]]), []),
        (calendar(time(2, 30)), [FORWARD + "comes at 03:00.", BACK + "comes once, the first time."]),
        (calendar(time(3, 0)), []),
        (calendar(time(2, 0), first_day=date(2026, 6, 1)), [BACK + "comes once, the first time."]),
        (
            make(trigger_kind="any_of", parts=[{"kind": "crontab", "crontab": t} for t in ("0 9 * * *", "15 2 * * *")]),
            [FORWARD + "comes at 03:00.", BACK + "comes once, the first time."],
        ),
        (make(interval_seconds=86_400), []),
        (make(interval_seconds=1), ["It is due every second."]),
        (crontab("* * * * * *"), ["It is due every second."]),
        (crontab("* * 12 * * *"), ["It is due every second."]),
        (make(trigger_kind="date", run_at=AT), ["It is never due again."]),
        (make(trigger_kind="date", run_at=AT + timedelta(days=1)), []),
        (make(interval_seconds=60, end_at=AT), ["It is never due again."]),
        (make(trigger_kind="manual"), []),
        (make(interval_seconds=60, job=""), []),
    ],
)  # fmt: skip
def test_what_may_surprise_is_said_before_it_does(schedule: Schedule, warnings: list[str]) -> None:
    assert schedule.warnings(AT) == warnings


@pytest.mark.django_db
@pytest.mark.parametrize(("minutes", "warned"), [(4, False), (6, True)])
def test_a_run_that_takes_longer_than_the_next_is_away_is_said(minutes: int, warned: bool) -> None:
    schedule = factories.schedule(interval_seconds=300, created_at=AT)
    factories.run(
        schedule=schedule, status="succeeded", started_at=AT, finished_at=AT + timedelta(minutes=minutes), queued_at=AT
    )
    said = [f"The last run took {minutes} minutes, and it is due again after 5 minutes."]
    assert schedule.warnings(AT) == (said if warned else [])


@pytest.mark.django_db
def test_a_schedule_that_has_had_its_runs_says_so() -> None:
    schedule = factories.schedule(max_runs=2)
    ScheduleState.objects.update_or_create(schedule=schedule, defaults={"fired": 2})
    assert schedule.warnings() == ["It has had all of its runs and is never due again."]
