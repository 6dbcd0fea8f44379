"""How one source went in one run."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from scheduling.models.choices import ShownChoices
from scrapers.fetch.failures import FailureClass
from scrapers.models.source import Source


class ResultStatus(ShownChoices):
    """How a source went."""

    #: It was answered and its items were dealt with.
    OK = "ok", "green", "check_circle", _("ok")
    #: It says that nothing has changed since it was last asked.
    NOT_MODIFIED = "not_modified", "grey", "done_all", _("not modified")
    #: It could not be read, or none of its articles could.
    FAILED = "failed", "red", "error", _("failed")
    #: The run was asked to stop before it was done.
    CANCELLED = "cancelled", "grey", "cancel", _("cancelled")


_READ = (ResultStatus.OK, ResultStatus.NOT_MODIFIED)


class SourceResultQuerySet(models.QuerySet["SourceResult"]):
    """Conditions on results."""

    def failed(self) -> SourceResultQuerySet:
        """Keep the sources that failed."""
        return self.filter(status=ResultStatus.FAILED)

    def unread(self) -> SourceResultQuerySet:
        """Keep the sources that were not read: they failed, or the run was stopped."""
        return self.exclude(status__in=_READ)

    def succeeded(self) -> SourceResultQuerySet:
        """Keep the sources that were read, with or without something new."""
        return self.filter(status__in=_READ)


class SourceResult(models.Model):
    """One source in one run: how it ended, and what became of each of its items.

    Each item ends in exactly one of the counters in `COUNTERS`; `seen` is their sum.
    """

    COUNTERS: ClassVar[tuple[str, ...]] = (
        "new",
        "updated",
        "known",
        "duplicate",
        "too_old",
        "excluded",
        "excluded_by_pattern",
        "over_limit",
        "forbidden",
        "failed",
    )

    run = models.ForeignKey(
        "scheduling.Run", verbose_name=_("run"), on_delete=models.CASCADE, related_name="source_results"
    )
    source = models.ForeignKey(
        Source, verbose_name=_("source"), null=True, blank=True, on_delete=models.SET_NULL, related_name="results"
    )
    source_name = models.CharField(_("source name"), max_length=200, help_text=_("Kept when the source is deleted."))
    status = models.CharField(_("status"), max_length=12, choices=ResultStatus.choices)
    http_status = models.PositiveSmallIntegerField(_("HTTP"), null=True, blank=True)
    failure_class = models.CharField(_("failure"), max_length=20, blank=True, choices=FailureClass.choices)
    error = models.TextField(_("error"), blank=True)

    seen = models.PositiveIntegerField(_("found"), default=0)
    new = models.PositiveIntegerField(_("new"), default=0)
    updated = models.PositiveIntegerField(_("updated"), default=0)
    known = models.PositiveIntegerField(_("known"), default=0, help_text=_("Dealt with in an earlier run."))
    duplicate = models.PositiveIntegerField(
        _("duplicates"), default=0, help_text=_("The same story under another address or in another source.")
    )
    too_old = models.PositiveIntegerField(_("too old"), default=0, help_text=_("Older than the source's maximum age."))
    excluded = models.PositiveIntegerField(
        _("excluded by query"), default=0, help_text=_("Not what the query asks for.")
    )
    excluded_by_pattern = models.PositiveIntegerField(
        _("excluded by pattern"), default=0, help_text=_("Not what the source's patterns let through.")
    )
    over_limit = models.PositiveIntegerField(_("over the limit"), default=0, help_text=_("Left for a later run."))
    forbidden = models.PositiveIntegerField(_("forbidden by robots.txt"), default=0)
    failed = models.PositiveIntegerField(_("failed"), default=0)

    requests = models.PositiveIntegerField(_("requests"), default=0)
    bytes_received = models.PositiveBigIntegerField(_("bytes"), default=0)
    started_at = models.DateTimeField(_("started"), default=timezone.now)
    finished_at = models.DateTimeField(_("finished"), default=timezone.now)

    objects: ClassVar[SourceResultQuerySet] = SourceResultQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("result of a source")
        verbose_name_plural = _("results of sources")
        ordering = ["source_name", "id"]
        constraints = [
            # A run that starts again replaces its rows.
            models.UniqueConstraint(fields=["run", "source"], name="sourceresult_unique"),
            models.CheckConstraint(condition=Q(status__in=ResultStatus.values), name="sourceresult_status_legal"),
            models.CheckConstraint(
                condition=Q(failure_class="") | Q(failure_class__in=FailureClass.values),
                name="sourceresult_failure_class_legal",
            ),
            models.CheckConstraint(
                condition=~Q(status=ResultStatus.FAILED) | (~Q(failure_class="") & ~Q(error="")),
                name="sourceresult_failed_says_why",
            ),
            models.CheckConstraint(
                condition=Q(
                    seen=F("new")
                    + F("updated")
                    + F("known")
                    + F("duplicate")
                    + F("too_old")
                    + F("excluded")
                    + F("excluded_by_pattern")
                    + F("over_limit")
                    + F("forbidden")
                    + F("failed")
                ),
                name="sourceresult_counters_sum",
            ),
            models.CheckConstraint(condition=Q(finished_at__gte=F("started_at")), name="sourceresult_ends_after_start"),
        ]
        indexes = [
            # The history of one source.
            models.Index(fields=["source", "-started_at"], name="sourceresult_source"),
            # The list of failures, newest first.
            models.Index(fields=["status", "-started_at"], name="sourceresult_status"),
        ]

    def __str__(self) -> str:
        return f"{self.source_name}: {self.get_status_display()}"

    def sentence(self) -> str:
        """Return in words how it went: the error, or what became of the items."""
        if self.status == ResultStatus.FAILED:
            return self.error
        words = [self.counted(name) for name in ("seen", *self.COUNTERS) if getattr(self, name)]
        return f"{self.get_status_display()}" + (f" ({', '.join(words)})" if words else "")

    def counted(self, name: str) -> str:
        """Return a counter in words: "3 new"."""
        number: int = getattr(self, name)
        if name == "duplicate":
            return ngettext("%d duplicate", "%d duplicates", number) % number
        return f"{number} {self._meta.get_field(name).verbose_name}"  # type: ignore[union-attr]

    @property
    def look(self) -> ResultStatus:
        """Return the status as a member, with its colour and icon."""
        return ResultStatus(self.status)

    @property
    def left_out(self) -> int:
        """Return how many items were not wanted: by age, the query, a pattern, the limit or robots.txt."""
        return self.too_old + self.excluded + self.excluded_by_pattern + self.over_limit + self.forbidden

    @property
    def seconds(self) -> float:
        """Return how long it took, in seconds."""
        return self.duration.total_seconds()

    @property
    def duration(self) -> timedelta:
        """Return how long it took."""
        return self.finished_at - self.started_at
