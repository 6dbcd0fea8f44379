"""What was, and what is kept beside an article: earlier texts, its page, tombstones, traces of wording."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from scrapers.models.article import Article

if TYPE_CHECKING:
    from scrapers.models.article import ArticleQuerySet

BURIED_AT_ONCE = 500
"""Articles that are read at once to be buried."""


class ArticleVersion(models.Model):
    """What a story said before it changed; the newest stands in the article itself."""

    article = models.ForeignKey(Article, verbose_name=_("article"), on_delete=models.CASCADE, related_name="versions")
    title = models.TextField(_("title"))
    text = models.TextField(_("text"), blank=True)
    summary = models.TextField(_("summary"), blank=True)
    authors = models.JSONField(_("authors"), default=list, blank=True)
    word_count = models.PositiveIntegerField(_("words"), default=0)
    stored_at = models.DateTimeField(_("stored"), help_text=_("Since when it stood in the article."))
    replaced_at = models.DateTimeField(_("replaced"), default=timezone.now)
    replaced_by = models.ForeignKey(
        "scheduling.Run",
        verbose_name=_("replaced by run"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )

    class Meta:
        verbose_name = _("earlier version")
        verbose_name_plural = _("earlier versions")
        ordering = ["-replaced_at", "-id"]
        indexes = [
            # What is no longer kept.
            models.Index(fields=["replaced_at"], name="articleversion_replaced"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def paragraphs(self) -> list[str]:
        """Return the paragraphs of the text, or of the summary where there is no text."""
        return [line.strip() for line in (self.text or self.summary).splitlines() if line.strip()]


class ArticlePage(models.Model):
    """The page of an article as it came, compressed; kept where the source says so."""

    article = models.OneToOneField(Article, verbose_name=_("article"), on_delete=models.CASCADE, related_name="page")
    body = models.BinaryField(_("body"), help_text=_("Compressed by gzip."))
    content_type = models.TextField(_("content type"), blank=True)
    fetched_at = models.DateTimeField(_("fetched"), default=timezone.now)

    class Meta:
        verbose_name = _("page as it came")
        verbose_name_plural = _("pages as they came")

    def __str__(self) -> str:
        return f"{self.article_id}"

    @staticmethod
    def compress(body: bytes) -> bytes:
        """Return what is stored of a body; the same for the same body."""
        return gzip.compress(body, mtime=0)

    @property
    def html(self) -> bytes:
        """Return the body as it came."""
        return gzip.decompress(bytes(self.body))


class TombstoneQuerySet(models.QuerySet["Tombstone"]):
    """What is done with tombstones."""

    def bury(self, articles: ArticleQuerySet) -> None:
        """Note that these articles are about to be deleted, and pass over the items that lead to them."""
        from scrapers.models.seen import ArticleSource, PassedItem

        now = timezone.now()
        rows = articles.order_by().values_list("pk", "url_hash")
        links = ArticleSource.objects.filter(article__in=articles.order_by().values("pk"))
        self.bulk_create(
            (Tombstone(article_id=key, url_hash=url, seen_at=now) for key, url in rows.iterator(BURIED_AT_ONCE)),
            batch_size=BURIED_AT_ONCE,
            ignore_conflicts=True,
        )
        items = links.values_list("source_id", "item_key", "address_hash", "item_updated_at")
        PassedItem.objects.bulk_create(
            (
                PassedItem(
                    source_id=source, item_key=item, address_hash=address, item_updated_at=updated, buried_at=now
                )
                for source, item, address, updated in items.iterator(BURIED_AT_ONCE)
            ),
            batch_size=BURIED_AT_ONCE,
            update_conflicts=True,
            unique_fields=["source", "item_key", "scope"],
            update_fields=["buried_at"],
        )


class Tombstone(models.Model):
    """That an article was deleted and must not come back.

    It keeps no more of the article than the hash of its address and its number, which those who copy on know it by.
    """

    url_hash = models.CharField(_("hash of the address"), max_length=64, unique=True)
    article_id = models.BigIntegerField(_("number of the article"))
    deleted_at = models.DateTimeField(_("deleted"), default=timezone.now)
    seen_at = models.DateTimeField(
        _("last seen in a source"),
        null=True,
        editable=False,
        help_text=_("By the week. Empty: deleted before this was noted; such a row stays."),
    )
    change = models.BigIntegerField(null=True, blank=True, editable=False)

    objects: ClassVar[TombstoneQuerySet] = TombstoneQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("deleted article")
        verbose_name_plural = _("deleted articles")
        ordering = ["-deleted_at", "-id"]
        indexes = [
            # The changes since the last one that somebody has.
            models.Index(fields=["change", "id"], name="tombstone_change"),
        ]

    def __str__(self) -> str:
        return f"{self.article_id}"


class ArticleBand(models.Model):
    """A trace of an article's wording: articles that share one may be copies of each other (`scrapers.dedupe`).

    Kept for as long as copies are looked for, so that the table does not grow with the archive.
    """

    article = models.ForeignKey(Article, verbose_name=_("article"), on_delete=models.CASCADE, related_name="bands")
    value = models.BigIntegerField(_("hash"))
    at = models.DateTimeField(_("stored"), default=timezone.now)

    class Meta:
        verbose_name = _("trace of wording")
        verbose_name_plural = _("traces of wording")
        indexes = [
            # The search for candidates, newest first.
            models.Index(fields=["value", "-at"], name="articleband_value"),
            # What is too old to be looked for.
            models.Index(fields=["at"], name="articleband_at"),
        ]

    def __str__(self) -> str:
        return f"{self.article_id}: {self.value}"


class ChangeCounter(models.Model):
    """The last number that was given to a change; one row, whose lock makes the giving one after another."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    last = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = _("counter of changes")
        verbose_name_plural = _("counter of changes")
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="changecounter_one_row")]

    def __str__(self) -> str:
        return str(self.last)
