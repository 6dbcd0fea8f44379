"""Sources, topics and schedules as a file, to move them from one installation to another.

The file names things by their names, never by numbers of rows: those differ elsewhere. Secrets are masked; who imports
a source that is new there is told which to type. What is state (polls, runs, pauses) stays where it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar

import yaml
from django import forms
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.utils.translation import gettext as _

from scheduling.jobs import UnknownJob, registry
from scheduling.models import FollowUp, Schedule, Tag
from scrapers import topics
from scrapers.models import SettingsLevel, Source, Topic
from scrapers.portable import SOURCE_FIELDS, fields_of, fill, plain, to_be_typed, without_masks
from scrapers.secrets import without_secrets

VERSION = 1
TOPIC_FIELDS = ("name", "query", "enabled")
LEVEL_FIELDS = ("position", "values")
#: What somebody did to a schedule for a while is no part of what it is.
SCHEDULE_STATE = ("paused_at", "paused_until", "pause_reason", "paused_by", "version")
SECTIONS = ("inherited_settings", "sources", "topics", "schedules", "follow_ups")

M = TypeVar("M", bound=models.Model)


class TransferError(Exception):
    """The file cannot be read; the message says why."""


class Fate(StrEnum):
    """What became of an entry."""

    #: It was not there.
    NEW = "new"
    #: It was there and differed.
    CHANGED = "changed"
    #: It was there and is as the file says.
    SAME = "same"
    #: It cannot be stored.
    REFUSED = "refused"


@dataclass(frozen=True)
class Line:
    """What became of one entry of a file; `why` for what was refused, `todo` for what a person must do yet."""

    section: str
    name: str
    fate: Fate
    why: str = ""
    todo: str = ""


class _PlainDumper(yaml.SafeDumper):
    """Writes what occurs twice twice: the loader takes no references."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


class _PlainLoader(yaml.SafeLoader):
    """Refuses references: a few lines of them can stand for more than any memory holds ("billion laughs")."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise TransferError(_("References (*name) are not taken."))
        return super().compose_node(parent, index)


def schedule_fields() -> tuple[str, ...]:
    """Return the names of the fields of a schedule that a file holds."""
    return fields_of(Schedule, leave_out=SCHEDULE_STATE)


def dump() -> dict[str, Any]:
    """Return everything as plain data, secrets masked, in the order of names."""
    follow_ups = FollowUp.objects.select_related("predecessor", "successor")
    found = {
        "newss": VERSION,
        "inherited_settings": [_level(level) for level in SettingsLevel.objects.by_strength()],
        "sources": [_source(source) for source in Source.objects.order_by("name").prefetch_related("tags")],
        "topics": [plain(topic, TOPIC_FIELDS) for topic in Topic.objects.order_by("name")],
        "schedules": [_schedule(schedule) for schedule in Schedule.objects.order_by("name").prefetch_related("tags")],
        "follow_ups": sorted(
            ({"after": one.predecessor.name, "schedule": one.successor.name, "on": one.on} for one in follow_ups),
            key=lambda one: (one["after"], one["schedule"]),
        ),
    }
    masked: dict[str, Any] = without_secrets(found)
    return masked


def dump_schedules(schedules: Iterable[Schedule]) -> dict[str, Any]:
    """Return these schedules alone, as `load` takes them; what they name must be there already."""
    found = {"newss": VERSION, "schedules": [_schedule(schedule) for schedule in schedules]}
    masked: dict[str, Any] = without_secrets(found)
    return masked


def to_text(data: Mapping[str, Any], form: str) -> str:
    """Return data as `yaml` or `json`."""
    if form == "json":
        return json.dumps(data, ensure_ascii=False, indent=1) + "\n"
    return yaml.dump(dict(data), Dumper=_PlainDumper, allow_unicode=True, sort_keys=False, width=120)


def from_text(text: str) -> dict[str, Any]:
    """Return what a file holds, in either form (JSON is YAML too); raises `TransferError`."""
    try:
        data = yaml.load(text, Loader=_PlainLoader)  # noqa: S506  a safe loader, stricter yet
    except yaml.YAMLError as error:
        raise TransferError(_("This is neither YAML nor JSON: %s") % " ".join(str(error).split())) from error
    except RecursionError as error:
        raise TransferError(_("This is nested too deeply.")) from error
    if not isinstance(data, dict) or data.get("newss") != VERSION:
        raise TransferError(_("This is no file of export_config: it does not begin with “newss: %d”.") % VERSION)
    if unknown := set(map(str, data)) - {"newss", *SECTIONS}:
        raise TransferError(_("Unknown section: %s.") % ", ".join(sorted(unknown)))
    for section in SECTIONS:
        entries = data.setdefault(section, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise TransferError(_("“%s” is no list of entries.") % section)
    return data


def load(data: Mapping[str, Any], *, dry_run: bool = False, skip_refused: bool = False) -> list[Line]:
    """Store what a file holds, and return what became of each entry, in its order.

    All or nothing: with an entry that is refused nothing is stored, unless `skip_refused`. What is here and not in the
    file stays. `dry_run` only tells.
    """
    load_one: dict[str, Callable[[Mapping[str, Any]], Line]] = {
        "inherited_settings": _load_level,
        "sources": _load_source,
        "topics": _load_topic,
        "schedules": _load_schedule,
        "follow_ups": _load_follow_up,
    }
    with transaction.atomic():
        lines = [_attempt(section, load_one[section], entry) for section in SECTIONS for entry in data[section]]
        refused = any(line.fate is Fate.REFUSED for line in lines)
        if dry_run or (refused and not skip_refused):
            transaction.set_rollback(True)
    return lines


def _level(level: SettingsLevel) -> dict[str, Any]:
    return {"tag": level.tag.name if level.tag else None, **plain(level, LEVEL_FIELDS)}


def _source(source: Source) -> dict[str, Any]:
    return plain(source, SOURCE_FIELDS) | _tags(source)


def _schedule(schedule: Schedule) -> dict[str, Any]:
    found = plain(schedule, schedule_fields())
    return found | {"parameters": _named(schedule.job, schedule.parameters)} | _tags(schedule)


def _tags(row: Source | Schedule) -> dict[str, Any]:
    names = sorted(tag.name for tag in row.tags.all())
    return {"tags": names} if names else {}


def _named(job: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job's parameters with names in place of primary keys, where its form chooses rows that have names."""
    found = dict(parameters)
    try:
        fields = registry.get(job).form.base_fields
    except UnknownJob:
        return found
    for name, field in fields.items():
        if found.get(name) and isinstance(field, forms.ModelMultipleChoiceField) and field.queryset is not None:
            rows = field.queryset.in_bulk(found[name])
            # In an order that is the same wherever the rows have other numbers.
            found[name] = sorted((getattr(rows[key], "name", key) for key in found[name] if key in rows), key=str)
    return found


def _attempt(section: str, load_one: Callable[[Mapping[str, Any]], Line], entry: Mapping[str, Any]) -> Line:
    """Store one entry, or nothing of it."""
    name = str(entry.get("name") or entry.get("tag") or entry.get("schedule") or "–")
    try:
        with transaction.atomic():
            return load_one(entry)
    except ValidationError as error:
        return Line(section, name, Fate.REFUSED, why=_words(error))
    except IntegrityError as error:
        return Line(section, name, Fate.REFUSED, why=" ".join(str(error).split()))


def _words(error: ValidationError) -> str:
    if not hasattr(error, "error_dict"):
        return " ".join(error.messages)
    return " ".join(
        " ".join(texts) if field == "__all__" else f"{field}: {' '.join(texts)}"
        for field, texts in error.message_dict.items()
    )


def _load_level(entry: Mapping[str, Any]) -> Line:
    _check(entry, ("tag", *LEVEL_FIELDS))
    tag = _tag_rows([str(entry["tag"])])[0] if entry.get("tag") else None
    level = SettingsLevel.objects.filter(tag=tag).first() or SettingsLevel(tag=tag)
    values, missing = without_masks(entry.get("values", {}), level.values)
    return _save(
        "inherited_settings", level, {**entry, "tag": tag, "values": values}, LEVEL_FIELDS, _level, missing=missing
    )


def _load_source(entry: Mapping[str, Any]) -> Line:
    _check(entry, (*SOURCE_FIELDS, "tags"))
    source = (
        Source.objects.filter(url=entry.get("url")).first() or Source.objects.filter(name=entry.get("name")).first()
    )
    source = source or Source()
    settings, missing = without_masks(entry.get("settings", {}), source.settings)
    options, more = without_masks(entry.get("options", {}), source.options)
    values = {**entry, "settings": settings, "options": options}
    return _save("sources", source, values, SOURCE_FIELDS, _source, missing=[*missing, *more])


def _load_topic(entry: Mapping[str, Any]) -> Line:
    _check(entry, TOPIC_FIELDS)
    topic = Topic.objects.filter(name=entry.get("name")).first() or Topic()
    line = _save("topics", topic, entry, TOPIC_FIELDS, partial(plain, names=TOPIC_FIELDS))
    if line.fate in (Fate.NEW, Fate.CHANGED):
        topics.apply(topic)
    return line


def _load_schedule(entry: Mapping[str, Any]) -> Line:
    names = schedule_fields()
    _check(entry, (*names, "tags"))
    schedule = Schedule.objects.filter(name=entry.get("name")).first() or Schedule()
    parameters = registry.get(str(entry.get("job"))).clean(entry.get("parameters", {}))
    return _save("schedules", schedule, {**entry, "parameters": parameters}, names, _schedule)


def _load_follow_up(entry: Mapping[str, Any]) -> Line:
    _check(entry, ("after", "schedule", "on"))
    rows = []
    for key in ("after", "schedule"):
        row = Schedule.objects.filter(name=entry.get(key)).first()
        if row is None:
            raise ValidationError(_("There is no schedule “%s”.") % entry.get(key))
        rows.append(row)
    known = FollowUp.objects.filter(predecessor=rows[0], successor=rows[1]).first()
    link = known or FollowUp(predecessor=rows[0], successor=rows[1])
    before = link.on if known else None
    link.on = entry.get("on", link.on)
    link.full_clean()
    link.save()
    fate = Fate.NEW if before is None else Fate.SAME if before == link.on else Fate.CHANGED
    return Line("follow_ups", str(link), fate)


def _save(
    section: str,
    row: M,
    entry: Mapping[str, Any],
    names: Sequence[str],
    as_plain: Callable[[M], dict[str, Any]],
    *,
    missing: Sequence[str] = (),
) -> Line:
    """Give a row the entry's values, the default for what it does not name, and save it if that changes anything."""
    before = as_plain(row) if row.pk else None
    fill(row, entry, names)
    row.full_clean()
    fate = Fate.NEW if before is None else Fate.SAME if before == as_plain(row) else Fate.CHANGED
    if fate is not Fate.SAME:
        row.save()
    if isinstance(row, Source | Schedule):
        tags = _tag_rows(entry.get("tags", []))
        if set(tags) != set(row.tags.all()):
            row.tags.set(tags)
            fate = Fate.CHANGED if fate is Fate.SAME else fate
    return Line(section, str(row), fate, todo=to_be_typed(missing))


def _check(entry: Mapping[str, Any], known: Sequence[str]) -> None:
    """Refuse keys that nobody would read."""
    if unknown := [str(key) for key in entry if key not in known]:
        raise ValidationError(_("Unknown key: %s.") % ", ".join(unknown))
    for key in ("values", "settings", "options", "parameters"):
        if not isinstance(entry.get(key, {}), dict):
            raise ValidationError({key: [_("Give names with their values.")]})
    tags = entry.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) and tag for tag in tags):
        raise ValidationError({"tags": [_("Give a list of names.")]})


def _tag_rows(names: Iterable[str]) -> list[Tag]:
    rows = []
    for name in names:
        tag = Tag.objects.filter(name=name).first()
        if tag is None:
            tag = Tag(name=name)
            tag.full_clean()
            tag.save()
        rows.append(tag)
    return rows
