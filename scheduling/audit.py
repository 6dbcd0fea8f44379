"""Who did what: the steps that a person takes past a form, noted where Django's admin notes its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def note(by: User | None, changed: models.Model, message: str) -> None:
    """Note a step in the history of the changed row, in its transaction; the engine's own steps are not noted."""
    from django.contrib.admin.models import CHANGE, LogEntry

    if by is not None:
        LogEntry.objects.log_actions(by.pk, [changed], action_flag=CHANGE, change_message=message, single_object=True)
