"""The list of schedules in the admin: its columns, the switches and buttons of its rows, and its actions."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from scheduling.admin import schedule_cells, steps
from scheduling.admin.base import back, person, require, tell_started, undo_button
from scheduling.admin.edit_many import EditManyMixin
from scheduling.admin.past_runs import bars
from scheduling.admin.schedule_rows import (
    ORDERINGS,
    JobFilter,
    LastStatusFilter,
    PausedFilter,
    ScheduleChangeList,
)
from scheduling.admin.steps import named_in
from scheduling.admin.versions import CHANGE, VersionsAdmin
from scheduling.jobs import registry
from scheduling.models import Schedule
from scheduling.models.schedule_queries import ScheduleQuerySet

RUN = "scheduling.run_schedule"


class ScheduleListAdmin(EditManyMixin, VersionsAdmin):
    """The list of schedules."""

    list_display = ("title", "what", "recent", "last_result", "next_run", "switch", "buttons")
    card_columns = ("title", "switch", "last_result", "next_run", "buttons")
    list_display_links = None
    list_filter = ("enabled", PausedFilter, LastStatusFilter, "trigger_kind", JobFilter, "tags")
    # What is really searched: `ScheduleQuerySet.search`.
    search_fields = ("name", "description")
    search_help_text = _("Name, tag, source, query …")
    ordering = ("name",)
    list_per_page = 25
    show_full_result_count = False
    empty_icon = "schedule"
    empty_title = _("No schedule yet")
    empty_text = _("A schedule says what runs, and when. Once it is saved, the running scheduler takes it up at once.")
    actions: Any = (
        "run_many",
        "enable_many",
        "disable_many",
        "pause_many",
        "resume_many",
        "edit_many",
        "duplicate_many",
    )
    list_before_template = "scheduling/row_form.html"

    def get_urls(self) -> list[URLPattern]:
        """Add the addresses of the buttons and switches."""
        view = self.admin_site.admin_view
        return [
            path("switch-back/", view(self.switch_back_view), name="scheduling_schedule_switch_back"),
            path("<int:schedule_id>/run/", view(self.run_view), name="scheduling_schedule_run"),
            path("<int:schedule_id>/enabled/", view(self.enabled_view), name="scheduling_schedule_enabled"),
            *super().get_urls(),
        ]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Schedule], search_term: str
    ) -> tuple[QuerySet[Schedule], bool]:
        """Return what fits the words, in the schedules and in what their jobs would do; no row is there twice."""
        assert isinstance(queryset, ScheduleQuerySet)
        found = queryset.none() if self.are_too_many(request, search_term) else queryset.search(search_term)
        return found, False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ScheduleChangeList]:
        """Return the list that fetches what its rows show a page at a time."""
        return ScheduleChangeList

    @admin.display(description=_("Schedule"), ordering="name")
    def title(self, schedule: Schedule) -> SafeString:
        """Return the name over the trigger in words."""
        return schedule_cells.title(schedule)

    @admin.display(description=_("What runs"), ordering="job")
    def what(self, schedule: Schedule) -> SafeString:
        """Return the job over its parameters in words."""
        return schedule_cells.what(schedule, registry.label(schedule.job))

    @admin.display(description=_("Last runs"), ordering="-state__failures_in_row")
    def recent(self, schedule: Any) -> SafeString:
        """Return the last runs as bars."""
        return bars(schedule.recent)

    @admin.display(description=_("Last result"), ordering=ORDERINGS["last"])
    def last_result(self, schedule: Any) -> SafeString:
        """Return how the newest run went, or is going."""
        return schedule_cells.last_result(next(iter(schedule.recent), None))

    @admin.display(description=_("Next run"), ordering=ORDERINGS["next"])
    def next_run(self, schedule: Schedule) -> SafeString:
        """Return when it is due next, or why it is not."""
        return schedule_cells.next_run(schedule)

    @admin.display(description=_("Enabled"), ordering="enabled")
    def switch(self, schedule: Schedule) -> SafeString:
        """Return the switch that works in place."""
        return schedule_cells.switch(schedule)

    @admin.display(description=_("Actions"))
    def buttons(self, schedule: Schedule) -> SafeString:
        """Return the row's buttons; its key makes a double click one run."""
        return schedule_cells.buttons(schedule)

    @admin.action(description=_("Run now"), permissions=["run"])
    def run_many(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        """Start a run of each chosen schedule."""
        started = sum(schedule.run_now(by=person(request))[1] for schedule in queryset)
        others = queryset.count() - started
        text = ngettext("%s run started.", "%s runs started.", started) % localize(started)
        if others:
            text += " " + ngettext("%s was running already.", "%s were running already.", others) % localize(others)
        self.message_user(request, text, messages.SUCCESS if started else messages.WARNING)

    @admin.action(description=_("Enable"), permissions=["change"])
    def enable_many(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        """Switch the chosen schedules on."""
        self._switch_many(request, queryset, enabled=True)

    @admin.action(description=_("Disable"), permissions=["change"])
    def disable_many(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        """Switch the chosen schedules off."""
        self._switch_many(request, queryset, enabled=False)

    @admin.action(description=_("Pause…"), permissions=["pause"])
    def pause_many(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> HttpResponse:
        """Ask for a reason and an end, then pause the chosen schedules."""
        # An address has no room for thousands of keys.
        request.session[steps.TO_PAUSE] = list(queryset.values_list("pk", flat=True))
        return HttpResponseRedirect(f"{reverse('admin:scheduling_schedule_pause')}?ids=chosen")

    @admin.action(description=_("Resume"), permissions=["pause"])
    def resume_many(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        """End the pause of the chosen schedules."""
        count = sum(schedule.resume(person(request)) for schedule in queryset)
        text = ngettext("%s schedule resumed.", "%s schedules resumed.", count) % localize(count)
        self.message_user(request, text, messages.SUCCESS if count else messages.WARNING)

    @admin.action(description=_("Duplicate"), permissions=["add"])
    def duplicate_many(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> HttpResponse | None:
        """Make a disabled copy of each chosen schedule; of a single one, go to its form."""
        copies = [schedule.duplicate() for schedule in queryset]
        for copy in copies:
            self.log_addition(request, copy, [{"added": {}}])
        text = ngettext("%s copy is made; it is disabled.", "%s copies are made; they are disabled.", len(copies))
        self.message_user(request, text % localize(len(copies)), messages.SUCCESS)
        return HttpResponseRedirect(copies[0].get_absolute_url()) if len(copies) == 1 else None

    @method_decorator(require_POST)
    def switch_back_view(self, request: HttpRequest) -> HttpResponse:
        """Undo a switch of many: give those named in `ids` the value in `enabled`."""
        require(request, CHANGE)
        self._switch_many(request, named_in(request), enabled=request.POST.get("enabled") == "1")
        return HttpResponseRedirect(reverse("admin:scheduling_schedule_changelist"))

    def _switch_many(self, request: HttpRequest, queryset: QuerySet[Schedule], *, enabled: bool) -> None:
        changed = list(queryset.exclude(enabled=enabled))
        Schedule.objects.filter(pk__in=[schedule.pk for schedule in changed]).update(enabled=enabled)
        for schedule in changed:
            self._log_switch(request, schedule, enabled=enabled)
        count = len(changed)
        text = (
            ngettext("%s schedule enabled.", "%s schedules enabled.", count)
            if enabled
            else ngettext("%s schedule disabled.", "%s schedules disabled.", count)
        ) % localize(count)
        if changed:
            ids = ",".join(str(schedule.pk) for schedule in changed)
            back_to = reverse("admin:scheduling_schedule_switch_back")
            text = format_html("{} {}", text, undo_button(request, back_to, ids=ids, enabled=int(not enabled)))
        self.message_user(request, text, messages.SUCCESS)

    def _log_switch(self, request: HttpRequest, schedule: Schedule, *, enabled: bool) -> None:
        self.log_change(request, schedule, _t("Enabled.") if enabled else _t("Disabled."))

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Tell whether the person may start runs of schedules."""
        return request.user.has_perm(RUN)

    def has_pause_permission(self, request: HttpRequest) -> bool:
        """Tell whether the person may pause and resume schedules."""
        return request.user.has_perm(steps.PAUSE)

    @method_decorator(require_POST)
    def run_view(self, request: HttpRequest, schedule_id: int) -> HttpResponse:
        """Start a run and go to its page; the same `request_key` twice is one run."""
        require(request, RUN)
        schedule = get_object_or_404(Schedule, pk=schedule_id)
        key = request.POST.get(f"request_key-{schedule_id}") or None
        run, created = schedule.run_now(by=person(request), request_key=key)
        tell_started(request, run, created=created)
        return HttpResponseRedirect(run.get_absolute_url())

    @method_decorator(require_POST)
    def enabled_view(self, request: HttpRequest, schedule_id: int) -> HttpResponse:
        """Change that one field; answers JSON with the row's next run where JavaScript asks."""
        require(request, CHANGE)
        schedule = get_object_or_404(Schedule, pk=schedule_id)
        enabled = request.POST.get("enabled") == "1"
        if schedule.enabled != enabled:
            Schedule.objects.filter(pk=schedule_id).update(enabled=enabled)
            self._log_switch(request, schedule, enabled=enabled)
            schedule.refresh_from_db()
        if request.headers.get("Accept") != "application/json":
            return back(request, reverse("admin:scheduling_schedule_changelist"))
        row: Any = schedule
        row.held_back = schedule.is_paused()
        row.next_due, row.trouble = schedule.next_run(), schedule.problem()
        return JsonResponse({"enabled": schedule.enabled, "next": schedule_cells.next_run(row)})
