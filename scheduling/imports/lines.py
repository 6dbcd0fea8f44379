"""What becomes of one line of a source: a schedule, or a refusal in words. Each source yields such lines; here they are
checked as the admin's form would check them, and saved.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from scheduling.imports.mapping import Refused
from scheduling.jobs import registry
from scheduling.models import Schedule


@dataclass
class Line:
    """One line of a source: where it stands, what it said, and what becomes of it."""

    where: str
    said: str
    values: dict[str, Any] = field(default_factory=dict)
    refused: str = ""
    notes: list[str] = field(default_factory=list)
    schedule: Schedule | None = None

    @property
    def is_known(self) -> bool:
        """Tell whether a schedule of this name exists, which is left as it is."""
        return self.schedule is not None and self.schedule.pk is not None

    def words(self) -> str:
        """Return in words what becomes of it."""
        if self.refused:
            return _("refused: %(why)s") % {"why": self.refused}
        assert self.schedule is not None
        if self.is_known:
            return _("a schedule named “%(name)s” exists and is left as it is") % {"name": self.schedule}
        words = _("schedule “%(name)s”: %(when)s: %(what)s") % {
            "name": self.schedule,
            "when": self.schedule.words(),
            "what": self.schedule.parameters_words() or registry.label(self.schedule.job),
        }
        return words if self.schedule.enabled else _("%(words)s (disabled)") % {"words": words}


def check(lines: Iterable[Line], *, disabled: bool = False) -> list[Line]:
    """Give each line its unsaved schedule, or the reason why there can be none; `disabled` lets none of them fire."""
    checked = list(lines)
    existing = {
        schedule.name: schedule
        for schedule in Schedule.objects.filter(name__in=[line.values.get("name") for line in checked])
    }
    names: set[str] = set()
    for line in checked:
        if line.refused:
            continue
        try:
            name = line.values["name"]
            if name in existing:
                line.schedule = existing[name]
                continue
            if name in names:
                raise Refused(_("an earlier line has the same name"))
            line.schedule = _schedule(line.values, disabled=disabled)
            names.add(name)
        except Refused as refusal:
            line.refused = str(refusal)
    return checked


def _schedule(values: dict[str, Any], *, disabled: bool) -> Schedule:
    schedule = Schedule(**{**values, **({"enabled": False} if disabled else {})})
    try:
        definition = registry.get(schedule.job)
        schedule.parameters = definition.clean(schedule.parameters)
        schedule.executor = definition.executor
        schedule.full_clean()
    except ValidationError as error:
        raise Refused("; ".join(error.messages)) from error
    return schedule


def save(lines: Iterable[Line]) -> list[Schedule]:
    """Save the new schedules, all or none, and return them."""
    saved = []
    with transaction.atomic():
        for line in lines:
            if not line.refused and line.schedule is not None and not line.is_known:
                line.schedule.save()
                saved.append(line.schedule)
    return saved
