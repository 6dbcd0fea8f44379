"""Topics: saved queries, and how many articles each has marked."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.forms import ModelForm
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from scrapers import topics
from scrapers.admin import show
from scrapers.admin.base import NewsAdmin
from scrapers.models import Topic, TopicMatch


@admin.register(Topic)
class TopicAdmin(NewsAdmin):
    """Topics."""

    list_display = ("name", "query", "enabled", "marked")
    list_filter = ("enabled",)
    search_fields = ("name", "query")
    list_per_page = 50
    fields = ("name", "query", "enabled")
    empty_title = _("No topic yet")
    empty_text = _("A topic is a query that is kept: it marks the articles that match, also those that come later.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Topic]:
        """Count the articles of each topic along."""
        matches = TopicMatch.objects.filter(topic=OuterRef("pk")).order_by().values("topic")
        count = Subquery(matches.annotate(count=Count("pk")).values("count"), output_field=IntegerField())
        found: QuerySet[Topic] = super().get_queryset(request)
        return found.annotate(count=Coalesce(count, 0))

    @admin.display(description=_("Articles"), ordering="count")
    def marked(self, topic: Topic) -> SafeString:
        """Return how many articles it has marked, leading to their list."""
        return show.link(
            f"{reverse('admin:scrapers_article_changelist')}?topic={topic.pk}",
            topic.count,  # type: ignore[attr-defined]
        )

    def save_model(self, request: HttpRequest, obj: Topic, form: ModelForm[Any], change: bool) -> None:
        """Save, and mark what is stored."""
        super().save_model(request, obj, form, change)
        if not change or "query" in form.changed_data:
            count = topics.apply(obj)
            words = ngettext("%(number)d article matches.", "%(number)d articles match.", count)
            self.message_user(request, words % {"number": count}, messages.INFO)
