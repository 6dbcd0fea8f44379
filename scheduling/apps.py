"""The scheduling app: schedules, runs, and the engine that fires them."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class SchedulingConfig(AppConfig):
    """Find the jobs that each installed app brings in its `jobs.py`, as the admin finds `admin.py`."""

    name = "scheduling"
    verbose_name = _("Scheduling")

    def ready(self) -> None:
        """Register the system checks and every app's jobs."""
        from scheduling import checks  # noqa: F401  registers
        from scheduling.jobs import builtin, procedure  # noqa: F401  registers

        autodiscover_modules("jobs")
