"""*Edit many*: chosen fields of many rows changed at once.

1. The list's action opens the form: every field with a box before it; only fields whose box is ticked are changed.
2. *Preview* judges what was typed and shows, for each row, old and new values.
3. *Change N* does it in one transaction, each row judged as its own form would, with an entry in its history. One row
   that refuses, and nothing is changed. More than `AT_ONCE` rows are changed in batches of so many, each in a
   transaction of its own, as long as a request may take; then the page says how many are left, and goes on with them.
4. *Undo* gives the rows their old values again, but for those that were changed otherwise meanwhile. It is offered for
   what one transaction did.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST
from unfold.widgets import UnfoldAdminSelect2MultipleWidget

from scheduling.admin.base import keys_in, person, undo_button
from scheduling.admin.history import values_of
from scheduling.admin.history_words import shown
from scheduling.models import Tag

if TYPE_CHECKING:
    from django.contrib.admin.options import ModelAdmin

    _Admin = ModelAdmin[Any]
else:
    _Admin = object

MOST = 30_000
"""So many rows are edited at most: databases take no more keys in one statement."""
AT_ONCE = 1_000
"""So many rows are changed in one transaction at most: each is judged by itself."""
SECONDS_AT_ONCE = 10.0
"""So long one request begins further batches."""
ROWS_SHOWN = 100
"""So many rows the preview lists."""
UNDO = "newss_undo"
"""Under this name an entry of the history keeps what undoing needs: stored values as they are, secrets encrypted."""
ADD_TAGS, REMOVE_TAGS = "add_tags", "remove_tags"


class EditManyForm(forms.Form):
    """The fields that can be changed in many rows, of which `chosen` are."""

    def __init__(self, fields: dict[str, forms.Field], data: Any = None) -> None:
        super().__init__(data, prefix="edit", label_suffix="")
        self.fields = copy.deepcopy(fields)
        asked = data.getlist("chosen") if data is not None else []
        self.chosen = [name for name in self.fields if name in asked]

    def full_clean(self) -> None:
        """Judge only what is chosen; what was typed elsewhere stays as it is."""
        shown_fields, self.fields = self.fields, {name: self.fields[name] for name in self.chosen}
        try:
            super().full_clean()
        finally:
            self.fields = shown_fields

    def clean(self) -> dict[str, Any]:
        """Refuse a form that chooses nothing."""
        if not self.chosen:
            raise ValidationError(_t("Tick the fields to change."))
        return super().clean() or {}

    def lines(self) -> Iterable[dict[str, Any]]:
        """Return each field with whether it is chosen."""
        return [{"field": self[name], "name": name, "chosen": name in self.chosen} for name in self.fields]


class EditManyMixin(_Admin):
    """The action *Edit many…* for the fields in `edit_many_names`."""

    edit_many_names: ClassVar[Sequence[str]] = ()

    def get_urls(self) -> list[URLPattern]:
        """Add the address of the form."""
        view = self.admin_site.admin_view(self.edit_many_view)
        undo = self.admin_site.admin_view(self.edit_many_undo_view)
        return [
            path("edit-many/", view, name=self._edit_many_name()),
            path("edit-many/undo/", undo, name=f"{self._edit_many_name()}_undo"),
            *super().get_urls(),
        ]

    @admin.action(description=_("Edit many…"), permissions=["change"])
    def edit_many(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Open the form for the chosen rows."""
        keys = list(queryset.values_list("pk", flat=True)[: MOST + 1])
        if len(keys) > MOST:
            text = _t("At most %(number)s can be changed at once. Narrow the list by its filters first.")
            self.message_user(request, text % {"number": localize(MOST)}, messages.WARNING)
            return None
        return self._edit_many_page(request, EditManyForm(self._edit_many_fields(request)), keys)

    @method_decorator(require_POST)
    def edit_many_view(self, request: HttpRequest) -> HttpResponse:
        """Show what would be changed in the rows that `ids` names, or change it."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        keys = keys_in(request.POST.get("ids", ""))[:MOST]
        done = next(iter(keys_in(request.POST.get("done", ""))), 0)
        form = EditManyForm(self._edit_many_fields(request), request.POST)
        if form.is_valid() and "_apply" in request.POST:
            only_batch = not done and len(keys) <= AT_ONCE
            entries, keys = self._apply_in_batches(request, form, keys)
            done += len(entries)
            if not keys:
                self._tell(request, done, entries if only_batch else ())
                return HttpResponseRedirect(self._edit_many_list())
        return self._edit_many_page(request, form, keys, done)

    @method_decorator(require_POST)
    def edit_many_undo_view(self, request: HttpRequest) -> HttpResponse:
        """Take back what the entries of the person's own history say that `entries` names."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        entries = LogEntry.objects.filter(
            pk__in=keys_in(request.POST.get("entries", "")),
            content_type=ContentType.objects.get_for_model(self.model),
            user=person(request),
        )
        undone = left = 0
        with transaction.atomic():
            for entry in entries:
                row = self.model._default_manager.select_for_update().filter(pk=entry.object_id).first()
                done = row is not None and self._undo(request, row, _undoable(entry))
                undone, left = undone + done, left + (not done)
        self._tell(request, undone)
        if left:
            text = ngettext(
                "%s was changed otherwise meanwhile, and stays so.",
                "%s were changed otherwise meanwhile, and stay so.",
                left,
            )
            self.message_user(request, text % localize(left), messages.WARNING)
        return HttpResponseRedirect(self._edit_many_list())

    # -- What a model's own admin may say otherwise --------------------------------------------------------------------

    def edit_many_value(self, row: Any, name: str) -> Any:
        """Return what a field of the form is in a row."""
        return getattr(row, name)

    def edit_many_set(self, row: Any, name: str, value: Any) -> str:
        """Give a row a value; return the column to save."""
        setattr(row, name, value)
        return name

    # -- Helpers -------------------------------------------------------------------------------------------------------

    def _tell(self, request: HttpRequest, count: int, entries: Sequence[LogEntry] = ()) -> None:
        """Say how many rows are changed, with a button to undo what these entries say."""
        text = ngettext("%(number)s %(name)s is changed.", "%(number)s %(name)s are changed.", count)
        text = text % {"number": localize(count), "name": self._named(count)}
        if entries:
            named = ",".join(str(entry.pk) for entry in entries)
            button = undo_button(request, reverse(f"admin:{self._edit_many_name()}_undo"), entries=named)
            text = format_html("{} {}", text, button)
        self.message_user(request, text, messages.SUCCESS)

    def _edit_many_list(self) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")

    def _named(self, count: int) -> str:
        return str(self.opts.verbose_name if count == 1 else self.opts.verbose_name_plural)

    def _edit_many_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_edit_many"

    def _edit_many_fields(self, request: HttpRequest) -> dict[str, forms.Field]:
        known = self.get_form(request, None, change=True).base_fields
        fields = {name: known[name] for name in self.edit_many_names if name in known}
        for name, label in ((ADD_TAGS, _("Add tags")), (REMOVE_TAGS, _("Remove tags"))):
            fields[name] = forms.ModelMultipleChoiceField(
                Tag.objects.all(), label=label, widget=UnfoldAdminSelect2MultipleWidget
            )
        return fields

    def _edit_many_page(self, request: HttpRequest, form: EditManyForm, keys: list[int], done: int = 0) -> HttpResponse:
        chosen = self.model._default_manager.filter(pk__in=keys).order_by("name")
        count, rows = chosen.count(), list(chosen[:ROWS_SHOWN])
        valid = form.is_bound and form.is_valid()
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _t("Edit many"),
            "form": form,
            "media": self.media + form.media,
            "ids": ",".join(str(key) for key in keys),
            "rows": rows,
            "more": max(0, count - ROWS_SHOWN),
            "count": count,
            "done": done,
            "name": self._named(count),
            "changes": [(row, self._changes(row, form)) for row in rows] if valid else None,
            "action": reverse(f"admin:{self._edit_many_name()}"),
            "back": self._edit_many_list(),
        }
        return TemplateResponse(request, "scheduling/edit_many.html", context)

    def _changes(self, row: Any, form: EditManyForm) -> list[tuple[str, str, str]]:
        """Return (field in words, old, new) of what would differ in a row."""
        found = []
        for name in form.chosen:
            field, new = form.fields[name], form.cleaned_data[name]
            if name in (ADD_TAGS, REMOVE_TAGS):
                found.append((str(field.label), "", ", ".join(str(tag) for tag in new)))
            elif (old := self.edit_many_value(row, name)) != new:
                found.append((capfirst(str(field.label or name)), _in_words(field, old), _in_words(field, new)))
        return found

    def _apply_in_batches(
        self, request: HttpRequest, form: EditManyForm, keys: list[int]
    ) -> tuple[list[LogEntry], list[int]]:
        """Change as many rows as there is time for; return the entries, and the keys that are left.

        A batch with a row that refuses (said on the form) is left, with all after it.
        """
        entries: list[LogEntry] = []
        end = time.monotonic() + SECONDS_AT_ONCE
        while keys and (changed := self._apply(request, form, keys[:AT_ONCE])) is not None:
            entries, keys = entries + changed, keys[AT_ONCE:]
            if time.monotonic() >= end:
                break
        return entries, keys

    def _apply(self, request: HttpRequest, form: EditManyForm, keys: list[int]) -> list[LogEntry] | None:
        """Change the rows; return an entry for each that differed, None where one refuses (said on the form)."""
        refused: list[str] = []
        entries: list[LogEntry] = []
        with transaction.atomic():
            for row in self.model._default_manager.select_for_update().filter(pk__in=keys).order_by("pk"):
                if not self._changes(row, form):
                    continue
                try:
                    entries.append(self._change(request, row, form))
                except ValidationError as error:
                    refused.append(f"{row}: {' '.join(error.messages)}")
            if refused:
                transaction.set_rollback(True)
        for text in refused[:10]:
            form.add_error(None, text)
        return None if refused else entries

    def _change(self, request: HttpRequest, row: Any, form: EditManyForm) -> LogEntry:
        row.values_before = self.history_values(row)  # type: ignore[attr-defined]
        old, tags = copy.copy(row.__dict__), set(row.tags.all())
        columns = {
            self.edit_many_set(row, name, form.cleaned_data[name])
            for name in form.chosen
            if name not in (ADD_TAGS, REMOVE_TAGS)
        }
        if columns:
            row.full_clean()
            # What the scheduler and runs write to the row meanwhile stays theirs.
            row.save(update_fields=columns)
        row.tags.add(*form.cleaned_data.get(ADD_TAGS, ()))
        row.tags.remove(*form.cleaned_data.get(REMOVE_TAGS, ()))
        labels = [str(form.fields[name].label or name) for name in form.chosen]
        undo = {
            "columns": {name: [old[name], getattr(row, name)] for name in columns},
            "added": sorted(tag.pk for tag in set(row.tags.all()) - tags),
            "removed": sorted(tag.pk for tag in tags - set(row.tags.all())),
        }
        message = [{"changed": {"fields": labels}}, {UNDO: json.loads(json.dumps(undo, cls=DjangoJSONEncoder))}]
        entry: LogEntry = self.log_change(request, row, message)
        return entry

    def _undo(self, request: HttpRequest, row: Any, undo: dict[str, Any]) -> bool:
        """Give a row its old values and tags again; False where it is not any more as the edit left it."""
        columns: dict[str, list[Any]] = undo.get("columns", {})
        if not undo or values_of(row, columns) != {name: new for name, (_old, new) in columns.items()}:
            return False
        row.values_before = self.history_values(row)  # type: ignore[attr-defined]
        for name, (old, _new) in columns.items():
            setattr(row, name, row._meta.get_field(name).to_python(old))
        try:
            row.full_clean()
        except ValidationError:
            return False
        if columns:
            row.save(update_fields=list(columns))
        row.tags.add(*Tag.objects.filter(pk__in=undo["removed"]))
        row.tags.remove(*undo["added"])
        labels = [str(row._meta.get_field(name).verbose_name) for name in columns]
        self.log_change(request, row, [{"changed": {"fields": labels}}])
        return True


def _undoable(entry: LogEntry) -> dict[str, Any]:
    """Return what an entry says of how to undo it; empty for one that is no edit of many."""
    try:
        messages = json.loads(entry.change_message)
    except ValueError:
        return {}
    return next((dict(message[UNDO]) for message in messages if isinstance(message, dict) and UNDO in message), {})


def _in_words(field: forms.Field, value: Any) -> str:
    choices = dict(getattr(field, "choices", ()))
    return str(choices[value]) if not isinstance(value, list | dict) and value in choices else shown(value)
