"""The scrapers app: sources, polite fetching, articles."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class ScrapersConfig(AppConfig):
    """Collecting; `scheduling` finds its jobs in `scrapers/jobs.py`."""

    name = "scrapers"
    verbose_name = _("Collecting")

    def ready(self) -> None:
        """Register the system checks, and the scrapers that apps bring in their `scrapers.py`."""
        from scrapers import checks  # noqa: F401  registers

        autodiscover_modules("scrapers")
