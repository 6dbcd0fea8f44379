"""Triggers: from a schedule's fields to due times. Each class is an APScheduler trigger; times are UTC outside, and
computed in the schedule's zone inside."""

from scheduling.triggers.base import DueTimes, ScheduleTrigger
from scheduling.triggers.blackout import BlackoutTrigger
from scheduling.triggers.build import TriggerFields
from scheduling.triggers.calendar import CalendarIntervalTrigger, CalendarUnit
from scheduling.triggers.combined import AllOfTrigger, AnyOfTrigger
from scheduling.triggers.crontab import CrontabTrigger, validate_crontab
from scheduling.triggers.date import OneOffTrigger
from scheduling.triggers.fields import PlainFields, TriggerKind
from scheduling.triggers.interval import FixedIntervalTrigger

__all__ = [
    "AllOfTrigger",
    "AnyOfTrigger",
    "BlackoutTrigger",
    "CalendarIntervalTrigger",
    "CalendarUnit",
    "CrontabTrigger",
    "DueTimes",
    "FixedIntervalTrigger",
    "OneOffTrigger",
    "PlainFields",
    "ScheduleTrigger",
    "TriggerFields",
    "TriggerKind",
    "validate_crontab",
]
