"""The pages that ask before they act: pause, hold everything, backfill, run now with other parameters."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST
from unfold import widgets

from scheduling.admin.base import back, keys_in, person, require, tell_started, undo_button
from scheduling.admin.fields import ZonedDateTimeField, in_unfolds_look
from scheduling.admin.schedule_form import choices_address
from scheduling.jobs import registry
from scheduling.models import Backfill, BackfillOrder, BackfillWhich, Hold, Run, Schedule

PAUSE = "scheduling.pause_schedule"
HOLD = "scheduling.hold_everything"
BACKFILL = "scheduling.add_backfill"
RUN = "scheduling.run_schedule"
TO_PAUSE = "newss_to_pause"
"""Where the session keeps which schedules were chosen in the list to be paused."""
NAMES_SHOWN = 20
SETS_OF = 100
"""Among how many of the newest runs of a schedule other sets of parameters are looked for."""
PREVIEW_ROWS = 200
"""How many due times the preview of a backfill lists."""


class ReasonForm(forms.Form):
    """Why."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=200,
        required=False,
        widget=widgets.UnfoldAdminTextInputWidget,
        help_text=_("Everybody who wonders why nothing runs will read it."),
    )


class PauseForm(ReasonForm):
    """Why, and until when."""

    until = forms.SplitDateTimeField(
        label=_("Until"),
        required=False,
        widget=widgets.UnfoldAdminSplitDateTimeWidget,
        help_text=_("In your time zone. Empty: until somebody resumes it."),
    )

    def clean_until(self) -> Any:
        """Refuse an end that is not in the future."""
        until = self.cleaned_data["until"]
        if until is not None and until <= timezone.now():
            raise ValidationError(_t("The end of the pause must be in the future."))
        return until


class BackfillForm(forms.ModelForm):  # type: ignore[type-arg]
    """The window, in the schedule's zone, and how its due times are run."""

    window_start = ZonedDateTimeField(label=_("From"))
    window_end = ZonedDateTimeField(label=_("Until"))

    class Meta:
        model = Backfill
        fields = ("window_start", "window_end", "which", "order", "at_once")
        widgets = {
            "which": widgets.UnfoldAdminSelectWidget(choices=BackfillWhich.choices),
            "order": widgets.UnfoldAdminSelectWidget(choices=BackfillOrder.choices),
            "at_once": widgets.UnfoldAdminIntegerFieldWidget(attrs={"min": 1}),
        }
        help_texts = {
            "which": _("Which due times of the window get a run."),
            "at_once": _("So many of its runs are active at the same time, at most."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("window_start", "window_end"):
            field = self.fields[name]
            assert isinstance(field, ZonedDateTimeField)
            field.use(self.instance.schedule.timezone)


def _page(request: HttpRequest, form: forms.BaseForm | None, **context: Any) -> TemplateResponse:
    back_to = reverse("admin:scheduling_schedule_changelist")
    values = {**admin.site.each_context(request), "form": form, "opts": Schedule._meta, "back": back_to, **context}
    return TemplateResponse(request, "scheduling/step.html", values)


@require_http_methods(["GET", "POST"])
def pause(request: HttpRequest) -> HttpResponse:
    """Pause the schedules named in `ids`, with a reason and perhaps until a time.

    Those are primary keys with commas, or `chosen` for those that were chosen in the list.
    """
    require(request, PAUSE)
    asked = request.GET.get("ids", "")
    keys = request.session.get(TO_PAUSE, []) if asked == "chosen" else keys_in(asked)
    schedules = list(Schedule.objects.filter(pk__in=keys))
    if not schedules:
        raise Http404(_t("There is no such schedule."))
    form = PauseForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        # What was paused before would lose its reason if it were resumed again.
        fresh = ",".join(str(schedule.pk) for schedule in schedules if not schedule.is_paused())
        for schedule in schedules:
            schedule.pause(person(request), form.cleaned_data["reason"], form.cleaned_data["until"])
        text = ngettext("%s schedule is paused.", "%s schedules are paused.", len(schedules)) % localize(len(schedules))
        if fresh:
            button = undo_button(request, reverse("admin:scheduling_schedule_resume_many"), ids=fresh)
            text = format_html("{} {}", text, button)
        messages.success(request, text)
        return HttpResponseRedirect(reverse("admin:scheduling_schedule_changelist"))
    return _page(
        request,
        form,
        title=_t("Pause"),
        names=[schedule.name for schedule in schedules[:NAMES_SHOWN]],
        more_names=max(0, len(schedules) - NAMES_SHOWN),
        intro=_t("No due time becomes a run until it is resumed. What runs now goes on; it can still be run by hand."),
        submit=ngettext("Pause %s schedule", "Pause %s schedules", len(schedules)) % localize(len(schedules))
        if len(schedules) > 1
        else _t("Pause"),
    )


def named_in(request: HttpRequest) -> QuerySet[Schedule]:
    """Return the schedules that the posted `ids` name."""
    return Schedule.objects.filter(pk__in=keys_in(request.POST.get("ids", "")))


@require_POST
def resume_many(request: HttpRequest) -> HttpResponse:
    """End the pause of the schedules that `ids` names."""
    require(request, PAUSE)
    count = sum(schedule.resume(person(request)) for schedule in named_in(request))
    messages.success(request, ngettext("%s schedule resumed.", "%s schedules resumed.", count) % localize(count))
    return HttpResponseRedirect(reverse("admin:scheduling_schedule_changelist"))


@require_POST
def resume(request: HttpRequest, schedule_id: int) -> HttpResponse:
    """End the pause of a schedule."""
    require(request, PAUSE)
    schedule = get_object_or_404(Schedule, pk=schedule_id)
    if schedule.resume(person(request)):
        messages.success(request, _t("“%(name)s” is resumed.") % {"name": schedule})
    else:
        messages.warning(request, _t("“%(name)s” is not paused.") % {"name": schedule})
    return back(request, reverse("admin:scheduling_schedule_changelist"))


@require_http_methods(["GET", "POST"])
def hold(request: HttpRequest) -> HttpResponse:
    """Hold everything with a reason, or release it."""
    require(request, HOLD)
    current = Hold.objects.current()
    form = ReasonForm(request.POST or None) if current is None else None
    if request.method == "POST":
        if "release" in request.POST:
            Hold.objects.release(person(request))
            messages.success(request, _t("Everything is released."))
            return HttpResponseRedirect(reverse("admin:index"))
        if form is not None and form.is_valid():
            Hold.objects.hold(person(request), form.cleaned_data["reason"])
            messages.success(request, _t("Everything is held: nothing is fired or started. What runs, ends."))
            return HttpResponseRedirect(reverse("admin:index"))
    return _page(
        request,
        form,
        title=_t("Release everything") if current else _t("Hold everything"),
        intro=_t("Due times within the hold are not run afterwards; each schedule gets one row that says why.")
        if current
        else _t("Nothing is fired or started, by schedule, by hand or by API, until it is released. What runs, ends."),
        submit=_t("Release everything") if current else _t("Hold everything"),
        submit_name="release" if current else "hold",
    )


@require_http_methods(["GET", "POST"])
def backfill(request: HttpRequest, schedule_id: int) -> HttpResponse:
    """Show what a window of the past would run, and start it when asked to."""
    require(request, BACKFILL)
    schedule = get_object_or_404(Schedule, pk=schedule_id)
    row = Backfill(schedule=schedule, requested_by=person(request))
    if request.method == "GET":
        now = timezone.now().replace(second=0, microsecond=0)
        row.window_start, row.window_end = now - timedelta(days=1), now
    form = BackfillForm(request.POST or None, instance=row)
    items = []
    if request.method == "POST" and form.is_valid():
        if "_start" in request.POST:
            try:
                started = form.instance.start()
            except ValidationError as error:
                form.add_error(None, error.messages)
            else:
                text = ngettext("%s run is queued.", "%s runs are queued.", len(started)) % localize(len(started))
                messages.success(request, text)
                return HttpResponseRedirect(
                    f"{reverse('admin:scheduling_run_changelist')}?backfill__id__exact={form.instance.pk}"
                )
        items = form.instance.preview()
    return _page(
        request,
        form,
        title=_t("Backfill"),
        names=[schedule.name],
        intro=_t("Runs for due times of the past (%(zone)s). Preview lists them; nothing is run before you start.")
        % {"zone": schedule.timezone},
        submit=_t("Preview"),
        second_submit=_t("Start") if any(item.wanted for item in items) else "",
        items=items[:PREVIEW_ROWS],
        more=max(0, len(items) - PREVIEW_ROWS),
        wanted=sum(item.wanted for item in items),
        checked=request.method == "POST" and form.is_valid(),
        zone=schedule.timezone,
    )


@require_http_methods(["GET", "POST"])
def run_with(request: HttpRequest, schedule_id: int) -> HttpResponse:
    """Run a schedule once with other parameters; it stays as it is. `set` names a past run to take them from."""
    require(request, RUN)
    schedule = get_object_or_404(Schedule, pk=schedule_id)
    if schedule.job not in registry:
        raise Http404(schedule.problem())
    recent = recent_sets(schedule)
    chosen = next((run for run in recent if str(run.pk) == request.GET.get("set")), None)
    parameters = chosen.parameters if chosen else schedule.parameters
    form = registry.get(schedule.job).form(request.POST or None, initial=parameters)
    for name, field in form.fields.items():
        in_unfolds_look(field, choices_address(schedule.job, name))
    if request.method == "POST" and (form.is_valid() or not form.fields):
        run, created = schedule.run_now(
            by=person(request),
            parameters=form.to_parameters() if form.fields else {},
            request_key=request.POST.get("request_key") or None,
        )
        tell_started(request, run, created=created)
        return HttpResponseRedirect(run.get_absolute_url())
    return _page(
        request,
        form,
        title=_t("Run now"),
        names=[schedule.name],
        intro=_t("Runs once with these parameters. The schedule stays as it is."),
        submit=_t("Run now"),
        sets=[(run, registry.describe(run.job, run.parameters)) for run in recent],
        request_key=uuid.uuid4().hex,
    )


def recent_sets(schedule: Schedule, shown: int = 5) -> list[Run]:
    """Return the newest runs of a schedule with parameters that differ from its own and from each other."""
    found: list[Run] = []
    runs = Run.objects.filter(schedule=schedule, job=schedule.job).order_by("-queued_at", "-id")
    for run in runs.only("job", "parameters", "queued_at")[:SETS_OF]:
        if run.parameters != schedule.parameters and all(run.parameters != other.parameters for other in found):
            found.append(run)
    return found[:shown]
