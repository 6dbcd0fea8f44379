"""The groups that every installation begins with, from looking only to everything; made after the migrations.

A group that exists already is left as it is: what an administrator gave or took away stays so.
"""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models import Q

APPS = ("scheduling", "scrapers")
"""Whose rows the groups are about."""

VIEW = Q(content_type__app_label__in=APPS, codename__startswith="view_")
RUN = Q(
    content_type__app_label="scheduling",
    codename__in=[
        "run_schedule",
        "start_run",
        "cancel_run",
        "pause_schedule",
        "add_backfill",
        "cancel_backfill",
        "change_run",
    ],
)
EDIT = Q(
    content_type__app_label="scheduling",
    content_type__model__in=["schedule", "followup", "tag"],
    codename__regex="^(add|change|delete)_",
) | Q(
    content_type__app_label="scrapers",
    content_type__model__in=["source", "topic", "settingslevel"],
    codename__regex="^(add|change|delete)_",
)
ALL = Q(content_type__app_label__in=[*APPS, "django_apscheduler"]) | Q(
    content_type__app_label="auth", content_type__model__in=["user", "group"]
)

GROUPS: dict[str, Q] = {
    "Viewer": VIEW,
    "Operator": VIEW | RUN,
    "Editor": VIEW | RUN | EDIT,
    "Administrator": ALL,
}
"""Name of each group and what it may do. Names are stored, so they are not translated."""


def make_groups(sender: AppConfig, using: str, **kwargs: Any) -> None:
    """Make the groups that are missing, once the last of `APPS` has its permissions (a `post_migrate` receiver)."""
    if sender.label != APPS[-1]:
        return
    from django.contrib.auth.models import Group, Permission

    for name, condition in GROUPS.items():
        group, created = Group.objects.using(using).get_or_create(name=name)
        if created:
            group.permissions.set(Permission.objects.using(using).filter(condition))
