"""The admin of tags."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from scheduling.admin.base import ListedAdmin
from scheduling.models import Tag


@admin.register(Tag)
class TagAdmin(ListedAdmin):
    """Tags of schedules and sources."""

    list_display = ("name", "schedule_count")
    search_fields = ("name",)
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tag]:
        """Return the tags with the number of schedules that carry them."""
        tags: QuerySet[Tag] = super().get_queryset(request)
        return tags.annotate(schedule_count=Count("schedules"))

    @admin.display(description=_("Schedules"), ordering="schedule_count")
    def schedule_count(self, tag: Any) -> int:
        """Return how many schedules carry the tag."""
        return int(tag.schedule_count)
