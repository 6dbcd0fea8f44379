"""The admin of runs: the list, and the page of one run with its live part, *Cancel* and *Run again*."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.utils.formats import localize
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext, pgettext_lazy
from django.views.decorators.http import require_POST

from scheduling.admin import run_cells, run_page
from scheduling.admin.base import ReadOnlyAdmin, back, person, require, tell_started
from scheduling.admin.in_batches import DELETE, InBatches
from scheduling.admin.paging import AheadMixin
from scheduling.admin.run_filters import (
    BackfillFilter,
    DurationFilter,
    ErrorClassFilter,
    NothingDueFilter,
    ScheduleFilter,
    StatusFilter,
    TagFilter,
)
from scheduling.admin.run_rows import RunChangeList, duration_bar
from scheduling.display import moment_over_clock_html
from scheduling.jobs import registry
from scheduling.models import Cause, Run, RunStatus

CANCEL = "scheduling.cancel_run"
START = "scheduling.start_run"
NOTE = "scheduling.change_run"


def _to_cancel(runs: QuerySet[Run]) -> QuerySet[Run]:
    return Run.objects.to_cancel().filter(pk__in=runs.values("pk"))


def _cancel(_admin: Any, request: HttpRequest, runs: QuerySet[Run]) -> int:
    """Cancel runs; return how many of them had not ended."""
    return sum(run.cancel(person(request)) for run in runs)


@admin.register(Run)
class RunAdmin(AheadMixin, ReadOnlyAdmin):
    """Runs."""

    list_display = ("title", "status_shown", "when", "duration_shown", "counts", "cause_shown")
    card_columns = ("title", "status_shown", "when", "duration_shown")
    list_display_links = None
    list_filter = (
        StatusFilter,
        "cause",
        ScheduleFilter,
        TagFilter,
        ErrorClassFilter,
        NothingDueFilter,
        DurationFilter,
        "queued_at",
        "finished_at",
        BackfillFilter,
    )
    search_fields = ("schedule_name", "outcome", "note")
    ordering = ("-queued_at", "-id")
    show_full_result_count = False
    view_on_site = False
    list_select_related = ("schedule", "requested_by")
    empty_icon = "play_circle"
    empty_title = _("Nothing has run yet")
    empty_text = _("Make a schedule, or press “Run now” on one; each of its runs stands here.")
    actions = ("cancel_many", "again_many")
    in_batches: ClassVar[dict[str, InBatches]] = {
        "delete_selected": DELETE,
        "cancel_many": InBatches(_("Cancel"), _to_cancel, _cancel),
    }

    # ── the list ──

    @admin.display(description=pgettext_lazy("noun", "Run"), ordering="schedule_name")
    def title(self, run: Run) -> SafeString:
        """Return the schedule's name with a link to the run's page."""
        return run_cells.title(run)

    @admin.display(description=_("Status"), ordering="status")
    def status_shown(self, run: Run) -> SafeString:
        """Return the status over its reason."""
        return run_cells.status(run)

    @admin.display(description=_("When"), ordering="queued_at")
    def when(self, run: Run) -> SafeString:
        """Return when it started, or was to start."""
        return moment_over_clock_html(run.queued_at)

    @admin.display(description=_("Duration"))
    def duration_shown(self, run: Run) -> SafeString:
        """Return how long it ran or has been running, against what is usual."""
        return run_cells.duration(run, duration_bar(run))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[RunChangeList]:
        """Return the list that fetches what its rows show a page at a time."""
        return RunChangeList

    @admin.display(description=_("Counts"))
    def counts(self, run: Run) -> str:
        """Return what the job counted."""
        return ", ".join(f"{name} {localize(count)}" for name, count in run_page.shown_counts(run.summary)) or "–"

    @admin.display(description=_("Why"), ordering="cause")
    def cause_shown(self, run: Run) -> str:
        """Return why it exists."""
        cause = str(Cause(run.cause).label)
        return f"{cause}: {run.requested_by}" if run.requested_by else cause

    @admin.action(description=_("Cancel"), permissions=["cancel"])
    def cancel_many(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        """Cancel those of the chosen runs that have not ended."""
        cancelled = _cancel(self, request, queryset)
        text = ngettext("%s run is cancelled.", "%s runs are cancelled.", cancelled) % localize(cancelled)
        self.message_user(request, text, messages.SUCCESS if cancelled else messages.WARNING)

    @admin.action(description=_("Run again"), permissions=["start"])
    def again_many(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        """Start a run like each of the chosen ones that have ended."""
        started, refused = 0, []
        for run in queryset.filter(status__in=RunStatus.final()).select_related("schedule"):
            try:
                started += run.again(person(request))[1]
            except ValidationError as error:
                refused.append(f"{run}: {' '.join(error.messages)}")
        text = ngettext("%s run started.", "%s runs started.", started) % localize(started)
        self.message_user(request, text, messages.SUCCESS if started else messages.WARNING)
        if refused:
            self.message_user(request, " ".join(refused[:3]), messages.ERROR)

    def has_start_permission(self, request: HttpRequest) -> bool:
        """Tell whether the person may start runs."""
        return request.user.has_perm(START)

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Tell whether the person may cancel runs."""
        return request.user.has_perm(CANCEL)

    # ── the page of one run ──

    def get_urls(self) -> list[URLPattern]:
        """Add the addresses of the live part and of the buttons."""
        view = self.admin_site.admin_view
        return [
            path("<int:run_id>/live/", view(self.live_view), name="scheduling_run_live"),
            path("<int:run_id>/log.txt", view(self.log_view), name="scheduling_run_log"),
            path("<int:run_id>/cancel/", view(self.cancel_view), name="scheduling_run_cancel"),
            path("<int:run_id>/note/", view(self.note_view), name="scheduling_run_note"),
            path("<int:run_id>/again/", view(self.again_view), name="scheduling_run_again"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the page of a run."""
        run = self.get_object(request, object_id)
        if run is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if not self.has_view_permission(request, run):
            raise PermissionDenied
        return self._page(request, run, note_form=run_page.NoteForm(initial={"note": run.note}))

    def _page(self, request: HttpRequest, run: Run, note_form: run_page.NoteForm) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            **run_page.context(run, request),
            "note_form": note_form if request.user.has_perm(NOTE) else None,
            "title": str(run),
            "opts": self.opts,
            "original": run,
            "has_view_permission": True,
            "media": self.media,
        }
        return TemplateResponse(request, "admin/scheduling/run/page.html", context)

    def live_view(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """Answer the live part of the page; the header says after how many seconds to ask again, 0 for never."""
        run = get_object_or_404(Run.objects.select_related("schedule", "requested_by", "instance"), pk=run_id)
        if not self.has_view_permission(request, run):
            raise PermissionDenied
        html = render_to_string("scheduling/run_live.html", run_page.context(run, request), request)
        return HttpResponse(html, headers={"Newss-Next": "1" if run.is_active else "0"})

    def log_view(self, request: HttpRequest, run_id: int) -> HttpResponseBase:
        """Answer the whole log as a file, line by line as it is read."""
        run = get_object_or_404(Run, pk=run_id)
        if not self.has_view_permission(request, run):
            raise PermissionDenied
        headers = {"Content-Disposition": f'attachment; filename="run-{run.pk}.log"'}
        return StreamingHttpResponse(run_page.log_lines(run), content_type="text/plain; charset=utf-8", headers=headers)

    @method_decorator(require_POST)
    def cancel_view(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """Cancel a run."""
        require(request, CANCEL)
        run = get_object_or_404(Run, pk=run_id)
        if run.cancel(person(request)):
            text = _t("The run is asked to stop.") if run.is_active else _t("The run is cancelled.")
            self.message_user(request, text, messages.SUCCESS)
        else:
            self.message_user(request, _t("The run has already ended, or is asked to stop."), messages.WARNING)
        return back(request, run.get_absolute_url())

    @method_decorator(require_POST)
    def note_view(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """Leave a note on a run, or take it away; all else of a run stays as the engine wrote it."""
        require(request, NOTE)
        run = get_object_or_404(Run, pk=run_id)
        form = run_page.NoteForm(request.POST)
        if form.is_valid():
            run.leave_note(person(request), form.cleaned_data["note"])
            text = _t("The note is kept.") if run.note else _t("There is no note any more.")
            self.message_user(request, text, messages.SUCCESS)
            return HttpResponseRedirect(run.get_absolute_url())
        return self._page(request, run, note_form=form)

    @method_decorator(require_POST)
    def again_view(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """Start a run like this one and go to its page."""
        require(request, START)
        run = get_object_or_404(Run, pk=run_id)
        try:
            parameters = registry.failed_only(run) if "failed_only" in request.POST else None
            again, created = run.again(person(request), parameters, request.POST.get("request_key") or None)
        except ValidationError as error:
            self.message_user(request, " ".join(error.messages), messages.ERROR)
            return HttpResponseRedirect(run.get_absolute_url())
        tell_started(request, again, created=created)
        return HttpResponseRedirect(again.get_absolute_url())
