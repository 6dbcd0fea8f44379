"""Topics: saved queries, and how many articles each has marked."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from scheduling.admin.versions import HistoryMixin
from scrapers import topics
from scrapers.admin import show
from scrapers.admin.article import export_links
from scrapers.admin.base import NewsAdmin
from scrapers.models import Article, Topic, TopicMatch

SHOWN = 10
"""The newest articles that the page of a topic shows."""


@admin.register(Topic)
class TopicAdmin(HistoryMixin, NewsAdmin):
    """Topics."""

    list_display = ("name", "query", "enabled", "marked")
    card_columns = ("name", "query")
    list_filter = ("enabled",)
    search_fields = ("name", "query")
    list_per_page = 50
    fields = ("name", "query", "enabled")
    change_form_template = "admin/scrapers/change_form.html"
    change_form_outer_before_template = "scrapers/admin/topic_before.html"
    change_form_outer_after_template = "scrapers/admin/topic_after.html"
    history_fields = ("name", "query", "enabled")
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

    def get_urls(self) -> list[URLPattern]:
        """Add the address that shows what a query finds before it is kept."""
        view = self.admin_site.admin_view(self.preview_view)
        return [path("preview/", view, name="scrapers_topic_preview"), *super().get_urls()]

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """Go to the articles that the query of the form finds now; their list says what is wrong with it."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        query = urlencode({"q": request.POST.get("query", "")})
        return HttpResponseRedirect(f"{reverse('admin:scrapers_article_changelist')}?{query}")

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show the newest articles of a topic under its form."""
        topic = self.get_object(request, object_id) if object_id else None
        shown: dict[str, Any] = {"may_see": request.user.has_perm("scrapers.view_article")}
        if topic and shown["may_see"]:
            articles = Article.objects.in_topic(topic.pk).order_by("-dated_at", "-id").defer("text")
            shown |= {
                "topic": topic,
                "articles": articles[:SHOWN],
                "exports": export_links(urlencode({"topic": topic.pk})),
            }
        return super().changeform_view(request, object_id, form_url, {**shown, **(extra_context or {})})

    def save_model(self, request: HttpRequest, obj: Topic, form: ModelForm[Any], change: bool) -> None:
        """Save, and mark what is stored."""
        super().save_model(request, obj, form, change)
        if not change or "query" in form.changed_data:
            count = topics.apply(obj)
            words = ngettext("%(number)d article matches.", "%(number)d articles match.", count)
            self.message_user(request, words % {"number": count}, messages.INFO)
