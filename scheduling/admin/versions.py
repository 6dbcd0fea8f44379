"""The history of a schedule in the admin: what a save noted, the page that shows it, and *Restore this version*."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _t
from django.views.decorators.http import require_POST

from scheduling.admin import history
from scheduling.admin.base import ListedAdmin, require
from scheduling.models import Schedule

CHANGE = "scheduling.change_schedule"


class VersionsAdmin(ListedAdmin):
    """Notes each save with old and new values, and restores an earlier version."""

    def get_urls(self) -> list[URLPattern]:
        """Add the address of the button that restores."""
        view = self.admin_site.admin_view(self.restore_view)
        address = "<int:schedule_id>/restore/<int:entry_id>/"
        return [path(address, view, name="scheduling_schedule_restore"), *super().get_urls()]

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Return the row, and remember its values, so that a save can note what it changed."""
        schedule: Any = super().get_object(request, object_id, from_field)
        if schedule is not None:
            schedule.values_before = history.values_of(schedule)
        return schedule

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Note the first version with Django's message."""
        return super().log_addition(request, obj, [*message, history.note({}, obj)])

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Note old and new values and the version with Django's message; plain words stay as they are."""
        if isinstance(message, list):
            message = [*message, history.note(getattr(obj, "values_before", {}), obj)]
        return super().log_change(request, obj, message)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show who changed what, the newest first, with the versions that can be restored."""
        answer: Any = super().history_view(request, object_id, extra_context)
        if getattr(answer, "context_data", None) is None:
            return answer  # type: ignore[no-any-return]
        entries = list(reversed(answer.context_data["action_list"].object_list))
        answer.context_data["versions"] = [
            {
                "entry": entry,
                "changes": history.shown_changes(entry),
                "restorable": number > 0 and bool(history.details(entry)),
            }
            for number, entry in enumerate(entries)
        ]
        answer.context_data["can_restore"] = request.user.has_perm(CHANGE)
        return answer  # type: ignore[no-any-return]

    @method_decorator(require_POST)
    def restore_view(self, request: HttpRequest, schedule_id: int, entry_id: int) -> HttpResponse:
        """Give a schedule the values it had after an entry of its history."""
        require(request, CHANGE)
        schedule = get_object_or_404(Schedule, pk=schedule_id)
        entries = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(Schedule))
        entry = get_object_or_404(entries, pk=entry_id, object_id=str(schedule_id))
        try:
            before = history.values_of(schedule)
            history.restore(schedule, entry)
        except ValidationError as error:
            self.message_user(request, _t("Not restored: %s") % " ".join(error.messages), messages.ERROR)
            return HttpResponseRedirect(reverse("admin:scheduling_schedule_history", args=[schedule_id]))
        schedule.refresh_from_db()
        message = {"changed": {"name": _t("earlier version"), "object": str(entry.action_time.date()), "fields": []}}
        super().log_change(request, schedule, [message, history.note(before, schedule)])
        self.message_user(request, _t("The version is restored."), messages.SUCCESS)
        return HttpResponseRedirect(schedule.get_absolute_url())
