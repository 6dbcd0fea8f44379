"""The words for what runs and schedules can be (DESIGN.md §5): statuses and causes of runs, policies, executors."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.utils.translation import gettext_lazy as _


class ShownChoices(models.TextChoices):
    """States that pages show by colour, icon and word; a member is its value, colour, icon and word."""

    colour: str
    """A word that the templates map to classes."""
    icon: str
    """The name of a Material Symbol."""

    # The defaults are for calls that find a member by its value alone.
    def __new__(cls, value: str, colour: str = "", icon: str = "") -> Self:
        """Make a member of its value, with colour and icon beside it."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.colour, member.icon = colour, icon
        return member


class RunStatus(ShownChoices):
    """Where a run stands, or how it ended."""

    #: It is committed and waits to be started; `wait_reason` and `not_before` say for what.
    QUEUED = "queued", "grey", "hourglass_empty", _("queued")
    #: A scheduler process has claimed it and executes it.
    RUNNING = "running", "blue", "play_circle", _("running")
    #: The job ended and did all of its work.
    SUCCEEDED = "succeeded", "green", "check_circle", _("succeeded")
    #: The job ended; a part of its work failed.
    PARTIAL = "partial", "amber", "rule", _("partial")
    #: The job raised an error, or could not be started.
    FAILED = "failed", "red", "error", _("failed")
    #: The job exceeded its time limit.
    TIMED_OUT = "timed_out", "red", "timer_off", _("timed out")
    #: A person ended it.
    CANCELLED = "cancelled", "grey", "cancel", _("cancelled")
    #: It was due while a run of the same schedule was still active.
    SKIPPED = "skipped", "grey", "skip_next", _("skipped")
    #: Its due times passed while nothing could run them; one row covers a range.
    MISSED = "missed", "amber", "event_busy", _("missed")
    #: The process that executed it died.
    LOST = "lost", "red", "link_off", _("lost")

    @classmethod
    def active(cls) -> list[RunStatus]:
        """Return the statuses of a run that has not ended."""
        return [cls.QUEUED, cls.RUNNING]

    @classmethod
    def final(cls) -> list[RunStatus]:
        """Return the statuses in which a run has ended."""
        return [status for status in cls if status not in cls.active()]

    @classmethod
    def good(cls) -> list[RunStatus]:
        """Return the statuses of a run that did its work, or part of it."""
        return [cls.SUCCEEDED, cls.PARTIAL]

    @classmethod
    def bad(cls) -> list[RunStatus]:
        """Return the statuses of a run that was to do its work and did not."""
        return [cls.FAILED, cls.TIMED_OUT, cls.LOST]


class Cause(models.TextChoices):
    """Why a run exists."""

    SCHEDULE = "schedule", _("schedule")
    MANUAL = "manual", _("by hand")
    API = "api", _("API")
    RETRY = "retry", _("retry")
    RECOVERY = "recovery", _("recovery")
    BACKFILL = "backfill", _("backfill")
    FOLLOW_UP = "follow_up", _("follow-up")


class ConcurrencyPolicy(models.TextChoices):
    """What becomes of a new run while one of the same schedule is active; the first three as in Kubernetes' CronJob."""

    #: Both run.
    ALLOW = "allow", _("allow: both run")
    #: The new one is skipped.
    FORBID = "forbid", _("forbid: the new one is skipped")
    #: The active one is cancelled; the new one starts when it has ended.
    REPLACE = "replace", _("replace: the active one is cancelled")
    #: The new one waits for those before it.
    QUEUE = "queue", _("queue: the new one waits")


class CatchUp(models.TextChoices):
    """Which of the due times found together are run; the others are one `missed` row."""

    #: The latest, if it lies within misfire_grace_time.
    SKIP = "skip", _("skip: the latest if it is not too late")
    #: The latest, however late.
    ONCE = "once", _("once: the latest, however late")
    #: The last N.
    EACH = "each", _("each: the last ones, at most so many")


class ExecutorAlias(models.TextChoices):
    """Where a run is executed."""

    #: A child process for each run: it can be stopped, and takes nothing with it when it crashes.
    PROCESSES = "processes", _("child process")
    #: A thread of the scheduler, for short and trusted jobs; it can only be asked to stop.
    THREADS = "threads", _("thread in the scheduler")
