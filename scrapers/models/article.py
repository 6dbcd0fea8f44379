"""Articles: the stories themselves, each once, with the sources they were seen in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from datetime import timezone as fixed
from typing import TYPE_CHECKING, Any, ClassVar

from django.db import DEFAULT_DB_ALIAS, connections, models, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from scrapers import search
from scrapers.models.source import Source, SourceQuerySet

if TYPE_CHECKING:
    from scrapers.models.seen import ArticleSource
    from scrapers.query import Query


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
        return self.filter(pk__in=self._links().filter(source=source).values("article"))

    def seen_in_any(self, sources: SourceQuerySet) -> ArticleQuerySet:
        """Keep those that were seen in at least one of these sources."""
        return self.filter(pk__in=self._links().filter(source__in=sources.order_by().values("pk")).values("article"))

    def tagged(self, tag: int) -> ArticleQuerySet:
        """Keep those that were seen in a source with this tag (a primary key)."""
        return self.seen_in_any(Source.objects.tagged([tag]))

    def originals(self) -> ArticleQuerySet:
        """Keep those that are no copy of another: a list of them has copies folded under the first."""
        return self.filter(duplicate_of=None)

    def in_topic(self, topic: int) -> ArticleQuerySet:
        """Keep those that a topic (a primary key) has marked."""
        return self.filter(topic_matches__topic=topic)

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

    def update(self, **values: Any) -> int:
        """Update rows, which those who copy on are then told of (`scrapers.following`).

        Whoever changes title, summary or text this way calls `search.index` too.
        """
        return super().update(**{"change": None, **values})

    def note_change(self) -> int:
        """Let those who copy on be told of these again: their sources changed, which are exported with them."""
        # Those that have no number are told of anyway.
        return self.exclude(change=None).update()

    @transaction.atomic
    def bulk_create(self, objs: Iterable[Article], *args: Any, **kwargs: Any) -> list[Article]:
        """Store articles, and what search finds them by."""
        made = super().bulk_create(objs, *args, **kwargs)
        search.index(made, self.db)
        return made

    def search(self, query: Query, *, rank: bool = False) -> ArticleQuerySet:
        """Keep those that a query asks for; with `rank` the best first, each with its `rank`."""
        return search.ranked(self, query) if rank else search.matching(self, query)

    @transaction.atomic
    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete the articles for good: each leaves a tombstone, so that collecting does not bring it back."""
        from scrapers.models.history import Tombstone

        Tombstone.objects.bury(self)
        return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]

    def _links(self) -> models.QuerySet[Any]:
        from scrapers.models.seen import ArticleSource

        return ArticleSource.objects.using(self.db)


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
    modified_at = models.DateTimeField(
        _("modified"), null=True, blank=True, help_text=_("When the outlet says that it last changed the story.")
    )
    modified_offset = models.SmallIntegerField(
        _("zone of modification"),
        null=True,
        blank=True,
        help_text=_("Minutes east of UTC, as the outlet wrote it; empty when it named no zone."),
    )
    section = models.TextField(_("section"), blank=True)
    keywords = models.JSONField(_("keywords"), default=list, blank=True)
    site_name = models.TextField(_("site"), blank=True, help_text=_("As the page names it."))
    language = models.CharField(_("language"), max_length=20, blank=True)
    image_url = models.TextField(_("image"), blank=True)
    word_count = models.PositiveIntegerField(_("words"), default=0)
    methods = models.JSONField(
        _("methods"),
        default=dict,
        blank=True,
        help_text=_("Where each field was found: in the source, or how in the page."),
    )
    content_hash = models.CharField(max_length=64, blank=True, editable=False)
    title_hash = models.CharField(max_length=64, blank=True, editable=False)
    duplicate_of = models.ForeignKey(
        "self",
        verbose_name=_("copy of"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="copies",
        help_text=_("The first article with nearly the same text."),
    )
    change = models.BigIntegerField(
        null=True,
        blank=True,
        editable=False,
        help_text=_("The number of its last change, for those who copy on; empty until somebody asks."),
    )
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
            models.CheckConstraint(
                condition=Q(modified_offset__isnull=True)
                | Q(modified_offset__gte=-1439, modified_offset__lte=1439, modified_at__isnull=False),
                name="article_modified_offset_legal",
            ),
            models.CheckConstraint(condition=~Q(duplicate_of=F("id")), name="article_no_copy_of_itself"),
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
            # The search for the same title in the same source.
            models.Index(fields=["title_hash"], condition=~Q(title_hash=""), name="article_title"),
            # The changes since the last one that somebody has; those that have no number yet.
            models.Index(fields=["change", "id"], name="article_change"),
            models.Index(fields=["id"], condition=Q(change__isnull=True), name="article_unnumbered"),
        ]

    def __str__(self) -> str:
        return self.title

    @transaction.atomic
    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the article, and what search finds it by."""
        self.change = None
        super().save(*args, **kwargs)
        search.index([self], self._state.db or DEFAULT_DB_ALIAS)

    def get_absolute_url(self) -> str:
        """Return the address of the original."""
        return self.url

    @transaction.atomic
    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete the article for good: it leaves a tombstone, so that collecting does not bring it back."""
        from scrapers.models.history import Tombstone

        Tombstone.objects.bury(Article.objects.filter(pk=self.pk))
        return super().delete(*args, **kwargs)

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
        return _local(self.published_at, self.published_offset)

    @property
    def modified_local(self) -> datetime | None:
        """Return when the outlet last changed it, in the zone that it wrote it in (UTC when it named none)."""
        return _local(self.modified_at, self.modified_offset)


def _local(instant: datetime | None, offset: int | None) -> datetime | None:
    return instant and instant.astimezone(fixed(timedelta(minutes=offset or 0)))
