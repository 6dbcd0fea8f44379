"""The composing app: it only owns templates, static files and commands that need both other apps."""

from django.apps import AppConfig


class NewssProjectConfig(AppConfig):
    """Compose `scheduling` and `scrapers`."""

    name = "newss_project"
    verbose_name = "NEWSS"
