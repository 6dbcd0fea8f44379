"""Who changed what: old and new values of a row in Django's own history, and an earlier version of a schedule restored.

Each save in the admin stores, beside Django's message, the values that it changed and all values after it. Changes made
elsewhere (API, SQL) have no entry here.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.contrib.admin.models import LogEntry
from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.models import Model
from django.utils.translation import gettext as _

from scheduling.models import FollowUp, Schedule, Tag

KEY = "newss"
TAGS, FOLLOWS = "tags", "follows"
"""Under these names the history keeps what stands in rows of its own."""
HIDDEN = ("id", "created_at", "version", "paused_at", "paused_until", "paused_by", "pause_reason")
"""Fields that are no part of a version: pauses have their own steps."""


def values_of(row: Model, names: Collection[str] | None = None) -> dict[str, Any]:
    """Return the values of a row (of these fields, else of all that are part of a version) as JSON can hold them."""
    values = {
        field.attname: getattr(row, field.attname)
        for field in row._meta.concrete_fields
        if (field.name not in HIDDEN if names is None else field.name in names)
    }
    return dict(json.loads(json.dumps(values, cls=DjangoJSONEncoder)))


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return [old, new] of each field that differs."""
    return {name: [before.get(name), value] for name, value in after.items() if before.get(name) != value}


def note(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is stored with the message of a save: values before (none for a new row) and after it."""
    return {KEY: {"changes": differences(before, after) if before else {}, "values": dict(after)}}


def details(entry: LogEntry) -> dict[str, Any]:
    """Return what was stored with an entry; empty for one of another origin."""
    try:
        messages = json.loads(entry.change_message)
    except ValueError:
        return {}
    found = [message[KEY] for message in messages if isinstance(message, dict) and KEY in message]
    return {name: value for stored in found for name, value in stored.items()}


def restoring(entry: LogEntry) -> dict[str, Any]:
    """Return what is stored with the message of a save that restores the version of an entry: when that was made."""
    return {KEY: {"restored": entry.action_time.isoformat()}}


def restored_from(stored: Mapping[str, Any]) -> datetime | None:
    """Return from `details` when the version was made that an entry restored; None for an entry of another kind."""
    return datetime.fromisoformat(stored["restored"]) if "restored" in stored else None


def follows_of(schedule: Schedule) -> list[list[str]]:
    """Return what a schedule runs after, by name, and when."""
    rows = FollowUp.objects.filter(successor=schedule).order_by("predecessor__name", "on")
    return [list(row) for row in rows.values_list("predecessor__name", "on")]


@transaction.atomic
def restore(schedule: Schedule, entry: LogEntry) -> list[str]:
    """Give a schedule the values it had after an entry; return the names of what it ran after and what is gone since.

    Its name is kept if another schedule has taken the old one. Raises `ValidationError` when the values make no sense
    any more (a job that is gone, a time that has passed, a circle of follow-ups).
    """
    values = details(entry).get("values")
    if not values:
        raise ValidationError(_("This entry holds no version to restore."))
    locked = Schedule.objects.select_for_update().get(pk=schedule.pk)
    for field in Schedule._meta.concrete_fields:
        if field.attname in values and field.name not in HIDDEN:
            setattr(locked, field.attname, field.to_python(values[field.attname]))
    if Schedule.objects.filter(name=locked.name).exclude(pk=locked.pk).exists():
        locked.name = schedule.name
    locked.full_clean()
    locked.save()
    if TAGS in values:
        locked.tags.set([Tag.objects.get_or_create(name=name)[0] for name in values[TAGS]])
    return _restore_follows(locked, values[FOLLOWS]) if FOLLOWS in values else []


def _restore_follows(schedule: Schedule, wanted: list[list[str]]) -> list[str]:
    """Let a schedule run after these again and after no other; return the names of those that are gone."""
    if wanted == follows_of(schedule):
        return []
    FollowUp.objects.filter(successor=schedule).delete()
    predecessors = Schedule.objects.in_bulk([name for name, _on in wanted], field_name="name")
    for name, on in wanted:
        if name in predecessors:
            FollowUp.objects.create(predecessor=predecessors[name], successor=schedule, on=on)
    return [name for name, _on in wanted if name not in predecessors]
