"""What the history of a row shows of its entries: each change in the words of the form in which it was made."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from django import forms
from django.db.models import Model
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from scheduling.admin.history import FOLLOWS, TAGS
from scheduling.models import FollowOn

Parts = Callable[[str, Mapping[str, Any]], Mapping[str, forms.Field]]
"""Returns the form fields of the keys of a JSON field, given its name and all values of the row."""
Names = Mapping[type[Model], Mapping[Any, Model]]


class _Change(NamedTuple):
    label: str
    old: Any
    new: Any
    choices: Mapping[Any, Any] = {}
    model: type[Model] | None = None
    """The model whose rows the values are keys of, if they are."""

    def words(self, value: Any, names: Names) -> str:
        """Return one of the two values as people read it."""
        if self.model is not None:
            return shown([str(names[self.model].get(key, f"#{key}")) for key in _listed(value)])
        if isinstance(value, str | int) and value in self.choices:
            return str(self.choices[value])
        return shown(value)


def shown_changes(
    stored: Sequence[Mapping[str, Any]], model: type[Model], parts: Parts
) -> list[list[tuple[str, str, str]]]:
    """Return (label, old, new) of each change of each entry, given what `history.details` returns of it.

    One query for each model that parameters name rows of.
    """
    changes = [list(_changes_of(one, model, parts)) for one in stored]
    names = _names_in(change for found in changes for change in found)
    return [
        [(capfirst(change.label), change.words(change.old, names), change.words(change.new, names)) for change in found]
        for found in changes
    ]


def shown(value: Any) -> str:
    """Return a value as the history shows it."""
    if value in (None, "", [], {}):
        return "–"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


def _changes_of(stored: Mapping[str, Any], model: type[Model], parts: Parts) -> Iterator[_Change]:
    fields = {field.attname: field for field in model._meta.concrete_fields}
    for name, (old, new) in sorted(stored.get("changes", {}).items()):
        if name == FOLLOWS:
            yield _Change(_("runs after"), _follows_words(old), _follows_words(new))
        elif isinstance(old, dict) and isinstance(new, dict):
            yield from _changes_within(old, new, parts(name, stored["values"]))
        elif name in fields:
            yield _Change(str(fields[name].verbose_name), old, new, choices=dict(fields[name].flatchoices))
        else:
            yield _Change(_("tags") if name == TAGS else name, old, new)


def _changes_within(
    old: Mapping[str, Any], new: Mapping[str, Any], fields: Mapping[str, forms.Field]
) -> Iterator[_Change]:
    """Yield what differs in the values of a borrowed form, in its order; then what no field is known for."""
    for key in dict.fromkeys([*fields, *old, *new]):
        if old.get(key) == new.get(key):
            continue
        field = fields.get(key)
        label = str(field.label) if field and field.label else key.replace("_", " ")
        if isinstance(field, forms.ModelChoiceField) and field.queryset is not None:
            yield _Change(label, old.get(key), new.get(key), model=field.queryset.model)
        else:
            yield _Change(label, old.get(key), new.get(key), dict(getattr(field, "choices", ())))


def _names_in(changes: Iterable[_Change]) -> Names:
    wanted: dict[type[Model], set[Any]] = defaultdict(set)
    for change in changes:
        if change.model is not None:
            wanted[change.model].update(_listed(change.old), _listed(change.new))
    return {model: model._default_manager.in_bulk(keys) for model, keys in wanted.items()}


def _listed(value: Any) -> list[Any]:
    """Return the keys in a value: it holds a list of them, one or none."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _follows_words(value: list[list[str]] | None) -> list[str]:
    return [f"{name} ({FollowOn(on).label})" for name, on in value or []]
