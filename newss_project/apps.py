"""The composing app: it only owns templates, static files and commands that need both other apps."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class NewssProjectConfig(AppConfig):
    """Compose `scheduling` and `scrapers`."""

    name = "newss_project"
    verbose_name = "NEWSS"

    def ready(self) -> None:
        """Make the groups of users after each migration."""
        from newss_project.groups import make_groups

        post_migrate.connect(make_groups, dispatch_uid="newss_project.groups")
