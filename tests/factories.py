"""Makers of rows for tests; every argument overrides a sane default."""

from __future__ import annotations

import itertools
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from scheduling.models import Cause, Run, Schedule, TriggerKind

_numbers = itertools.count(1)


def schedule(**values: Any) -> Schedule:
    """Return a saved schedule: every minute, a job that does nothing."""
    made = schedule_values(**values)
    made.save()
    return made


def schedule_values(**values: Any) -> Schedule:
    """Return such a schedule unsaved."""
    return Schedule(
        **{
            "name": f"Schedule {next(_numbers)}",
            "job": "noop",
            "trigger_kind": TriggerKind.INTERVAL,
            "interval_seconds": 60,
            **values,
        }
    )


def run(**values: Any) -> Run:
    """Return a saved run, queued by hand."""
    return Run.objects.create(**{"job": "noop", "executor": "threads", "cause": Cause.MANUAL, **values})


def user(*permissions: str, **values: Any) -> User:
    """Return a saved staff user with permissions given as `app_label.codename`."""
    from django.contrib.auth.models import Permission

    made = User.objects.create_user(**{"username": f"user{next(_numbers)}", "is_staff": True, **values})
    for permission in permissions:
        app, code = permission.split(".")
        made.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=code))
    return made


def running(**values: Any) -> Run:
    """Return a saved run that is being executed under the claim token `token`."""
    return run(**{"status": "running", "claim_token": "token", "started_at": timezone.now(), **values})
