"""Articles: the stories themselves, each once, with the sources they were seen in."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from datetime import timezone as fixed
from typing import ClassVar

from django.db import connections, models
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from scrapers.models.source import Source


def url_hash(url: str) -> str:
    """Return the hash under which an address is unique; an index cannot hold addresses of any length."""
    return hashlib.sha256(url.encode()).hexdigest()


# A DISTINCT would read the index of all articles.
_LANGUAGES = """
    WITH RECURSIVE step(language) AS (
        SELECT MIN(language) FROM scrapers_article WHERE language > ''
        UNION ALL
        SELECT (SELECT MIN(language) FROM scrapers_article WHERE language > step.language)
        FROM step WHERE step.language IS NOT NULL
    )
    SELECT language FROM step WHERE language IS NOT NULL
"""


class ArticleQuerySet(models.QuerySet["Article"]):
    """Conditions on articles."""

    def seen_in(self, source: Source | int) -> ArticleQuerySet:
        """Keep those that were seen in a source."""
        return self.filter(pk__in=ArticleSource.objects.filter(source=source).values("article"))

    def tagged(self, tag: int) -> ArticleQuerySet:
        """Keep those that were seen in a source with this tag (a primary key)."""
        sources = Source.objects.tagged([tag]).values("pk")
        return self.filter(pk__in=ArticleSource.objects.filter(source__in=sources).values("article"))

    def languages(self) -> list[str]:
        """Return the languages of all articles, in order; it steps from one to the next in the index on language."""
        with connections[self.db].cursor() as cursor:
            cursor.execute(_LANGUAGES)
            return [language for (language,) in cursor.fetchall()]

    def with_url(self, url: str) -> ArticleQuerySet:
        """Keep the one with this normalised address."""
        return self.filter(url_hash=url_hash(url))

    def created_since(self, instant: datetime) -> ArticleQuerySet:
        """Keep those stored since an instant."""
        return self.filter(created_at__gte=instant)


class Article(models.Model):
    """One story, known by its canonical address."""

    url = models.TextField(_("address"))
    url_hash = models.CharField(max_length=64, unique=True, editable=False)
    title = models.TextField(_("title"))
    text = models.TextField(_("text"), blank=True)
    summary = models.TextField(_("summary"), blank=True)
    authors = models.JSONField(_("authors"), default=list, blank=True)
    published_at = models.DateTimeField(_("published"), null=True, blank=True)
    dated_at = models.GeneratedField(
        verbose_name=_("published, or else stored"),
        expression=Coalesce("published_at", "created_at"),
        output_field=models.DateTimeField(),
        db_persist=True,
        help_text=_("What lists are sorted by: one that names no date stands where it was found."),
    )
    published_offset = models.SmallIntegerField(
        _("zone of publication"),
        null=True,
        blank=True,
        help_text=_("Minutes east of UTC, as the outlet wrote it; empty when it named no zone."),
    )
    language = models.CharField(_("language"), max_length=20, blank=True)
    image_url = models.TextField(_("image"), blank=True)
    word_count = models.PositiveIntegerField(_("words"), default=0)
    content_hash = models.CharField(max_length=64, blank=True, editable=False)
    fetched_at = models.DateTimeField(_("fetched"), default=timezone.now)
    created_at = models.DateTimeField(_("stored"), default=timezone.now)
    updated_at = models.DateTimeField(_("last changed"), default=timezone.now)
    first_run = models.ForeignKey(
        "scheduling.Run",
        verbose_name=_("found by run"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="articles",
    )
    sources: models.ManyToManyField[Source, ArticleSource] = models.ManyToManyField(
        Source, verbose_name=_("sources"), through="scrapers.ArticleSource", related_name="articles"
    )

    objects: ClassVar[ArticleQuerySet] = ArticleQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("article")
        verbose_name_plural = _("articles")
        ordering = ["-dated_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(url__startswith="http://") | Q(url__startswith="https://"), name="article_url_http"
            ),
            models.CheckConstraint(condition=~Q(url_hash=""), name="article_url_hash_not_empty"),
            models.CheckConstraint(condition=~Q(title=""), name="article_title_not_empty"),
            models.CheckConstraint(
                condition=Q(published_offset__isnull=True)
                | Q(published_offset__gte=-1439, published_offset__lte=1439, published_at__isnull=False),
                name="article_offset_legal",
            ),
        ]
        indexes = [
            # The list of articles, newest first.
            models.Index(fields=["-dated_at", "-id"], name="article_newest"),
            # The list sorted by when they were stored; new articles an hour on the dashboard.
            models.Index(fields=["-created_at"], name="article_stored"),
            # The list filtered by language.
            models.Index(fields=["language", "-dated_at"], name="article_language_newest"),
            # The search for the same content under another address.
            models.Index(fields=["content_hash"], condition=~Q(content_hash=""), name="article_content"),
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        """Return the address of the original."""
        return self.url

    @property
    def paragraphs(self) -> list[str]:
        """Return the paragraphs of the text, or of the summary where there is no text."""
        return [line.strip() for line in (self.text or self.summary).splitlines() if line.strip()]

    @property
    def image_link(self) -> str:
        """Return the address of the image if it is one that a page may link to, else an empty text."""
        return self.image_url if self.image_url.startswith(("https://", "http://")) else ""

    @property
    def published_local(self) -> datetime | None:
        """Return when it was published, in the zone that the outlet wrote it in (UTC when it named none)."""
        if self.published_at is None:
            return None
        return self.published_at.astimezone(fixed(timedelta(minutes=self.published_offset or 0)))


class ArticleSource(models.Model):
    """That an article was seen in a source, and how the source names it."""

    article = models.ForeignKey(
        Article, verbose_name=_("article"), on_delete=models.CASCADE, related_name="article_sources"
    )
    source = models.ForeignKey(
        Source, verbose_name=_("source"), on_delete=models.CASCADE, related_name="article_sources"
    )
    guid = models.TextField(_("identifier"), blank=True, help_text=_("As the source gives it; may be empty."))
    item_key = models.CharField(
        max_length=64, editable=False, help_text=_("Hash of identifier and address, as the source gave them.")
    )
    item_updated_at = models.DateTimeField(_("updated, says the source"), null=True, blank=True)
    first_seen_at = models.DateTimeField(_("first seen"), default=timezone.now)

    class Meta:
        verbose_name = _("article in a source")
        verbose_name_plural = _("articles in sources")
        ordering = ["-first_seen_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["article", "source"], name="articlesource_unique")]
        indexes = [
            # The look-up of what of a feed is known.
            models.Index(fields=["source", "item_key"], name="articlesource_item"),
            # A source's articles, newest first.
            models.Index(fields=["source", "-first_seen_at"], name="articlesource_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.article_id} in {self.source_id}"


class PassedItem(models.Model):
    """An item of a source that was looked at and not stored, so that its page is not fetched again for nothing.

    `scope` is the query under which it was passed over; empty where that holds for any query.
    """

    source = models.ForeignKey(Source, verbose_name=_("source"), on_delete=models.CASCADE, related_name="passed_items")
    item_key = models.CharField(max_length=64)
    scope = models.CharField(_("query"), max_length=64, blank=True)
    item_updated_at = models.DateTimeField(_("updated, says the source"), null=True, blank=True)
    at = models.DateTimeField(_("looked at"), default=timezone.now)

    class Meta:
        verbose_name = _("passed item")
        verbose_name_plural = _("passed items")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["source", "item_key", "scope"], name="passeditem_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.item_key[:12]} in {self.source_id}"
