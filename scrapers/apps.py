"""The scrapers app: sources, polite fetching, articles."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ScrapersConfig(AppConfig):
    """Collecting; `scheduling` finds its jobs in `scrapers/jobs.py`."""

    name = "scrapers"
    verbose_name = _("Collecting")

    def ready(self) -> None:
        """Register the system checks."""
        from scrapers import checks  # noqa: F401  registers
