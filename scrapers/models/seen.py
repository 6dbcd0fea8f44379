"""Where articles were seen, and which items of a source were looked at and not stored."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from scrapers.models.article import Article
from scrapers.models.source import Source

SEEN_AGAIN = timedelta(days=7)
"""That a source still carries a passed item, or the address of a deleted article, is noted no more often than this."""


class ArticleSource(models.Model):
    """That an article was seen in a source, and how the source names it."""

    article = models.ForeignKey(
        Article, verbose_name=_("article"), on_delete=models.CASCADE, related_name="article_sources"
    )
    source = models.ForeignKey(
        Source, verbose_name=_("source"), on_delete=models.CASCADE, related_name="article_sources"
    )
    url = models.TextField(_("address there"), blank=True, help_text=_("As the source names it, normalised."))
    guid = models.TextField(_("identifier"), blank=True, help_text=_("As the source gives it; may be empty."))
    guid_hash = models.CharField(max_length=64, blank=True, editable=False)
    item_key = models.CharField(
        max_length=64, editable=False, help_text=_("Hash of identifier and address, as the source gave them.")
    )
    address_hash = models.CharField(max_length=64, blank=True, editable=False)
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
            # The look-up of an identifier whose item has another address now.
            models.Index(fields=["source", "guid_hash"], condition=~Q(guid_hash=""), name="articlesource_guid"),
            # The look-up of an item whose identifier changes from poll to poll.
            models.Index(fields=["source", "address_hash"], name="articlesource_address"),
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
    address_hash = models.CharField(max_length=64, blank=True, editable=False)
    scope = models.CharField(_("query"), max_length=64, blank=True)
    item_updated_at = models.DateTimeField(_("updated, says the source"), null=True, blank=True)
    at = models.DateTimeField(
        _("looked at"), default=timezone.now, help_text=_("Or seen again in its source, by the week.")
    )
    buried_at = models.DateTimeField(
        _("deleted"), null=True, blank=True, help_text=_("When the article was deleted that it led to; it stays away.")
    )

    class Meta:
        verbose_name = _("passed item")
        verbose_name_plural = _("passed items")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["source", "item_key", "scope"], name="passeditem_unique"),
        ]
        indexes = [
            # The look-up of an item whose identifier changes from poll to poll.
            models.Index(fields=["source", "address_hash"], name="passeditem_address"),
            # What a source does not carry any more.
            models.Index(fields=["source", "at"], name="passeditem_at"),
        ]

    def __str__(self) -> str:
        return f"{self.item_key[:12]} in {self.source_id}"
