"""Topics: queries that are kept, and the articles that they have marked."""

from __future__ import annotations

from typing import ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from scrapers import query as queries
from scrapers.models.article import Article


def validate_query(value: str) -> None:
    """Accept a query that can be understood; raises `ValidationError` with what is wrong."""
    try:
        queries.parse(value)
    except queries.QueryError as error:
        raise ValidationError(str(error)) from error


class TopicQuerySet(models.QuerySet["Topic"]):
    """Conditions on topics."""

    def enabled(self) -> TopicQuerySet:
        """Keep those that mark what comes in."""
        return self.filter(enabled=True)


class Topic(models.Model):
    """A saved query that marks the articles it matches, as they come in and among those that are stored."""

    name = models.CharField(_("name"), max_length=200, unique=True)
    query = models.CharField(
        _("query"),
        max_length=500,
        validators=[validate_query],
        help_text=_("Words, “a phrase” in quotation marks, -not, OR, title:, source:, lang:."),
    )
    enabled = models.BooleanField(_("enabled"), default=True, help_text=_("Off: it marks nothing that comes in."))
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    articles: models.ManyToManyField[Article, TopicMatch] = models.ManyToManyField(
        Article, verbose_name=_("articles"), through="scrapers.TopicMatch", related_name="topics"
    )

    objects: ClassVar[TopicQuerySet] = TopicQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("topic")
        verbose_name_plural = _("topics")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="topic_name_not_empty"),
            models.CheckConstraint(condition=~Q(query=""), name="topic_query_not_empty"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def parsed(self) -> queries.Query:
        """Return the query as it is matched; raises `QueryError`."""
        return queries.parse(self.query)


class TopicMatch(models.Model):
    """That an article matches a topic."""

    topic = models.ForeignKey(Topic, verbose_name=_("topic"), on_delete=models.CASCADE, related_name="topic_matches")
    article = models.ForeignKey(
        Article, verbose_name=_("article"), on_delete=models.CASCADE, related_name="topic_matches"
    )
    at = models.DateTimeField(_("marked"), default=timezone.now)

    class Meta:
        verbose_name = _("article of a topic")
        verbose_name_plural = _("articles of topics")
        constraints = [models.UniqueConstraint(fields=["topic", "article"], name="topicmatch_unique")]

    def __str__(self) -> str:
        return f"{self.article_id} in {self.topic_id}"
