"""`manage.py rotate_secrets`: encrypt all stored secrets by the first key of NEWSS_SECRETS_KEY."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from scrapers import secrets
from scrapers.models import SettingsLevel, Source


class Command(BaseCommand):
    """Encrypt all stored secrets anew; afterwards the other keys can be dropped."""

    help = "Encrypt the stored passwords, tokens and cookies by the first key of NEWSS_SECRETS_KEY."

    def handle(self, *args: Any, **options: Any) -> None:
        """Rewrite what is stored, all of it or, where a key is missing, nothing."""
        try:
            with transaction.atomic():
                sources = sum(
                    self._source(source)
                    for source in Source.objects.select_for_update().exclude(settings={}, options={})
                )
                levels = sum(self._level(level) for level in SettingsLevel.objects.select_for_update())
        except secrets.SecretError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{sources} sources and {levels} inherited settings rewritten.")

    def _source(self, source: Source) -> bool:
        values = {name: secrets.all_rotated(getattr(source, name)) for name in ("settings", "options")}
        changed = any(values[name] != getattr(source, name) for name in values)
        return bool(changed and Source.objects.filter(pk=source.pk).update(**values))

    def _level(self, level: SettingsLevel) -> bool:
        values = secrets.all_rotated(level.values)
        return bool(values != level.values and SettingsLevel.objects.filter(pk=level.pk).update(values=values))
