"""The admin of schedules: the list with its switches and buttons, and the form with its preview."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from scheduling.admin import coming_up, preview, steps
from scheduling.admin.base import TabularInline, back, person, require, tell_started, undo_button
from scheduling.admin.schedule_form import ScheduleForm, parameter_field
from scheduling.admin.schedule_rows import (
    ORDERINGS,
    JobFilter,
    LastStatusFilter,
    PausedFilter,
    ScheduleChangeList,
    bars,
)
from scheduling.admin.steps import named_in
from scheduling.admin.versions import CHANGE, VersionsAdmin
from scheduling.jobs import registry
from scheduling.models import FollowUp, Schedule
from scheduling.models.schedule_queries import ScheduleQuerySet

RUN = "scheduling.run_schedule"
CHOICES_A_PAGE = 20

HOW = (
    "executor",
    "concurrency_policy",
    "queue_limit",
    "catch_up",
    "catch_up_limit",
    "misfire_grace_time",
    "max_retries",
    "retry_delay_seconds",
    "retry_delay_max_seconds",
    "retry_failed",
    "retry_timed_out",
    "rerun_lost",
    "time_limit_seconds",
    "kill_after_seconds",
    "memory_limit_mb",
    "pause_after_failures",
)


class FollowUpInline(TabularInline):
    """The schedules that a schedule follows."""

    model = FollowUp
    fk_name = "successor"
    fields = ("predecessor", "on")
    autocomplete_fields = ("predecessor",)
    extra = 0
    verbose_name = _("predecessor")
    verbose_name_plural = _("Runs after other schedules")


@admin.register(Schedule)
class ScheduleAdmin(VersionsAdmin):
    """Schedules."""

    form = ScheduleForm
    list_display = ("title", "what", "recent", "last_result", "next_run", "switch", "buttons")
    list_display_links = None
    list_filter = ("enabled", PausedFilter, LastStatusFilter, "trigger_kind", JobFilter, "tags")
    # What is really searched: `ScheduleQuerySet.search`.
    search_fields = ("name", "description")
    search_help_text = _("Name, tag, source, query …")
    ordering = ("name",)
    list_per_page = 25
    show_full_result_count = False
    actions: Any = ("run_many", "enable_many", "disable_many", "pause_many", "resume_many", "duplicate_many")
    inlines = (FollowUpInline,)
    list_before_template = "scheduling/row_form.html"
    autocomplete_fields = ("tags",)
    warn_unsaved_form = True
    view_on_site = False

    # ── the list ──

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Schedule], search_term: str
    ) -> tuple[QuerySet[Schedule], bool]:
        """Return what fits the words, in the schedules and in what their jobs would do; no row is there twice."""
        assert isinstance(queryset, ScheduleQuerySet)
        return queryset.search(search_term), False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ScheduleChangeList]:
        """Return the list that fetches what its rows show a page at a time."""
        return ScheduleChangeList

    @admin.display(description=_("Schedule"), ordering="name")
    def title(self, schedule: Schedule) -> SafeString:
        """Return the name over the trigger in words."""
        return _cell("title", schedule)

    @admin.display(description=_("What runs"), ordering="job")
    def what(self, schedule: Schedule) -> SafeString:
        """Return the job over its parameters in words."""
        return _cell("what", schedule, job=registry.label(schedule.job))

    @admin.display(description=_("Last runs"), ordering="-state__failures_in_row")
    def recent(self, schedule: Any) -> SafeString:
        """Return the last runs as bars."""
        return bars(schedule.recent)

    @admin.display(description=_("Last result"), ordering=ORDERINGS["last"])
    def last_result(self, schedule: Any) -> SafeString:
        """Return how the newest run went, or is going."""
        return _cell("last", schedule, run=next(iter(schedule.recent), None))

    @admin.display(description=_("Next run"), ordering=ORDERINGS["next"])
    def next_run(self, schedule: Schedule) -> SafeString:
        """Return when it is due next, or why it is not."""
        return _cell("next", schedule)

    @admin.display(description=_("Enabled"), ordering="enabled")
    def switch(self, schedule: Schedule) -> SafeString:
        """Return the switch that works in place."""
        return _cell("switch", schedule)

    @admin.display(description=_("Actions"))
    def buttons(self, schedule: Schedule) -> SafeString:
        """Return the row's buttons; its key makes a double click one run."""
        return _cell("buttons", schedule, request_key=uuid.uuid4().hex)

    @admin.action(description=_("Run now"), permissions=["run"])
    def run_many(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        """Start a run of each chosen schedule."""
        started = sum(schedule.run_now(by=person(request))[1] for schedule in queryset)
        others = queryset.count() - started
        text = ngettext("%d run started.", "%d runs started.", started) % started
        if others:
            text += " " + ngettext("%d was running already.", "%d were running already.", others) % others
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
        chosen = urlencode({"ids": ",".join(str(key) for key in queryset.values_list("pk", flat=True))})
        return HttpResponseRedirect(f"{reverse('admin:scheduling_schedule_pause')}?{chosen}")

    @admin.action(description=_("Resume"), permissions=["pause"])
    def resume_many(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        """End the pause of the chosen schedules."""
        count = sum(schedule.resume(person(request)) for schedule in queryset)
        text = ngettext("%d schedule resumed.", "%d schedules resumed.", count) % count
        self.message_user(request, text, messages.SUCCESS if count else messages.WARNING)

    @admin.action(description=_("Duplicate"), permissions=["add"])
    def duplicate_many(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> HttpResponse | None:
        """Make a disabled copy of each chosen schedule; of a single one, go to its form."""
        copies = [schedule.duplicate() for schedule in queryset]
        for copy in copies:
            self.log_addition(request, copy, [{"added": {}}])
        text = ngettext("%d copy is made; it is disabled.", "%d copies are made; they are disabled.", len(copies))
        self.message_user(request, text % len(copies), messages.SUCCESS)
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
        one, many = (
            ("%d schedule enabled.", "%d schedules enabled.")
            if enabled
            else ("%d schedule disabled.", "%d schedules disabled.")
        )
        text = ngettext(one, many, len(changed)) % len(changed)
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

    # ── the form ──

    def _job_name(self, request: HttpRequest, schedule: Schedule | None) -> str:
        """Return the job whose parameters the form shows: the one just chosen, the stored one, else the first."""
        chosen = request.POST.get("job") or request.GET.get("job")
        stored = schedule.job if schedule else ""
        return chosen or stored or next(iter(registry.names()), "")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form with the parameter fields of the job."""
        kwargs["form"] = ScheduleForm.for_job(self._job_name(request, obj))
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return *What*, *When* and *How*, each with a sentence of help."""
        job = self._job_name(request, obj)
        parameters = [parameter_field(name) for name in registry.get(job).form.base_fields] if job in registry else []
        can_change = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        job_fields = ["job", "job_shown", *parameters] if can_change else ["job", "parameters_shown"]
        return [
            (
                _("What"),
                {
                    "fields": ["name", "enabled", *job_fields],
                    "description": _("The job to run, and what it is to work on."),
                    "classes": ["newss-what"],
                },
            ),
            (
                _("When"),
                {
                    "fields": list(preview.WHEN),
                    "description": _("Times are in the schedule’s time zone; the preview says what comes of them."),
                    "classes": ["newss-when"],
                },
            ),
            (
                _("How"),
                {
                    "fields": list(HOW),
                    "description": _("Where it is executed, and what happens when something gets in the way."),
                    "classes": ["collapse", "newss-how"],
                },
            ),
            (
                _("About this schedule"),
                {
                    "fields": ["description", "tags"],
                    "description": _("For people: a note, and tags to find it by. They change nothing about its runs."),
                    "classes": ["collapse"],
                },
            ),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Return the parameters in words, for those who may only look."""
        return ("parameters_shown",)

    @admin.display(description=_("Parameters"))
    def parameters_shown(self, schedule: Schedule) -> str:
        """Return the parameters in words."""
        return schedule.parameters_words() or _t("None.")

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Show the form with the preview of what it says now."""
        schedule = context.get("original")
        form = context["adminform"].form
        context |= {
            "preview": preview.of_form(form),
            "preview_url": reverse("admin:scheduling_schedule_preview"),
            "can_run": self.has_run_permission(request),
            "can_pause": self.has_pause_permission(request),
            "can_backfill": request.user.has_perm(steps.BACKFILL),
            "held_back": schedule.is_paused() if schedule else False,
            "zones": preview.zones(),
            "recent_runs": list(schedule.runs.order_by("-queued_at", "-id")[:10]) if schedule else [],
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def response_add(self, request: HttpRequest, obj: Schedule, post_url_continue: str | None = None) -> HttpResponse:
        """Go where the button says; *Save and run now* goes to the run."""
        return self._run_after_save(request, obj) or super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: Schedule) -> HttpResponse:
        """Go where the button says; *Save and run now* goes to the run."""
        return self._run_after_save(request, obj) or super().response_change(request, obj)

    def _run_after_save(self, request: HttpRequest, schedule: Schedule) -> HttpResponse | None:
        if "_run_now" not in request.POST:
            return None
        require(request, RUN)
        run, created = schedule.run_now(by=person(request))
        self.message_user(request, _t("“%(name)s” is saved.") % {"name": schedule}, messages.SUCCESS)
        tell_started(request, run, created=created)
        return HttpResponseRedirect(run.get_absolute_url())

    # ── views of one schedule ──

    def get_urls(self) -> list[URLPattern]:
        """Add the addresses of the buttons and of the preview."""
        view = self.admin_site.admin_view
        return [
            path("preview/", view(self.preview_view), name="scheduling_schedule_preview"),
            path("choices/", view(self.choices_view), name="scheduling_schedule_choices"),
            path("coming-up/", view(coming_up.view), name="scheduling_coming_up"),
            path("pause/", view(steps.pause), name="scheduling_schedule_pause"),
            path("resume/", view(steps.resume_many), name="scheduling_schedule_resume_many"),
            path("switch-back/", view(self.switch_back_view), name="scheduling_schedule_switch_back"),
            path("hold/", view(steps.hold), name="scheduling_hold"),
            path("<int:schedule_id>/run-with/", view(steps.run_with), name="scheduling_schedule_run_with"),
            path("<int:schedule_id>/resume/", view(steps.resume), name="scheduling_schedule_resume"),
            path("<int:schedule_id>/backfill/", view(steps.backfill), name="scheduling_schedule_backfill"),
            path("<int:schedule_id>/run/", view(self.run_view), name="scheduling_schedule_run"),
            path("<int:schedule_id>/enabled/", view(self.enabled_view), name="scheduling_schedule_enabled"),
            *super().get_urls(),
        ]

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
        return JsonResponse({"enabled": schedule.enabled, "next": _cell("next", row)})

    def choices_view(self, request: HttpRequest) -> JsonResponse:
        """Answer the rows that a job's field offers and that fit `term`, a page at a time, as Select2 asks for them."""
        job, name, term = (request.GET.get(key, "") for key in ("job", "field", "term"))
        field = registry.get(job).form.base_fields.get(name) if job in registry else None
        rows = getattr(field, "queryset", None)
        model_admin = self.admin_site._registry.get(rows.model) if rows is not None else None
        if model_admin is None or rows is None:
            raise Http404(_t("There is nothing to choose from."))
        allowed = self.has_view_or_change_permission(request) and model_admin.has_view_permission(request)
        if not allowed:
            raise PermissionDenied
        found, _duplicates = model_admin.get_search_results(request, rows.all(), term)
        page = Paginator(found.distinct(), CHOICES_A_PAGE).get_page(request.GET.get("page"))
        results = [{"id": str(row.pk), "text": str(row)} for row in page]
        return JsonResponse({"results": results, "pagination": {"more": page.has_next()}})

    @method_decorator(require_POST)
    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """Answer what the form as typed would mean: words, next times, warnings; nothing is saved."""
        schedule_id = request.POST.get("schedule_id", "")
        stored = Schedule.objects.filter(pk=schedule_id).first() if schedule_id.isdigit() else None
        allowed = self.has_change_permission(request, stored) if stored else self.has_add_permission(request)
        if not allowed:
            require(request, CHANGE)
        form = self.get_form(request, stored, change=stored is not None)(request.POST, instance=stored)
        return HttpResponse(render_to_string("scheduling/preview.html", {"preview": preview.of_form(form)}, request))


def _cell(name: str | Promise, schedule: Schedule, **context: Any) -> SafeString:
    return SafeString(render_to_string(f"scheduling/cells/{name}.html", {"schedule": schedule, **context}))
