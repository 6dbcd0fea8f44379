"""What of a row moves to another installation, as JSON has it, and back: shared by `transfer` and `opml`.

State (polls, failures, pauses) stays where it is, and so do secrets: they are masked on the way out, and who takes a
row in is told which to type.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime, time
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext as _

from scrapers.models import Source
from scrapers.secrets import MASK


def fields_of(model: type[models.Model], leave_out: Collection[str] = ()) -> tuple[str, ...]:
    """Return the names of the fields that a person sets, without those to leave out, in the order of the model."""
    return tuple(
        field.name
        for field in model._meta.concrete_fields
        if field.editable and not field.primary_key and field.name not in leave_out
    )


#: How a source is polled, besides its address and its settings.
POLLING_FIELDS = fields_of(Source, leave_out=("name", "url", "kind", "options", "settings", "enabled"))
SOURCE_FIELDS = ("name", "url", "kind", "options", "settings", "enabled", *POLLING_FIELDS)


def plain(row: models.Model, names: Iterable[str]) -> dict[str, Any]:
    """Return the fields of a row that are not at their default, as JSON has them; its name in any case."""
    found = {}
    for name in names:
        field = row._meta.get_field(name)
        value = getattr(row, name)
        if name in ("name", "timezone") or value != field.get_default():  # type: ignore[union-attr]
            found[name] = value.isoformat() if isinstance(value, datetime | date | time) else value
    return found


def fill(row: models.Model, values: Mapping[str, Any], names: Iterable[str]) -> None:
    """Give a row these values, and the default for what is not among them; the row is to be cleaned next.

    Raises `ValidationError` for what is no text where one is wanted.
    """
    for name in names:
        field = row._meta.get_field(name)
        value = values[name] if name in values else field.get_default()  # type: ignore[union-attr]
        if isinstance(field, models.CharField | models.TextField) and not isinstance(value, str):
            raise ValidationError({name: [_("Give a text.")]})
        setattr(row, name, value)


def without_masks(values: Mapping[str, Any], stored: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return settings without those whose secret is masked and not stored here, and the names of these."""
    masked = [name for name, value in values.items() if MASK in json.dumps(value, ensure_ascii=False, default=str)]
    missing = [name for name in masked if name not in stored]
    return {name: value for name, value in values.items() if name not in missing}, missing


def to_be_typed(names: Iterable[str]) -> str:
    """Return the sentence that tells a person which secrets did not come along, or nothing."""
    found = ", ".join(sorted(names))
    return _("Secrets to be typed: %s.") % found if found else ""
