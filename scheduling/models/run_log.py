"""The log lines of runs."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from scheduling.models.run import Run


class RunLogQuerySet(models.QuerySet["RunLog"]):
    """Conditions on log lines."""

    def at_least(self, level: int) -> RunLogQuerySet:
        """Keep the lines of this level (as in `logging`) and above."""
        return self.filter(level__gte=level)


class RunLog(models.Model):
    """One line that a job wrote while it ran."""

    class Level(models.IntegerChoices):
        """The levels of `logging`."""

        DEBUG = logging.DEBUG, _("debug")
        INFO = logging.INFO, _("info")
        WARNING = logging.WARNING, _("warning")
        ERROR = logging.ERROR, _("error")

        @classmethod
        def of(cls, level: int) -> int:
            """Return the highest of them that is not above any level of `logging` (`CRITICAL` is an error)."""
            return max((known for known in cls.values if known <= level), default=logging.DEBUG)

    run = models.ForeignKey(Run, verbose_name=_("run"), on_delete=models.CASCADE, related_name="log_lines")
    at = models.DateTimeField(_("time"))
    level = models.PositiveSmallIntegerField(_("level"), choices=Level.choices, default=Level.INFO)
    message = models.TextField(_("message"))

    objects = RunLogQuerySet.as_manager()

    class Meta:
        verbose_name = _("log line")
        verbose_name_plural = _("log lines")
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(level__in=[logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR]),
                name="runlog_level_legal",
            )
        ]
        # The log of one run, in order.
        indexes = [models.Index(fields=["run", "id"], name="runlog_run")]

    def __str__(self) -> str:
        return self.message

    @classmethod
    def lines(cls, run_id: int, entries: Iterable[tuple[datetime, int, str]]) -> list[RunLog]:
        """Return unsaved lines of a run from (time, level, message)."""
        return [cls(run_id=run_id, at=at, level=level, message=message) for at, level, message in entries]
