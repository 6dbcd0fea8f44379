"""Examinations of the scheduler processes, their lock and clock, and of the runs in their hands."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Count, Max
from django.utils import timezone
from django.utils.translation import gettext as _

from scheduling import conf, leader
from scheduling.doctor.findings import Finding, error, examination, warning
from scheduling.models import ExecutorAlias, Hold, Run, SchedulerInstance

CLOCK_TOLERANCE = timedelta(seconds=2)
"""How far two clocks may be apart."""
QUEUED_TOO_LONG = timedelta(minutes=10)
"""How long a run may wait for a free place before somebody should look."""
RUNS_TOO_LONG = timedelta(days=1)
"""How long a run without a time limit may run before somebody should look."""
START = "python manage.py runapscheduler"


@examination
def leading(now: datetime) -> Iterator[Finding]:
    """Find that no scheduler process leads, or that the one that says so is silent or does not hold the lock."""
    active = SchedulerInstance.objects.active().first()
    if active is None:
        standing = SchedulerInstance.objects.beating(now).count()
        if standing:
            yield error(
                "doctor.E020",
                _("No scheduler process leads, though %(count)d stand by: nothing is fired.") % {"count": standing},
                _("Look at their notes below or in the admin, and into their log."),
            )
        else:
            yield error("doctor.E021", _("No scheduler process runs: nothing is fired."), START)
    elif not active.is_beating(now):
        yield error(
            "doctor.E022",
            _("The leading scheduler process %(process)s has been silent since %(since)s.")
            % {"process": active, "since": active.heartbeat_at.isoformat(timespec="seconds")},
            _("It has died, sleeps, or cannot reach the database: look at it. Start another: %(command)s")
            % {"command": START},
        )
    elif not leader.lock_is_taken():
        yield error(
            "doctor.E023",
            _("%(process)s says that it leads, but nobody holds the leader lock.") % {"process": active},
            _("Restart it: %(command)s") % {"command": START},
        )


@examination
def notes(now: datetime) -> Iterator[Finding]:
    """Find living processes that have something to say."""
    for process in SchedulerInstance.objects.beating(now).exclude(note=""):
        yield warning("doctor.W024", f"{process}: {process.note}", _("See what it says."))


@examination
def clocks(now: datetime) -> Iterator[Finding]:
    """Find that this machine's clock, the database server's and the schedulers' differ, or that one was set back."""
    server = leader.server_time()
    apart = abs(server - timezone.now())
    if apart > CLOCK_TOLERANCE:
        yield error(
            "doctor.E025",
            _("This machine's clock and the database server's are %(seconds).1f s apart.")
            % {"seconds": apart.total_seconds()},
            _("Let both keep time by NTP; due times are judged by the scheduler's clock."),
        )
    ahead = SchedulerInstance.objects.filter(heartbeat_at__gt=now + CLOCK_TOLERANCE).first()
    if ahead is not None:
        yield error(
            "doctor.E026",
            _("The last heartbeat of %(process)s lies in the future: %(at)s.")
            % {"process": ahead, "at": ahead.heartbeat_at.isoformat(timespec="seconds")},
            _("A clock was set back, or that host's clock is ahead: let all hosts keep time by NTP."),
        )
    newest = Run.objects.aggregate(at=Max("queued_at"))["at"]
    if newest is not None and newest > now + CLOCK_TOLERANCE:
        yield warning(
            "doctor.W027",
            _("The newest run was queued in the future, at %(at)s: the clock was set back.")
            % {"at": newest.isoformat(timespec="seconds")},
            _("Nothing that was run is run again; due times count on once the clock has reached them."),
        )


@examination
def held(now: datetime) -> Iterator[Finding]:
    """Find that everything is held."""
    for hold in Hold.objects.filter(is_open=True).select_related("held_by"):
        yield warning(
            "doctor.W028",
            _("Everything is held since %(since)s by %(who)s: %(reason)s")
            % {
                "since": hold.started_at.isoformat(timespec="seconds"),
                "who": hold.held_by or _("nobody named"),
                "reason": hold.reason or _("no reason given"),
            },
            _("Release it in the admin when its time is over."),
        )


@examination
def forsaken_runs(now: datetime) -> Iterator[Finding]:
    """Find running runs whose scheduler process no longer beats."""
    beating = SchedulerInstance.objects.beating(now)
    forsaken = Run.objects.running().exclude(instance__in=beating)
    if count := forsaken.count():
        yield error(
            "doctor.E029",
            _("%(count)d run(s) say that they run, but their scheduler process is gone: %(runs)s.")
            % {"count": count, "runs": ", ".join(str(key) for key in forsaken.values_list("pk", flat=True)[:10])},
            _("A scheduler that takes over marks them as lost; start one: %(command)s") % {"command": START},
        )


@examination
def waiting_runs(now: datetime) -> Iterator[Finding]:
    """Find executors in which runs wait for long, and runs that nothing will end."""
    late = Run.objects.startable(now).filter(queued_at__lt=now - QUEUED_TOO_LONG, not_before__isnull=True)
    for row in late.order_by().values("executor").annotate(runs=Count("pk")):
        alias = row["executor"]
        if alias in ExecutorAlias.values:
            yield warning(
                "doctor.W030",
                _("%(count)d run(s) have waited for a free place in “%(executor)s” (%(limit)d) for over 10 minutes.")
                % {"count": row["runs"], "executor": alias, "limit": conf.parallel_runs(alias)},
                _("Raise NEWSS_EXECUTOR_%(name)s, or let schedules fire less often.") % {"name": alias.upper()},
            )
        else:
            yield error(
                "doctor.E031",
                _("%(count)d run(s) wait for the executor “%(executor)s”, which does not exist.")
                % {"count": row["runs"], "executor": alias},
                _("Cancel them; edit their schedules."),
            )
    endless = Run.objects.running().filter(started_at__lt=now - RUNS_TOO_LONG, time_limit_seconds__isnull=True)
    for run in endless[:20]:
        yield warning(
            "doctor.W032",
            _("%(run)s has run for more than a day and has no time limit.") % {"run": run},
            _("Cancel it if it hangs; give its schedule a time limit."),
        )
