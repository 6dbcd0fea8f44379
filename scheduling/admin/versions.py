"""The history of a row in the admin: what a save noted, its page, and *Restore this version* of a schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import messages
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.forms import Field
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _t
from django.views.decorators.http import require_POST

from scheduling.admin import history
from scheduling.admin.base import ListedAdmin, require
from scheduling.admin.history_words import shown_changes
from scheduling.jobs import registry
from scheduling.models import Schedule

if TYPE_CHECKING:
    from django.contrib.admin.options import ModelAdmin

    _Admin = ModelAdmin[Any]
else:
    _Admin = object

CHANGE = "scheduling.change_schedule"


class HistoryMixin(_Admin):
    """Notes each save with old and new values, and shows them in the history."""

    object_history_template: ClassVar[Any] = "admin/scheduling/object_history.html"
    #: The fields that the history is about; None: all that a person may change.
    history_fields: ClassVar[tuple[str, ...] | None] = None

    def history_values(self, row: Any) -> dict[str, Any]:
        """Return the values of a row that the history keeps, its tags by name; nothing secret may be among them."""
        values = history.values_of(row, self.history_fields)
        if hasattr(row, "tags"):
            values[history.TAGS] = sorted(tag.name for tag in row.tags.all())
        return values

    def history_parts(self, name: str, values: Mapping[str, Any]) -> Mapping[str, Field]:
        """Return the form fields of the keys of a JSON field in a row with these values, for the history's words."""
        return {}

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Return the row, and remember its values, so that a save can note what it changed."""
        row: Any = super().get_object(request, object_id, from_field)
        if row is not None:
            row.values_before = self.history_values(row)
        return row

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Note the first version with Django's message."""
        return super().log_addition(request, obj, [*message, history.note({}, self.history_values(obj))])

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Note old and new values with Django's message; plain words stay as they are."""
        if isinstance(message, list):
            message = [*message, history.note(getattr(obj, "values_before", {}), self.history_values(obj))]
        return super().log_change(request, obj, message)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show who changed what, the newest first."""
        answer: Any = super().history_view(request, object_id, extra_context)
        if getattr(answer, "context_data", None) is None:
            return answer  # type: ignore[no-any-return]
        entries = list(reversed(answer.context_data["action_list"].object_list))
        stored = [history.details(entry) for entry in entries]
        changes = shown_changes(stored, self.model, self.history_parts)
        answer.context_data["versions"] = [
            {
                "entry": entry,
                "changes": found,
                "restored": history.restored_from(one),
                "restorable": number > 0 and bool(one),
            }
            for number, (entry, one, found) in enumerate(zip(entries, stored, changes, strict=True))
        ]
        return answer  # type: ignore[no-any-return]


class VersionsAdmin(HistoryMixin, ListedAdmin):
    """Restores an earlier version."""

    def history_values(self, row: Schedule) -> dict[str, Any]:
        """Return the values of a schedule, its tags, and what it runs after."""
        return {**super().history_values(row), history.FOLLOWS: history.follows_of(row)}

    def history_parts(self, name: str, values: Mapping[str, Any]) -> Mapping[str, Field]:
        """Return the parameters of a job by the fields of its form; none for a job that is gone."""
        return registry.form_fields(values.get("job", "")) if name == "parameters" else {}

    def get_urls(self) -> list[URLPattern]:
        """Add the address of the button that restores."""
        view = self.admin_site.admin_view(self.restore_view)
        address = "<int:schedule_id>/restore/<int:entry_id>/"
        return [path(address, view, name="scheduling_schedule_restore"), *super().get_urls()]

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show who changed what, and the versions that can be restored."""
        context = {"can_restore": request.user.has_perm(CHANGE), **(extra_context or {})}
        return super().history_view(request, object_id, context)

    @method_decorator(require_POST)
    def restore_view(self, request: HttpRequest, schedule_id: int, entry_id: int) -> HttpResponse:
        """Give a schedule the values it had after an entry of its history."""
        require(request, CHANGE)
        schedule = get_object_or_404(Schedule, pk=schedule_id)
        entries = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(Schedule))
        entry = get_object_or_404(entries, pk=entry_id, object_id=str(schedule_id))
        try:
            before = self.history_values(schedule)
            gone = history.restore(schedule, entry)
        except ValidationError as error:
            self.message_user(request, _t("Not restored: %s") % " ".join(error.messages), messages.ERROR)
            return HttpResponseRedirect(reverse("admin:scheduling_schedule_history", args=[schedule_id]))
        schedule.refresh_from_db()
        message = {"changed": {"fields": []}, **history.restoring(entry)}
        schedule.values_before = before  # type: ignore[attr-defined]
        self.log_change(request, schedule, [message])
        self.message_user(request, _t("The version is restored."), messages.SUCCESS)
        for name in gone:
            words = _t("It ran after “%s”, which is gone; so that was not restored.") % name
            self.message_user(request, words, messages.WARNING)
        return HttpResponseRedirect(schedule.get_absolute_url())
