"""The form of a schedule: its own fields, and those of its job's form as fields like any other."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.urls import reverse
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from unfold import widgets

from scheduling.admin import trigger_text
from scheduling.admin.borrowed_form import BorrowingForm
from scheduling.admin.fields import SpanField, TextAsJSONField, ZonedDateTimeField, in_unfolds_look
from scheduling.jobs import registry
from scheduling.models import Schedule
from scheduling.models.timing import default_zone

PREFIX = "parameter"
SHOW_ONLY = ("_choose_job", "_preview")
"""Buttons that show the form again as it was typed, without judging or saving it."""
VERSION = "version_shown"
"""What carries, hidden, which version of the schedule the page shows."""
FIRST_INTERVAL_SECONDS = 900
"""What the form of a new schedule proposes."""


def parameter_field(name: str) -> str:
    """Return the name that a job's field has in the schedule's form."""
    return f"{PREFIX}-{name}"


def choices_address(job_name: str, field: str) -> str:
    """Return where the rows that a job's field offers can be searched."""
    return f"{reverse('admin:scheduling_schedule_choices')}?{urlencode({'job': job_name, 'field': field})}"


def span(name: str, label: Any, *, min_value: int = 0) -> SpanField:
    """Return the field of a span of seconds, with the help text and the default of the model's field."""
    field: Any = Schedule._meta.get_field(name)
    return SpanField(
        label=label,
        help_text=field.help_text,
        required=not field.null,
        min_value=min_value,
        initial=None if field.null else field.default,
    )


class ScheduleForm(BorrowingForm):
    """A schedule with its job's parameters; `for_job` makes the class for one job."""

    prefix_of_borrowed, choice, show_only = PREFIX, "job", SHOW_ONLY
    job_name = ""

    job = forms.ChoiceField(label=_("Job"), widget=widgets.UnfoldAdminSelectWidget)
    job_shown = forms.CharField(label="", required=False, widget=forms.HiddenInput)
    interval_seconds = SpanField(label=_("Every"), min_value=1, required=False)
    run_at = ZonedDateTimeField(label=_("Date and time"), required=False)
    start_at = ZonedDateTimeField(
        label=_("Start"), required=False, help_text=_("No due time before this. In the schedule's time zone.")
    )
    end_at = ZonedDateTimeField(
        label=_("End"), required=False, help_text=_("No due time after this. In the schedule's time zone.")
    )

    parts = TextAsJSONField(
        label=_("Triggers"),
        read=trigger_text.parts_from_text,
        write=trigger_text.parts_to_text,
        widget=widgets.UnfoldAdminTextareaWidget({"rows": 4, "spellcheck": "false"}),
        help_text=trigger_text.PARTS_HELP,
    )
    blackout_times = TextAsJSONField(
        label=_("Never between"),
        read=trigger_text.times_from_text,
        write=trigger_text.times_to_text,
        widget=widgets.UnfoldAdminTextInputWidget({"placeholder": "01:00-04:00"}),
        help_text=_("Local times of day, from and to: 01:00-04:00, 12:00-13:00. Nothing is due within."),
    )
    blackout_dates = TextAsJSONField(
        label=_("Never on"),
        read=trigger_text.dates_from_text,
        write=trigger_text.dates_to_text,
        widget=widgets.UnfoldAdminTextInputWidget({"placeholder": "2026-12-24"}),
        help_text=_("Local dates, separated by commas: 2026-12-24, 2026-12-25."),
    )
    jitter_seconds = span("jitter_seconds", _("Jitter"))
    misfire_grace_time = span("misfire_grace_time", _("Misfire grace time"))
    retry_delay_seconds = span("retry_delay_seconds", _("First retry after"), min_value=1)
    retry_delay_max_seconds = span("retry_delay_max_seconds", _("Longest delay of a retry"), min_value=1)
    time_limit_seconds = span("time_limit_seconds", _("Time limit"), min_value=1)
    kill_after_seconds = span("kill_after_seconds", _("Kill after another"))

    class Meta:
        model = Schedule
        fields: list[str] = []

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored: Any = self.instance.parameters
        # Plain SQL may have stored what is no object; then the form begins anew.
        self.show_borrowed(stored if isinstance(stored, dict) else {})
        if not self.is_bound and self.instance._state.adding:
            self.initial["interval_seconds"] = self.instance.interval_seconds = FIRST_INTERVAL_SECONDS
        job = self.fields.get("job")
        if isinstance(job, forms.ChoiceField):
            job.choices = self._job_choices()
        zone = (self.data.get("timezone") if self.is_bound else None) or self.instance.timezone or default_zone()
        for field in self.fields.values():
            if isinstance(field, ZonedDateTimeField):
                field.use(zone)

    @classmethod
    def for_job(cls, job_name: str) -> type[ScheduleForm]:
        """Return the form class whose parameter fields are those of a job (none for an unknown one)."""
        form = registry.get(job_name).form() if job_name in registry else None
        fields = {
            parameter_field(name): in_unfolds_look(copy.deepcopy(field), choices_address(job_name, name))
            for name, field in (form.fields.items() if form else ())
        }
        return type(f"{cls.__name__}For{job_name.title()}", (cls,), {**fields, "job_name": job_name, "Meta": cls.Meta})

    @classmethod
    def parameter_names(cls) -> list[str]:
        """Return the names of the parameter fields, in the order of the job's form."""
        return [name for name in cls.base_fields if name.startswith(f"{PREFIX}-")]

    def chosen(self) -> str:
        """Return the job that this form is for."""
        return self.job_name

    def borrowed(self) -> Mapping[str, forms.Field]:
        """Return the fields of the job's form."""
        return registry.form_fields(self.job_name)

    def clean(self) -> dict[str, Any]:
        """Check the parameters with the job's own form, and put them on the schedule."""
        cleaned = super().clean() or {}
        self._refuse_older()
        if "job" not in self.fields:
            return cleaned
        if self.choice_changed:
            self.add_error("job", _t("The job was changed: look through its parameters, then save."))
            return cleaned
        if self.job_name not in registry:
            return cleaned
        form = registry.get(self.job_name).form(data=self.data, prefix=PREFIX)
        if form.is_valid():
            self.instance.parameters = form.to_parameters()
            return cleaned
        self.add_borrowed_errors(form)
        return cleaned

    def version_shown(self) -> str:
        """Return the version that the page is to carry: the stored one, or while nothing is judged the one it had."""
        return self.data.get(VERSION, "") if self.only_shown else str(self.instance.version)

    def _refuse_older(self) -> None:
        """Refuse what was typed over a version that is not the stored one any more; saved again, it is meant."""
        shown = self.data.get(VERSION)
        if shown and not self.instance._state.adding and shown != str(self.instance.version):
            words = _t(
                "This schedule was changed while the page was open (its history tells how); what stands here is not "
                "saved. Save again to put it in place of that."
            )
            self.add_error(None, words)

    def _job_choices(self) -> list[tuple[str, Any]]:
        choices = sorted(registry.choices(), key=lambda choice: str(choice[1]))
        if self.job_name and self.job_name not in registry:
            choices.append((self.job_name, _t("%(job)s (not registered here)") % {"job": self.job_name}))
        return choices
