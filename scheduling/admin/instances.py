"""The admin of scheduler processes: to be looked at."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from scheduling import display
from scheduling.admin.base import ReadOnlyAdmin
from scheduling.models import InstanceState, SchedulerInstance


@admin.register(SchedulerInstance)
class SchedulerInstanceAdmin(ReadOnlyAdmin):
    """The `runapscheduler` processes."""

    list_display = ("process", "state_shown", "heartbeat", "started", "ended", "epoch")
    card_columns = ("process", "state_shown", "heartbeat")
    list_filter = ("state",)
    search_fields = ("host",)
    empty_icon = "memory"
    empty_title = _("No scheduler was started yet")
    empty_text = _("Start one: python manage.py runapscheduler")
    ordering = ("-started_at",)
    show_full_result_count = False
    fields = ("process", "state_shown", "heartbeat", "started", "ended", "epoch")

    @admin.display(description=_("Process"), ordering="host")
    def process(self, instance: SchedulerInstance) -> str:
        """Return host and process id."""
        return str(instance)

    @admin.display(description=_("State"), ordering="state")
    def state_shown(self, instance: SchedulerInstance) -> SafeString:
        """Return the state; one that went silent says so."""
        if instance.state in InstanceState.alive() and not instance.is_beating():
            return display.badge_html(_t("silent"), "red", "link_off")
        state = InstanceState(instance.state)
        return display.badge_html(state.label, state.colour, state.icon)

    @admin.display(description=_("Last heartbeat"), ordering="heartbeat_at")
    def heartbeat(self, instance: SchedulerInstance) -> SafeString:
        """Return when it was last heard of."""
        return display.moment_html(instance.heartbeat_at)

    @admin.display(description=_("Started"), ordering="started_at")
    def started(self, instance: SchedulerInstance) -> SafeString:
        """Return when it was started."""
        return display.clock_html(instance.started_at)

    @admin.display(description=_("Ended"), ordering="ended_at")
    def ended(self, instance: SchedulerInstance) -> SafeString:
        """Return when it ended."""
        return display.clock_html(instance.ended_at)
