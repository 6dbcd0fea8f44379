"""The admin of schedules: the form with its preview, over the list (`schedule_list.py`)."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.text import capfirst
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from scheduling.admin import coming_up, preview, steps, trigger_text
from scheduling.admin.base import TabularInline, person, require, tell_started
from scheduling.admin.schedule_form import ScheduleForm, parameter_field
from scheduling.admin.schedule_list import RUN, ScheduleListAdmin
from scheduling.admin.versions import CHANGE
from scheduling.jobs import registry
from scheduling.models import FollowUp, Schedule

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
    hide_title = True
    verbose_name = _("predecessor")
    verbose_name_plural = _("Runs after other schedules")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Return the field of a column; it names itself, since a heading of the table is no label."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None:
            # What chooses a row of another table wraps the field itself, with buttons beside it.
            widget: Any = getattr(field.widget, "widget", field.widget)
            widget.attrs["aria-label"] = capfirst(field.label)
        return field


@admin.register(Schedule)
class ScheduleAdmin(ScheduleListAdmin):
    """Schedules."""

    form = ScheduleForm
    edit_many_names = (
        "enabled",
        "trigger_kind",
        "crontab",
        "interval_seconds",
        "timezone",
        "blackout_times",
        "blackout_dates",
        "jitter_seconds",
        "max_runs",
        *HOW,
        "description",
    )
    inlines = (FollowUpInline,)
    autocomplete_fields = ("tags",)
    warn_unsaved_form = True
    view_on_site = False

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
        parameters = [parameter_field(name) for name in registry.form_fields(job)]
        can_change = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        job_fields = ["job", "job_shown", *parameters] if can_change else ["job_words", "parameters_shown"]
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
                    "fields": list(preview.WHEN) if can_change else self._when_in_words(obj),
                    "description": _("Times are in the schedule's time zone; the preview says what comes of them."),
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
        """Return what stands in words, for those who may only look."""
        return ("job_words", "parameters_shown", "trigger_words", "never_between", "never_on")

    def _when_in_words(self, schedule: Any) -> list[str]:
        """Return the fields that say when to those who may only look: the trigger in words, and what narrows it."""
        narrowing = {
            "start_at": "start_at",
            "end_at": "end_at",
            "max_runs": "max_runs",
            "jitter_seconds": "jitter_seconds",
            "blackout_times": "never_between",
            "blackout_dates": "never_on",
        }
        return ["trigger_words", "timezone", *(shown for name, shown in narrowing.items() if getattr(schedule, name))]

    @admin.display(description=_("Job"))
    def job_words(self, schedule: Schedule) -> str:
        """Return the job by the name that people know it by."""
        return registry.label(schedule.job)

    @admin.display(description=_("Trigger"))
    def trigger_words(self, schedule: Schedule) -> str:
        """Return the trigger in words."""
        return schedule.words()

    @admin.display(description=_("Never between"))
    def never_between(self, schedule: Schedule) -> str:
        """Return the times of day at which nothing is due."""
        return trigger_text.times_to_text(schedule.blackout_times)

    @admin.display(description=_("Never on"))
    def never_on(self, schedule: Schedule) -> str:
        """Return the dates on which nothing is due."""
        return trigger_text.dates_to_text(schedule.blackout_dates)

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

    def get_urls(self) -> list[URLPattern]:
        """Add the addresses of the preview, the choices and the steps."""
        view = self.admin_site.admin_view
        return [
            path("preview/", view(self.preview_view), name="scheduling_schedule_preview"),
            path("choices/", view(self.choices_view), name="scheduling_schedule_choices"),
            path("coming-up/", view(coming_up.view), name="scheduling_coming_up"),
            path("pause/", view(steps.pause), name="scheduling_schedule_pause"),
            path("resume/", view(steps.resume_many), name="scheduling_schedule_resume_many"),
            path("hold/", view(steps.hold), name="scheduling_hold"),
            path("<int:schedule_id>/run-with/", view(steps.run_with), name="scheduling_schedule_run_with"),
            path("<int:schedule_id>/resume/", view(steps.resume), name="scheduling_schedule_resume"),
            path("<int:schedule_id>/backfill/", view(steps.backfill), name="scheduling_schedule_backfill"),
            *super().get_urls(),
        ]

    def choices_view(self, request: HttpRequest) -> JsonResponse:
        """Answer the rows that a job's field offers and that fit `term`, a page at a time, as Select2 asks for them."""
        job, name, term = (request.GET.get(key, "") for key in ("job", "field", "term"))
        field = registry.form_fields(job).get(name)
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
