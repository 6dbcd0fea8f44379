"""The job that deletes old articles; each leaves a tombstone, so that no feed that still lists it brings it back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from scheduling.jobs import JobForm, JobResult, RunContext, job
from scrapers.models import Article

JOB = "remove_old_articles"
BATCH = 500
"""Articles that one transaction deletes."""


class RetentionForm(JobForm):
    """What is old."""

    days = forms.IntegerField(
        min_value=1,
        max_value=36_500,
        label=_("Days"),
        help_text=_("Articles published (or, without a date, stored) longer ago are deleted for good."),
    )
    keep_topics = forms.BooleanField(
        required=False,
        initial=True,
        label=_("Keep topics"),
        help_text=_("Keep what a topic has marked, however old."),
    )


def describe(parameters: dict[str, Any]) -> str:
    """Return in words what would be deleted."""
    days = parameters.get("days") or 0
    words = ngettext("articles older than %d day", "articles older than %d days", days) % days
    return words + (_t(", except those of topics") if parameters.get("keep_topics") else "")


@job(JOB, label=_("Delete old articles"), form=RetentionForm, describe=describe)
def remove_old_articles(context: RunContext, days: int, keep_topics: bool = True) -> JobResult:
    """Delete the articles that are older than some days, the oldest first, a batch at a time."""
    old = Article.objects.filter(dated_at__lt=timezone.now() - timedelta(days=days)).order_by("dated_at", "id")
    if keep_topics:
        old = old.filter(topic_matches=None)
    removed = 0
    while not context.cancelled and (keys := list(old.values_list("pk", flat=True)[:BATCH])):
        Article.objects.filter(pk__in=keys).delete()
        removed += len(keys)
        context.count(deleted=removed)
    words = ngettext("%d article deleted.", "%d articles deleted.", removed) % removed
    return JobResult(words, summary={"deleted": removed})
