"""The cells of the list of schedules.

Put together here and not by templates, which would take most of the list's time for its rows.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from scheduling.addresses import address_of
from scheduling.display import clock_html, moment_html, moment_over_clock_html, status_html
from scheduling.models import TriggerKind
from scheduling.said import said

FORM = "newss-row-form"
"""The form that the buttons of the rows belong to (`row_form.html`)."""
NOTHING = SafeString("")


def title(schedule: Any) -> SafeString:
    """Return the name over the trigger in words, by whom and why it is paused, and what is wrong with it."""
    return format_html(
        '<div class="newss-cell{}"><a class="newss-name" href="{}">{}</a><span class="newss-sub">{}</span>{}{}</div>',
        " newss-off" if not schedule.enabled or schedule.held_back else "",
        address_of("admin:scheduling_schedule_change", schedule.pk),
        schedule.name,
        schedule.words(),
        _paused(schedule) if schedule.held_back else NOTHING,
        format_html('<span class="newss-error">{}</span>', schedule.trouble) if schedule.trouble else NOTHING,
    )


def _paused(schedule: Any) -> SafeString:
    until = format_html(" ({} {})", _("until"), clock_html(schedule.paused_until)) if schedule.paused_until else NOTHING
    return format_html(
        '<span class="newss-paused">{} {}{}</span>', _icon("pause_circle"), said(schedule.pause_words()), until
    )


def what(schedule: Any, job: str) -> SafeString:
    """Return the job over its parameters in words."""
    form = '<div class="newss-cell"><span>{}</span><span class="newss-sub">{}</span></div>'
    return format_html(form, job, schedule.what)


def last_result(run: Any) -> SafeString:
    """Return how a schedule's newest run went, or is going; what to say where there is none."""
    if run is None:
        return _quiet(_("Not run yet"))
    return format_html(
        '<div class="newss-cell"><a href="{}" title="{}">{}</a><span class="newss-sub">{}</span></div>',
        address_of("admin:scheduling_run_change", run.pk),
        said(run.outcome),
        status_html(run.status),
        moment_html(run.finished_at or run.queued_at),
    )


def next_run(schedule: Any) -> SafeString:
    """Return when it is due next, or why it is not."""
    if schedule.trouble:
        return format_html('<span class="newss-error">{}</span>', _("Broken"))
    if not schedule.enabled:
        return _quiet(_("Disabled"))
    if schedule.held_back:
        return _quiet(_("Paused"))
    if schedule.next_due:
        return moment_over_clock_html(schedule.next_due)
    return _quiet(_("Only by hand") if schedule.trigger_kind == TriggerKind.MANUAL else _("Never again"))


def switch(schedule: Any) -> SafeString:
    """Return the switch that works in place, or a word for those who may not change it."""
    if not schedule.may_change:
        return format_html("{}", _("yes") if schedule.enabled else _("no"))
    return format_html(
        '<button type="submit" form="{}" formaction="{}" name="enabled" value="{}" role="switch" class="newss-switch"'
        ' aria-checked="{}" aria-label="{}"></button>',
        FORM,
        address_of("admin:scheduling_schedule_enabled", schedule.pk),
        "0" if schedule.enabled else "1",
        "true" if schedule.enabled else "false",
        _("Enabled: %(name)s") % {"name": schedule.name},
    )


def buttons(schedule: Any) -> SafeString:
    """Return the row's buttons; the key makes a double click one run."""
    run = _run_button(schedule) if schedule.may_run and not schedule.trouble else NOTHING
    pause = _pause_button(schedule) if schedule.may_pause else NOTHING
    return format_html('<div class="newss-actions newss-row-actions">{}{}</div>', run, pause)


def _run_button(schedule: Any) -> SafeString:
    key = format_html(
        '<input type="hidden" form="{}" name="request_key-{}" value="{}">', FORM, schedule.pk, uuid.uuid4().hex
    )
    address = address_of("admin:scheduling_schedule_run", schedule.pk)
    label = _("Run now: %(name)s") % {"name": schedule.name}
    return format_html("{}{}", key, _button(address, label, "play_arrow", _("Run now")))


def _pause_button(schedule: Any) -> SafeString:
    if schedule.held_back:
        address = address_of("admin:scheduling_schedule_resume", schedule.pk)
        return _button(address, _("Resume: %(name)s") % {"name": schedule.name}, "resume", _("Resume"))
    return format_html(
        '<a class="newss-button" href="{}?ids={}" aria-label="{}" title="{}">{}</a>',
        reverse("admin:scheduling_schedule_pause"),
        schedule.pk,
        _("Pause: %(name)s") % {"name": schedule.name},
        _("Pause…"),
        _icon("pause"),
    )


def _button(address: str, label: str, icon: str, words: str) -> SafeString:
    return format_html(
        '<button type="submit" form="{}" formaction="{}" class="newss-button" aria-label="{}">{}{}</button>',
        FORM,
        address,
        label,
        _icon(icon),
        words,
    )


def _icon(name: str) -> SafeString:
    return format_html('<span class="material-symbols-outlined" aria-hidden="true">{}</span>', name)


def _quiet(words: str) -> SafeString:
    return format_html('<span class="newss-sub">{}</span>', words)
