"""From a schedule's fields to its trigger, to words, and to messages at the fields."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.models import Schedule, ScheduleState, TriggerKind
from scheduling.triggers import (
    AllOfTrigger,
    AnyOfTrigger,
    BlackoutTrigger,
    CalendarIntervalTrigger,
    CrontabTrigger,
    FixedIntervalTrigger,
    OneOffTrigger,
)
from tests import factories
from tests.shared import examples

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
CREATED = datetime(2026, 5, 1, tzinfo=UTC)
BERLIN = "Europe/Berlin"
HOURLY = {"kind": "interval", "interval_seconds": 3600}
AT_SIX = {"kind": "crontab", "crontab": "0 6 * * *"}


def make(**values: Any) -> Schedule:
    return Schedule(**{"name": "x", "job": "noop", "timezone": BERLIN, "created_at": CREATED, **values})


CALENDAR = {
    "trigger_kind": "calendar",
    "calendar_count": 1,
    "calendar_unit": "months",
    "calendar_at": time(6, 30),
    "calendar_first_day": date(2026, 1, 31),
}


@pytest.mark.anydb
@pytest.mark.parametrize(
    ("values", "trigger"),
    [
        (CALENDAR, CalendarIntervalTrigger(1, "months", time(6, 30), BERLIN, date(2026, 1, 31))),
        (
            {"trigger_kind": "any_of", "parts": [HOURLY, AT_SIX]},
            AnyOfTrigger([FixedIntervalTrigger(3600, CREATED), CrontabTrigger("0 6 * * *", BERLIN)]),
        ),
        (
            {"trigger_kind": "all_of", "parts": [HOURLY, AT_SIX], "start_at": NOW, "end_at": NOW + timedelta(days=9)},
            AllOfTrigger(
                [FixedIntervalTrigger(3600, NOW), CrontabTrigger("0 6 * * *", BERLIN)],
                start=NOW,
                end=NOW + timedelta(days=9),
            ),
        ),
        (
            {
                "trigger_kind": "any_of",
                "parts": [
                    {"kind": "date", "run_at": "2026-12-24 06:30"},
                    {"kind": "date", "run_at": "2026-12-24T06:30:00.5Z"},
                    {
                        "kind": "calendar",
                        "calendar_count": "2",
                        "calendar_unit": "weeks",
                        "calendar_at": "06:30",
                        "calendar_first_day": "2026-05-04",
                        "crontab": "",
                        "interval_seconds": None,
                    },
                ],
            },
            AnyOfTrigger(
                [
                    OneOffTrigger(datetime(2026, 12, 24, 5, 30, tzinfo=UTC)),
                    OneOffTrigger(datetime(2026, 12, 24, 6, 30, 1, tzinfo=UTC)),
                    CalendarIntervalTrigger(2, "weeks", time(6, 30), BERLIN, date(2026, 5, 4)),
                ]
            ),
        ),
        (
            {
                "trigger_kind": "interval",
                "interval_seconds": 60,
                "start_at": NOW,
                "blackout_times": [["22:00", "04:00"]],
                "blackout_dates": ["2026-12-24"],
            },
            BlackoutTrigger(
                FixedIntervalTrigger(60, NOW),
                BERLIN,
                daily=[(time(22), time(4))],
                dates=[date(2026, 12, 24)],
                start=NOW,
            ),
        ),
        ({"trigger_kind": "manual", "blackout_times": [["22:00", "04:00"]]}, None),
    ],
    ids=["calendar", "any of", "all of in a window", "every kind of part", "blackouts", "manual"],
)
def test_fields_make_a_trigger(values: dict[str, Any], trigger: object) -> None:
    assert make(**values).trigger() == trigger


@pytest.mark.anydb
@pytest.mark.parametrize(
    ("values", "words"),
    [
        (CALENDAR, "Every month on day 31 (the last day of shorter months) at 06:30, Europe/Berlin"),
        (
            {"trigger_kind": "any_of", "parts": [HOURLY, AT_SIX]},
            "Whenever one of these is due: Every hour; At 06:00 every day, Europe/Berlin",
        ),
        (
            {"trigger_kind": "all_of", "parts": [HOURLY, {"kind": "interval", "interval_seconds": 5400}]},
            "Whenever these are due at the same time: Every hour; Every 90 minutes",
        ),
        (
            {"trigger_kind": "interval", "interval_seconds": 900, "blackout_times": [["01:00", "04:00"]]},
            "Every 15 minutes, never between 01:00 and 04:00, Europe/Berlin",
        ),
        (
            {"trigger_kind": "crontab", "crontab": "0 6 * * *", "blackout_dates": ["2026-12-24"]},
            "At 06:00 every day, never on 24 December 2026, Europe/Berlin",
        ),
        (
            {"interval_seconds": 60, "start_at": NOW, "end_at": NOW + timedelta(days=1), "max_runs": 3},
            "Every minute, from 4 May 2026 05:02, until 5 May 2026 05:02, ends after 3 runs",
        ),
        ({"trigger_kind": "any_of", "parts": [{"kind": "moon"}]}, "Not understood"),
        ({"trigger_kind": "interval", "interval_seconds": 60, "blackout_times": "night"}, "Not understood"),
        ({"trigger_kind": "date", "run_at": NOW, "timezone": "Mars/Olympus"}, "Not understood"),
        ({"trigger_kind": "calendar"}, "Not complete, Europe/Berlin"),
    ],
)
def test_fields_in_words(values: dict[str, Any], words: str) -> None:
    assert make(**values).words() == words


def refused(schedule: Schedule) -> dict[str, list[str]]:
    with time_machine.travel(NOW, tick=False), pytest.raises(ValidationError) as caught:
        schedule.full_clean(validate_unique=False, validate_constraints=False)
    return caught.value.message_dict


NEVER = "This leaves no due time in the next 5 years."


@pytest.mark.anydb
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "field", "messages"),
    [
        (
            {**CALENDAR, "calendar_count": 0, "calendar_at": None},
            ["calendar_count", "calendar_at"],
            ["Give every how many days, weeks, months or years: 1 or more.", "Give the time of day."],
        ),
        ({**CALENDAR, "calendar_unit": ""}, ["calendar_unit"], ["Give days, weeks, months or years."]),
        (
            {**CALENDAR, "calendar_first_day": date(9500, 1, 1)},
            ["calendar_first_day"],
            ["There is no due time after this day."],
        ),
        ({"trigger_kind": "any_of"}, ["parts"], ["Give the triggers that are combined."]),
        (
            {"trigger_kind": "any_of", "parts": {"kind": "interval"}},
            ["parts"],
            ["Give the triggers that are combined."],
        ),
        ({"trigger_kind": "any_of", "parts": [HOURLY] * 11}, ["parts"], ["At most 10 of them."]),
        (
            {"trigger_kind": "any_of", "parts": [HOURLY, {"kind": "any_of"}, 7]},
            ["parts"],
            [
                "Trigger 2: Give an object whose “kind” is crontab, interval, date or calendar.",
                "Trigger 3: Give an object whose “kind” is crontab, interval, date or calendar.",
            ],
        ),
        (
            {"trigger_kind": "all_of", "parts": [{"kind": "crontab"}, {**HOURLY, "moon": 1}]},
            ["parts"],
            [
                "Trigger 1: Give a crontab expression, e.g. 30 6 * * 1-5.",
                "Trigger 2: There is no field “moon”.",
            ],
        ),
        (
            {"trigger_kind": "all_of", "parts": [HOURLY, {"kind": "crontab", "crontab": "0 0 31 2 *"}]},
            ["parts"],
            ["Trigger 2: This expression never fires: none of its months has a day 31."],
        ),
        (
            {"trigger_kind": "all_of", "parts": [{"kind": "interval", "interval_seconds": 0}, {"kind": "interval"}]},
            ["parts"],
            [
                "Trigger 1: The interval in seconds cannot be “0”: give a whole number from 1 to 2147483647.",
                "Trigger 2: Give the interval.",
            ],
        ),
        (
            {
                "trigger_kind": "any_of",
                "parts": [
                    {"kind": "date", "run_at": "2026-02-31 06:30"},
                    {
                        "kind": "calendar",
                        "calendar_count": True,
                        "calendar_unit": "moons",
                        "calendar_at": "25:00",
                        "calendar_first_day": "31.12.2026",
                    },
                ],
            },
            ["parts"],
            [
                "Trigger 1: The date and time cannot be “2026-02-31 06:30”: write a date and time like "
                "2026-12-24 06:30.",
                "Trigger 2: The every so many cannot be “True”: give a whole number from 1 to 32767.",
                "Trigger 2: The unit cannot be “moons”: use days, weeks, months or years.",
                "Trigger 2: The time of day cannot be “25:00”: write a time of day like 06:30 (midnight is 00:00).",
                "Trigger 2: The first day cannot be “31.12.2026”: write a date like 2026-12-24.",
            ],
        ),
        (
            {
                "trigger_kind": "all_of",
                "parts": [{"kind": "crontab", "crontab": "0 * * * * *"}, {"kind": "crontab", "crontab": "1 * * * * *"}],
            },
            ["parts"],
            ["These are never due at the same time in the next 5 years."],
        ),
        (
            {"trigger_kind": "any_of", "parts": [{"kind": "date", "run_at": "2026-05-04 05:02:01"}]},
            ["parts"],
            ["None of these is ever due again."],
        ),
        (
            {"interval_seconds": 60, "blackout_times": [["01:00", "01:00"], ["x", "02:00"], ["01:00"], 5]},
            ["blackout_times"],
            [
                "Blackout 1: it must end at another time than it begins.",
                "Blackout 2: write a time of day like 06:30 (midnight is 00:00).",
                "Blackout 3: give a pair of times, from and to.",
                "Blackout 4: give a pair of times, from and to.",
            ],
        ),
        (
            {"interval_seconds": 60, "blackout_times": {"a": 1}},
            ["blackout_times"],
            ["Give a list of pairs of times, from and to."],
        ),
        (
            {"interval_seconds": 60, "blackout_dates": ["2026-12-24", "Christmas", 7]},
            ["blackout_dates"],
            ["Date 2: “Christmas”: write a date like 2026-12-24.", "Date 3: “7”: write a date like 2026-12-24."],
        ),
        ({"interval_seconds": 60, "blackout_dates": "2026-12-24"}, ["blackout_dates"], ["Give a list of dates."]),
        (
            {"interval_seconds": 60, "blackout_times": [["00:00", "12:00"], ["12:00", "00:00"]]},
            ["blackout_times"],
            [NEVER],
        ),
        (
            {"trigger_kind": "crontab", "crontab": "30 2 * * *", "blackout_times": [["01:00", "04:00"]]},
            ["blackout_times"],
            [NEVER],
        ),
        (
            {"trigger_kind": "date", "run_at": datetime(2026, 12, 24, 5, tzinfo=UTC), "blackout_dates": ["2026-12-24"]},
            ["blackout_dates"],
            [NEVER],
        ),
        ({"interval_seconds": 60, "start_at": NOW, "end_at": NOW}, ["end_at"], ["The end must be after the start."]),
        (
            {"interval_seconds": 60, "end_at": NOW - timedelta(days=1)},
            ["end_at"],
            ["This time is in the past; the schedule would never fire."],
        ),
        (
            {"trigger_kind": "crontab", "crontab": "0 6 1 1 *", "start_at": NOW, "end_at": NOW + timedelta(days=9)},
            ["end_at"],
            ["There is no due time before this end."],
        ),
        (
            {"trigger_kind": "date", "run_at": NOW + timedelta(days=1), "start_at": NOW + timedelta(days=2)},
            ["start_at"],
            ["There is no due time after this start."],
        ),
        (
            {"trigger_kind": "date", "run_at": NOW},
            ["run_at"],
            ["This time is in the past; the schedule would never fire."],
        ),
        (
            {"interval_seconds": 60, "timezone": "Mars/Olympus", "blackout_times": [["01:00", "04:00"]]},
            ["timezone"],
            ["There is no time zone “Mars/Olympus”; write it like Europe/Berlin."],
        ),
        *(
            (values, [field], ["Give a year from 1970 to 8999."])
            for field, values in (
                ("run_at", {"trigger_kind": "date", "run_at": datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)}),
                ("start_at", {"interval_seconds": 60, "start_at": datetime(1, 1, 1, tzinfo=UTC)}),
                ("end_at", {"interval_seconds": 60, "end_at": datetime(9999, 12, 31, tzinfo=UTC)}),
            )
        ),
        (
            {"trigger_kind": "any_of", "parts": [HOURLY, {"kind": "date", "run_at": "9999-12-31 23:59:59.5"}]},
            ["parts"],
            [
                "Trigger 2: The date and time cannot be “9999-12-31 23:59:59.5”: Give a year from 1970 to 8999.",
            ],
        ),
        *(
            ({"interval_seconds": 60, name: 0}, [name], ["Give a whole number from 1."])
            for name in ("queue_limit", "catch_up_limit", "max_runs", "memory_limit_mb", "pause_after_failures")
        ),
        (
            {"interval_seconds": 60, "retry_delay_seconds": 60, "retry_delay_max_seconds": 59},
            ["retry_delay_max_seconds"],
            ["The longest delay cannot be shorter than the first."],
        ),
        ({"trigger_kind": "moon"}, ["trigger_kind"], ["Value 'moon' is not a valid choice."]),
    ],
)
def test_what_is_wrong_is_said_in_words_at_its_field(
    values: dict[str, Any], field: list[str], messages: list[str]
) -> None:
    found = refused(make(**values))
    assert sorted(found) == sorted(field)
    assert [message for name in field for message in found[name]] == messages


@pytest.mark.django_db
@pytest.mark.parametrize(
    "values",
    [
        CALENDAR,
        {
            "trigger_kind": "all_of",
            "parts": [{"kind": "crontab", "crontab": "0 0 29 2 *"}, AT_SIX | {"crontab": "0 0 * * *"}],
        },
        {"interval_seconds": 60, "blackout_times": [["00:00", "23:59"]], "blackout_dates": ["2026-05-04"]},
        {"trigger_kind": "manual", "end_at": NOW - timedelta(days=1), "blackout_times": "ignored"},
    ],
)
def test_what_makes_sense_is_accepted(values: dict[str, Any]) -> None:
    with time_machine.travel(NOW, tick=False):
        make(**values).full_clean()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("constraint", "values"),
    [
        ("schedule_name_not_empty", {"name": ""}),
        ("schedule_trigger_(legal|complete)", {"trigger_kind": "moon"}),
        ("schedule_executor_legal", {"executor": "moon"}),
        ("schedule_interval_positive", {"trigger_kind": "manual", "interval_seconds": 0}),
        ("schedule_trigger_complete", {"trigger_kind": "crontab", "crontab": ""}),
        ("schedule_trigger_complete", {"trigger_kind": "interval", "interval_seconds": None}),
        ("schedule_trigger_complete", {"trigger_kind": "date", "run_at": None}),
        *(
            ("schedule_trigger_complete", CALENDAR | {name: wrong})
            for name, wrong in (
                ("calendar_count", 0),
                ("calendar_unit", "moons"),
                ("calendar_at", None),
                ("calendar_first_day", None),
            )
        ),
        ("schedule_trigger_complete", {"trigger_kind": "any_of", "parts": []}),
        ("schedule_trigger_complete", {"trigger_kind": "all_of", "parts": []}),
        ("schedule_concurrency_legal", {"concurrency_policy": "moon"}),
        ("schedule_catch_up_legal", {"catch_up": "moon"}),
        ("schedule_limits_positive", {"queue_limit": 0}),
        ("schedule_limits_positive", {"catch_up_limit": 0}),
        ("schedule_limits_positive", {"retry_delay_seconds": 0}),
        ("schedule_limits_positive", {"retry_delay_seconds": 9, "retry_delay_max_seconds": 8}),
        ("schedule_optional_limits_positive", {"max_runs": 0}),
        ("schedule_optional_limits_positive", {"time_limit_seconds": 0}),
        ("schedule_optional_limits_positive", {"memory_limit_mb": 0}),
        ("schedule_optional_limits_positive", {"pause_after_failures": 0}),
        ("schedule_end_after_start", {"trigger_kind": "manual", "start_at": NOW, "end_at": NOW}),
    ],
)
def test_what_a_constraint_of_the_database_refuses_is_said_at_a_field_before(
    constraint: str, values: dict[str, Any]
) -> None:
    made = make(**{"interval_seconds": 60, **values})
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        made.save()
    assert set(refused(make(**{"interval_seconds": 60, **values}))) <= set(values)


@pytest.mark.django_db
def test_no_other_constraint_is_left_to_the_database() -> None:
    judged_by_clean = {
        "schedule_name_not_empty",
        "schedule_trigger_legal",
        "schedule_executor_legal",
        "schedule_interval_positive",
        "schedule_trigger_complete",
        "schedule_concurrency_legal",
        "schedule_catch_up_legal",
        "schedule_limits_positive",
        "schedule_optional_limits_positive",
        "schedule_end_after_start",
    }
    no_form_has_their_fields = {"schedule_pause_has_start", "schedule_pause_ends_after_start"}
    assert {one.name for one in Schedule._meta.constraints} == judged_by_clean | no_form_has_their_fields


@pytest.mark.django_db
@pytest.mark.parametrize("seconds", [2**31, 10**15, 10**30])
def test_an_interval_that_no_calendar_holds_is_refused_at_its_field(seconds: int) -> None:
    assert (
        "The interval can be at most 2147483647 seconds." in refused(make(interval_seconds=seconds))["interval_seconds"]
    )


@pytest.mark.django_db
def test_a_schedule_whose_time_is_over_can_be_saved_until_its_due_times_are_edited() -> None:
    over = factories.schedule(interval_seconds=60, end_at=NOW, blackout_dates=["2026-05-04"])
    over.description = "it is done"
    over.full_clean()
    over.interval_seconds = 30
    with pytest.raises(ValidationError) as caught:
        over.full_clean()
    assert list(caught.value.message_dict) == ["end_at"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
    | st.sampled_from(["01:00", "23:59", "2026-12-24", "0 6 * * *", "interval", "date", "crontab", "calendar"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["kind", "crontab", "interval_seconds", "run_at", "calendar_at", "calendar_count", "x"]), inner
    ),
    max_leaves=12,
)  # fmt: skip


@pytest.mark.anydb
@settings(derandomize=True, deadline=None, max_examples=examples(300))
@given(
    st.sampled_from(TriggerKind.values),
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("parts", "blackout_times", "blackout_dates"), json_values)
    ),
)  # fmt: skip
def test_whatever_stands_in_the_json_fields_is_refused_in_words_or_makes_a_trigger(
    kind: str, values: dict[str, Any]
) -> None:
    fields = make(
        **{**CALENDAR, "trigger_kind": kind, "crontab": "0 6 * * *", "interval_seconds": 60, "run_at": NOW}, **values
    ).trigger_fields()
    errors = fields.errors()
    assert all(message for found in errors.values() for error in found for message in error.messages)
    if errors:
        with pytest.raises(ValueError, match=r"."):
            fields.trigger()
        assert fields.words() == "Not understood"
    else:
        assert (fields.trigger() is None) == (kind == "manual")
        assert fields.words() not in ("Not understood", "Not complete")


@pytest.mark.django_db
def test_what_was_written_past_the_form_is_a_problem_in_words() -> None:
    schedule = factories.schedule(trigger_kind="any_of", parts=[{"kind": "moon"}], interval_seconds=None)
    assert schedule.problem() == (
        "The trigger cannot be understood: Trigger 1: Give an object whose “kind” is crontab, interval, date or "
        "calendar."
    )
    assert schedule.next_run() is None


@pytest.mark.django_db
def test_no_more_due_times_are_told_than_runs_remain() -> None:
    schedule = factories.schedule(interval_seconds=60, max_runs=3)
    assert schedule.remaining_runs() == 3
    ScheduleState.objects.update_or_create(schedule=schedule, defaults={"fired": 1})
    assert len(schedule.next_fires(5)) == 2
    assert schedule.next_run() is not None
    ScheduleState.objects.filter(schedule=schedule).update(fired=4)
    assert schedule.remaining_runs() == 0
    assert schedule.next_run() is None
    assert factories.schedule().remaining_runs() is None


@pytest.mark.anydb
def test_due_times_of_a_combination_are_those_of_the_schedule_s_zone() -> None:
    schedule = make(trigger_kind="all_of", parts=[{**HOURLY}, AT_SIX], blackout_dates=["2026-05-05"])
    zone = ZoneInfo(BERLIN)
    assert [due.astimezone(zone).isoformat() for due in schedule.next_fires(2, after=NOW)] == [
        "2026-05-04T06:00:00+02:00",
        "2026-05-06T06:00:00+02:00",
    ]


def test_only_rows_with_the_same_trigger_share_a_key() -> None:
    started, later = CREATED + timedelta(days=1), CREATED + timedelta(days=2)
    kinds: list[dict[str, Any]] = [
        {"trigger_kind": "interval", "interval_seconds": 60},
        {"trigger_kind": "crontab", "crontab": "0 6 * * *"},
        {"trigger_kind": "date", "run_at": started},
        CALENDAR,
    ]
    changes: list[dict[str, Any]] = [
        {},
        {"interval_seconds": 90},
        {"crontab": "0 7 * * *"},
        {"run_at": later},
        {"calendar_count": 5},
        {"calendar_at": time(7)},
        {"start_at": started},
        {"end_at": later},
        {"timezone": "UTC"},
        {"created_at": later},
    ]
    rows = [make(**{**kind, **change}) for kind in kinds for change in changes]
    for one in rows:
        for other in rows:
            if one.trigger_key() == other.trigger_key():
                assert one.trigger() == other.trigger()
    # Many do share one: when they were made matters to intervals only.
    assert make(**kinds[1]).trigger_key() == make(**kinds[1], created_at=later).trigger_key()
    assert make(**kinds[0]).trigger_key() != make(**kinds[0], created_at=later).trigger_key()
    assert make(**kinds[0], blackout_dates=["2026-12-24"]).trigger_key() is None
