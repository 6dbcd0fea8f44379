"""The fire path in a real `runapscheduler` process: holds, fixtures, and clocks that jump."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import call_command

from scheduling.models import Cause, Hold, Run, RunStatus, Schedule
from tests import factories
from tests.scheduling.conftest import SchedulerProcess, wait_until

Start = Callable[..., SchedulerProcess]


def first_ended(schedule: Schedule) -> None:
    wait_until(Run.objects.executed().filter(schedule=schedule).exists, what=f"a run of {schedule}")


def fired(schedule: Schedule) -> list[datetime]:
    """Return the due times of a schedule that became runs."""
    runs = Run.objects.filter(schedule=schedule, cause=Cause.SCHEDULE).exclude(status=RunStatus.MISSED)
    return [due for due in runs.order_by("scheduled_for").values_list("scheduled_for", flat=True) if due]


def test_a_fixture_reaches_the_scheduler(start_scheduler: Start, tmp_path: Path) -> None:
    schedule = factories.schedule(interval_seconds=1, executor="threads")
    schedule.tags.create(name="fixtures")
    schedule.pause(factories.user(), "moved")
    schedule.resume()
    fixture = str(tmp_path / "all.json")
    call_command("dumpdata", "auth.user", "scheduling", output=fixture, verbosity=0)
    Schedule.objects.all().delete()
    start_scheduler()
    call_command("loaddata", fixture, verbosity=0)
    first_ended(schedule)
    assert schedule.pauses.get().reason == "moved"


def test_a_hold_and_its_release_act_at_once(start_scheduler: Start) -> None:
    start_scheduler()
    schedule = factories.schedule(interval_seconds=1, executor="threads", concurrency_policy="allow")
    first_ended(schedule)
    hold = Hold.objects.hold(reason="database moves")
    waiting, _created = schedule.run_now()
    wait_until(lambda: not Run.objects.exclude(pk=waiting.pk).active().exists(), what="what ran has ended")
    until = datetime.now(UTC) + timedelta(seconds=2.5)
    wait_until(lambda: datetime.now(UTC) > until)
    Hold.objects.release()
    hold.refresh_from_db()
    assert hold.ended_at is not None
    wait_until(lambda: Run.objects.filter(pk=waiting.pk, status=RunStatus.SUCCEEDED).exists(), what="the waiting run")
    assert Run.objects.get(pk=waiting.pk).started_at >= hold.ended_at  # type: ignore[operator]
    wait_until(lambda: any(due > hold.ended_at for due in fired(schedule)), what="a fire after the release")
    held = Run.objects.get(schedule=schedule, status=RunStatus.MISSED, outcome__contains="database moves")
    assert held.missed_count >= 2
    assert not [due for due in fired(schedule) if hold.started_at <= due < hold.ended_at]


@pytest.mark.long
def test_a_clock_that_jumps_fires_nothing_twice_and_what_is_late_follows_catch_up(
    start_scheduler: Start, tmp_path: Path
) -> None:
    if shutil.which("faketime") is None:
        pytest.skip("Debian's faketime is not installed: apt-get install faketime")
    clock = tmp_path / "clock"

    def set_clock(offset: str) -> None:
        new = tmp_path / "new"
        new.write_text(offset)
        new.rename(clock)

    set_clock("+0")
    library = subprocess.run(
        ["faketime", "-f", "+0", "sh", "-c", "echo $LD_PRELOAD"], capture_output=True, text=True, check=True
    )
    scheduler = start_scheduler(
        LD_PRELOAD=library.stdout.strip(),
        FAKETIME_TIMESTAMP_FILE=str(clock),
        FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
    )
    schedule = factories.schedule(interval_seconds=1, executor="threads")
    first_ended(schedule)
    hour = timedelta(hours=1)

    set_clock("+1h")
    wait_until(lambda: any(due > datetime.now(UTC) + hour / 2 for due in fired(schedule)), what="a fire an hour on")
    jumped = Run.objects.filter(schedule=schedule, status=RunStatus.MISSED, missed_count__gt=3000)
    assert jumped.count() == 1
    wait_until(lambda: len(fired(schedule)) > 4, what="it goes on")

    set_clock("+0")
    set_back = datetime.now(UTC) + timedelta(seconds=1)
    wait_until(lambda: datetime.now(UTC) > set_back + timedelta(seconds=3))
    assert not [due for due in fired(schedule) if set_back < due < set_back + hour / 2], "they were dealt with before"

    count = len(fired(schedule))
    set_clock("+1h")
    wait_until(lambda: len(fired(schedule)) > count + 1, what="it goes on when its time comes")
    assert max(Counter(fired(schedule)).values()) == 1
    ranges = Run.objects.filter(schedule=schedule, status=RunStatus.MISSED).values_list("scheduled_for", "missed_until")
    for start, end in ranges:
        assert not [due for due in fired(schedule) if start <= due <= end]  # type: ignore[operator]
    assert scheduler.process.poll() is None
    assert "Traceback" not in scheduler.output
