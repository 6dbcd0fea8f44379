"""The endpoints of schedules and runs: thin, since the models carry the rules."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.models import ADDITION, LogEntry
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _
from ninja import Query, Router, Schema
from ninja.responses import Status
from pydantic import ConfigDict, Field

from scheduling.api.access import permitted
from scheduling.api.answers import CreatedSchedule, RunDetail, ScheduleDetail, SchedulePage
from scheduling.api.errors import ERRORS, READ_ERRORS, Problem, by_field
from scheduling.api.fields import IdOrName, Natural, Positive, RowId
from scheduling.api.triggers import FIELDS, Trigger, model_fields
from scheduling.jobs import UnknownJob, registry
from scheduling.models import CatchUp, ConcurrencyPolicy, ExecutorAlias, Run, Schedule, Tag

router = Router()


class NewSchedule(Schema):
    """What a schedule is made of; the fields beyond the first four are as in the admin."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    job: str = Field(max_length=100, description="The name of a registered job, such as run_all_scrapers.")
    parameters: dict[str, Any] = Field({}, description="The fields of the job's form.")
    trigger: Trigger
    description: str = ""
    enabled: bool = True
    tags: list[IdOrName] = []
    executor: ExecutorAlias = ExecutorAlias.PROCESSES
    concurrency_policy: ConcurrencyPolicy = ConcurrencyPolicy.FORBID
    queue_limit: Positive | None = None
    catch_up: CatchUp = CatchUp.ONCE
    catch_up_limit: Positive | None = None
    misfire_grace_time: Natural | None = None
    max_retries: Natural | None = None
    retry_delay_seconds: Positive | None = None
    retry_delay_max_seconds: Positive | None = None
    retry_failed: bool = True
    retry_timed_out: bool = True
    rerun_lost: bool = True
    time_limit_seconds: Positive | None = None
    kill_after_seconds: Natural | None = None
    memory_limit_mb: Positive | None = None
    pause_after_failures: Positive | None = None


class Window(Schema):
    """Which part of a list."""

    limit: int = Field(50, ge=1, le=200)
    offset: int = Field(0, ge=0, le=2**31)


@router.post(
    "/schedule/create",
    response={201: CreatedSchedule, **ERRORS},
    summary="Create a schedule",
    operation_id="schedule_create",
    tags=["schedules"],
)
def create_schedule(request: HttpRequest, payload: NewSchedule) -> Status[CreatedSchedule]:
    """Save a schedule; the running scheduler takes it up at once. Needs the permission scheduling.add_schedule."""
    user = permitted(request, "scheduling.add_schedule")
    values = payload.model_dump(exclude={"trigger", "tags", "parameters"}, exclude_unset=True, exclude_none=True)
    schedule = Schedule(**values, **model_fields(payload.trigger), parameters=payload.parameters)
    errors: dict[str, list[str]] = {}
    tags = _tags(payload.tags, errors)
    _check(schedule, errors)
    if errors:
        raise ValidationError(dict(errors))
    try:
        with transaction.atomic():
            schedule.save()
            schedule.tags.set(tags)
            LogEntry.objects.log_actions(user.pk, [schedule], ADDITION, [{"added": {}}])
    except IntegrityError:
        # Another request took the name since it was looked at; if it was anything else, it goes on.
        _check(schedule, errors)
        if not errors:
            raise
        raise ValidationError(dict(errors)) from None
    return Status(201, CreatedSchedule.of(request, schedule))


def _check(schedule: Schedule, errors: dict[str, list[str]]) -> None:
    """Complete and check a schedule by its own rules and its job's form; add what is wrong under the body's names."""
    try:
        schedule.parameters = registry.get(schedule.job).clean(schedule.parameters)
    except UnknownJob:
        pass  # The schedule's own check says so.
    except ValidationError as error:
        errors.update(by_field(error, "parameters."))
    try:
        schedule.full_clean()
    except ValidationError as error:
        for field, messages in by_field(error).items():
            errors.setdefault(f"trigger.{FIELDS[field]}" if field in FIELDS else field, []).extend(messages)


def _tags(given: list[int | str], errors: dict[str, list[str]]) -> list[Tag]:
    names = [one for one in given if isinstance(one, str)]
    ids = [one for one in given if isinstance(one, int)]
    found = list(Tag.objects.filter(Q(name__in=names) | Q(pk__in=ids))) if given else []
    known: set[int | str] = {tag.name for tag in found} | {tag.pk for tag in found}
    if unknown := [one for one in given if one not in known]:
        errors["tags"] = [_("There is no tag “%(name)s”.") % {"name": one} for one in unknown]
    return found


@router.get("/schedules", response={200: SchedulePage, **READ_ERRORS}, operation_id="schedules", tags=["schedules"])
def list_schedules(request: HttpRequest, window: Query[Window]) -> SchedulePage:
    """List the schedules by name. Needs the permission scheduling.view_schedule."""
    permitted(request, "scheduling.view_schedule")
    schedules = Schedule.objects.order_by("name").prefetch_related("tags")
    page = schedules[window.offset : window.offset + window.limit]
    return SchedulePage(items=ScheduleDetail.of_all(request, list(page)), count=Schedule.objects.count())


@router.get(
    "/schedules/{schedule_id}",
    response={200: ScheduleDetail, 404: Problem, **READ_ERRORS},
    operation_id="schedule",
    tags=["schedules"],
)
def read_schedule(request: HttpRequest, schedule_id: RowId) -> ScheduleDetail:
    """Tell of one schedule. Needs the permission scheduling.view_schedule."""
    permitted(request, "scheduling.view_schedule")
    schedule = Schedule.objects.filter(pk=schedule_id).prefetch_related("tags").first()
    if schedule is None:
        raise Http404(_("There is no schedule %(number)s.") % {"number": schedule_id})
    return ScheduleDetail.of_all(request, [schedule])[0]


@router.get("/runs/{run_id}", response={200: RunDetail, 404: Problem, **READ_ERRORS}, operation_id="run", tags=["runs"])
def read_run(request: HttpRequest, run_id: RowId) -> RunDetail:
    """Tell how a run stands. Needs the permission scheduling.view_run."""
    permitted(request, "scheduling.view_run")
    run = Run.objects.filter(pk=run_id).select_related("requested_by").first()
    if run is None:
        raise Http404(_("There is no run %(number)s.") % {"number": run_id})
    return RunDetail.of(request, run)
