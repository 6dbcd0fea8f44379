"""A trigger as the API takes it: its kind and that kind's fields, named as in the model; rules stand in the model."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import AwareDatetime, ConfigDict, Field

from scheduling.api.fields import Natural, Positive, TimeOfDay
from scheduling.models import Schedule
from scheduling.triggers import CalendarUnit


class TriggerBase(Schema):
    """What every kind of trigger takes."""

    model_config = ConfigDict(extra="forbid")

    timezone: str | None = Field(None, description="Such as Europe/Berlin; by default the installation's.")
    start_at: AwareDatetime | None = Field(None, description="No due time before this.")
    end_at: AwareDatetime | None = Field(None, description="No due time after this.")
    jitter_seconds: Natural = 0
    max_runs: Positive | None = Field(None, description="Ends after so many scheduled runs.")
    blackout_times: list[list[str]] = Field([], description='Never between these local times: `[["01:00", "04:00"]]`.')
    blackout_dates: list[date] = Field([], description="Never on these local dates.")


class Crontab(TriggerBase):
    """A crontab expression, with the meaning that Debian's cron gives it."""

    kind: Literal["crontab"]
    crontab: str = Field(max_length=200, examples=["30 6 * * 1-5"])


class Interval(TriggerBase):
    """Every so many seconds."""

    kind: Literal["interval"]
    interval_seconds: Positive


class OneOffDate(TriggerBase):
    """Once."""

    kind: Literal["date"]
    run_at: AwareDatetime


class CalendarInterval(TriggerBase):
    """Every so many days, weeks, months or years at a time of day."""

    kind: Literal["calendar"]
    calendar_count: Positive
    calendar_unit: CalendarUnit
    calendar_at: TimeOfDay
    calendar_first_day: date


class AnyOf(TriggerBase):
    """Whenever one of several triggers is due."""

    kind: Literal["any_of"]
    parts: list[dict[str, Any]] = Field(description="Each an object with `kind` and that kind's fields.")


class AllOf(AnyOf):
    """Whenever several triggers are due at once."""

    kind: Literal["all_of"]  # type: ignore[assignment]


class Manual(TriggerBase):
    """Never by itself."""

    kind: Literal["manual"]


Trigger = Annotated[
    Crontab | Interval | OneOffDate | CalendarInterval | AnyOf | AllOf | Manual, Field(discriminator="kind")
]

KINDS: dict[str, type[TriggerBase]] = {
    "crontab": Crontab,
    "interval": Interval,
    "date": OneOffDate,
    "calendar": CalendarInterval,
    "any_of": AnyOf,
    "all_of": AllOf,
    "manual": Manual,
}
FIELDS = {"trigger_kind": "kind"} | {
    name: name for kind in KINDS.values() for name in kind.model_fields if name != "kind"
}
"""The model's field → the name that it has inside `trigger`."""


def model_fields(trigger: TriggerBase) -> dict[str, Any]:
    """Return the fields of a `Schedule` that a trigger gives."""
    given = trigger.model_dump(exclude_unset=True, exclude_none=True)
    given["trigger_kind"] = given.pop("kind")
    if "blackout_dates" in given:
        given["blackout_dates"] = [day.isoformat() for day in given["blackout_dates"]]
    return given


def trigger_fields(schedule: Schedule) -> dict[str, Any]:
    """Return a schedule's trigger as it would be given, without what is not set."""
    kind = KINDS.get(schedule.trigger_kind, Manual)
    values = {name: getattr(schedule, name) for name in kind.model_fields if name != "kind"}
    return {"kind": schedule.trigger_kind} | {
        name: value for name, value in values.items() if value not in (None, [], "")
    }
