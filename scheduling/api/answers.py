"""What the API tells of runs and schedules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja import Schema
from pydantic import Field

from scheduling.api.triggers import trigger_fields
from scheduling.jobs import registry
from scheduling.models import Run, Schedule, SchedulerInstance


def _object(parameters: Any) -> dict[str, Any]:
    """Return parameters; none where plain SQL stored something else, which their words still show."""
    return parameters if isinstance(parameters, dict) else {}


class StartedRun(Schema):
    """A run that was asked for."""

    run: int = Field(description="The number of the run.")
    url: str = Field(description="Its page in the admin.")
    status: str
    new: bool = Field(description="False when this request found a run that was already there.")
    waits_for: str = Field(description="What it waits for, in a sentence; empty once it runs.")

    @classmethod
    def of(cls, request: HttpRequest, run: Run, new: bool) -> StartedRun:
        """Return the answer for a run that was just committed, or found."""
        return cls(
            run=run.pk,
            url=request.build_absolute_uri(run.get_absolute_url()),
            status=run.status,
            new=new,
            waits_for=run.waits_for(),
        )


class RunDetail(Schema):
    """One run, as it stands now."""

    id: int
    url: str
    schedule: int | None
    schedule_name: str
    job: str
    parameters: dict[str, Any]
    status: str
    cause: str
    requested_by: str | None
    attempt: int
    scheduled_for: datetime | None
    queued_at: datetime
    not_before: datetime | None
    waits_for: str
    started_at: datetime | None
    finished_at: datetime | None
    progress_done: int
    progress_total: int | None
    progress_message: str
    summary: dict[str, Any]
    outcome: str = Field(description="In a sentence: how it ended.")

    @classmethod
    def of(cls, request: HttpRequest, run: Run) -> RunDetail:
        """Return what is told of a run (its `requested_by` is read)."""
        plain = {
            name: getattr(run, name)
            for name in cls.model_fields
            if name not in ("url", "schedule", "requested_by", "waits_for")
        }
        return cls(
            **plain | {"parameters": _object(run.parameters)},
            url=request.build_absolute_uri(run.get_absolute_url()),
            schedule=run.schedule_id,
            requested_by=run.requested_by.get_username() if run.requested_by else None,
            waits_for=run.waits_for(),
        )


class ScheduleDetail(Schema):
    """One schedule."""

    id: int
    url: str
    name: str
    description: str
    enabled: bool
    tags: list[str]
    job: str
    parameters: dict[str, Any]
    parameters_words: str = Field(description="What would run, in words.")
    trigger: dict[str, Any] = Field(description="As it is given to schedule/create.")
    trigger_words: str = Field(description="When it runs, in words.")
    next_run: datetime | None = Field(description="The next due time in UTC; jitter aside.")
    paused_at: datetime | None
    paused_until: datetime | None
    pause_reason: str

    @classmethod
    def of_all(cls, request: HttpRequest, schedules: Sequence[Schedule]) -> list[ScheduleDetail]:
        """Return what is told of schedules (whose tags were prefetched), with no query for each."""
        words = registry.describe_all([(schedule.job, schedule.parameters) for schedule in schedules])
        plain = ("id", "name", "description", "enabled", "job")
        pause = ("paused_at", "paused_until", "pause_reason")
        return [
            cls(
                **{name: getattr(schedule, name) for name in (*plain, *pause)},
                parameters=_object(schedule.parameters),
                url=request.build_absolute_uri(schedule.get_absolute_url()),
                tags=[tag.name for tag in schedule.tags.all()],
                parameters_words=described,
                trigger=trigger_fields(schedule),
                trigger_words=schedule.words(),
                next_run=schedule.next_run(),
            )
            for schedule, described in zip(schedules, words, strict=True)
        ]


class CreatedSchedule(Schema):
    """A schedule that was just created."""

    schedule: int = Field(description="The number of the schedule.")
    url: str = Field(description="Its form in the admin.")
    trigger_words: str
    next_run: datetime | None
    waits_for: str = Field(description="What must happen before it can fire, in a sentence; empty if nothing.")

    @classmethod
    def of(cls, request: HttpRequest, schedule: Schedule) -> CreatedSchedule:
        """Return the answer for a schedule that was just saved."""
        waits_for = SchedulerInstance.objects.absence()
        if not schedule.enabled:
            waits_for = _("It is disabled; it fires when somebody enables it.")
        return cls(
            schedule=schedule.pk,
            url=request.build_absolute_uri(schedule.get_absolute_url()),
            trigger_words=schedule.words(),
            next_run=schedule.next_run(),
            waits_for=waits_for,
        )


class SchedulePage(Schema):
    """A part of the list of schedules."""

    items: list[ScheduleDetail]
    count: int = Field(description="How many there are in all.")
