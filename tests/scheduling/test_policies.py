"""What becomes of due times found together: catch-up, concurrency policy, interruptions, the end after N runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling.models import CatchUp, ConcurrencyPolicy, RunStatus, Schedule
from scheduling.policies import Active, Decision, Interruption, NewRun, decide, find_stretches, latest_times
from scheduling.triggers import CrontabTrigger, FixedIntervalTrigger, ScheduleTrigger
from tests import factories

pytestmark = pytest.mark.anydb

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINUTELY = FixedIntervalTrigger(60, START)


def minutes(count: float) -> datetime:
    return START + timedelta(minutes=count)


def schedule(**values: Any) -> Schedule:
    return factories.schedule_values(pk=1, **values)


def decision(
    found: Schedule,
    now: datetime,
    *,
    trigger: ScheduleTrigger = MINUTELY,
    interruptions: Sequence[Interruption] = (),
    **values: Any,
) -> Decision:
    stretches = find_stretches(trigger, START, now, interruptions)
    return decide(found, trigger, stretches, trigger.next_after(now), now=now, **values)


def told(rows: Sequence[NewRun]) -> list[tuple[str, float, float | None, int]]:
    """Return rows as (status, minute, last minute missed, count missed)."""

    def minute(moment: datetime) -> float:
        return (moment - START) / timedelta(minutes=1)

    return [
        (run.status.value, minute(run.scheduled_for), run.missed_until and minute(run.missed_until), run.missed_count)
        for run in rows
    ]


def test_one_due_time_is_queued() -> None:
    for catch_up in CatchUp:
        assert told(decision(schedule(catch_up=catch_up), minutes(0.1)).rows) == [("queued", 0, None, 0)]


def test_once_runs_the_latest_however_late_and_tells_of_the_others_in_one_row() -> None:
    made = decision(schedule(catch_up=CatchUp.ONCE), minutes(10.9))
    assert told(made.rows) == [("missed", 0, 9, 10), ("queued", 10, None, 0)]
    assert made.next_due == minutes(11)
    assert made.rows[0].outcome == (
        "10 due times passed while no scheduler could run them; the latest one was run instead."
    )


@pytest.mark.parametrize(("grace", "runs"), [(60, True), (54, True), (53, False)])
def test_skip_runs_the_latest_only_within_the_misfire_grace_time(grace: int, runs: bool) -> None:
    made = decision(schedule(catch_up=CatchUp.SKIP, misfire_grace_time=grace), minutes(10.9))
    if runs:
        assert told(made.rows) == [("missed", 0, 9, 10), ("queued", 10, None, 0)]
    else:
        assert told(made.rows) == [("missed", 0, 10, 11)]
        assert made.rows[0].outcome == (
            "11 due times passed while no scheduler could run them: "
            "54 s late, more than the misfire grace time of 53 s."
        )


@pytest.mark.parametrize(("limit", "left"), [(1, 10), (3, 8), (10, 1), (11, 0), (50, 0)])
def test_each_runs_the_last_ones(limit: int, left: int) -> None:
    rows = decision(schedule(catch_up=CatchUp.EACH, catch_up_limit=limit), minutes(10)).rows
    missed = [("missed", 0, left - 1, left)] if left else []
    assert told(rows) == missed + [("queued", minute, None, 0) for minute in range(left, 11)]
    if left:
        assert ("only the latest one" if limit == 1 else f"only the latest {limit} were run") in rows[0].outcome


def test_a_week_of_seconds_is_one_row_and_the_last_ones_are_found_at_once() -> None:
    for trigger in (FixedIntervalTrigger(1, START), CrontabTrigger("* * * * * *", "UTC")):
        rows = decision(
            schedule(catch_up=CatchUp.EACH, catch_up_limit=3), START + timedelta(days=7), trigger=trigger
        ).rows
        assert [run.missed_count for run in rows] == [604_798, 0, 0, 0]


def test_interruptions_are_rows_of_their_own_and_the_rest_follows_catch_up() -> None:
    held = Interruption(minutes(3), minutes(6), "everything was held by anna")
    paused = Interruption(minutes(5), minutes(8), "paused: too loud")
    made = decision(schedule(catch_up=CatchUp.EACH, catch_up_limit=2), minutes(8.5), interruptions=[paused, held])
    assert told(made.rows) == [
        ("missed", 0, 1, 2),
        ("missed", 3, 5, 3),
        ("missed", 6, 7, 2),
        ("queued", 2, None, 0),
        ("queued", 8, None, 0),
    ]
    assert made.rows[1].outcome == "3 due times were not run: everything was held by anna."
    assert made.rows[2].outcome == "2 due times were not run: paused: too loud."


def test_nothing_is_run_afterwards_when_all_lies_in_a_pause() -> None:
    paused = Interruption(minutes(-1), minutes(20), "paused")
    for catch_up in CatchUp:
        made = decision(schedule(catch_up=catch_up), minutes(19.5), interruptions=[paused])
        assert told(made.rows) == [("missed", 0, 19, 20)]
        assert made.next_due == minutes(20)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("allow", "queued"), ("forbid", "skipped"), ("replace", "queued"), ("queue", "queued")],
)
def test_the_concurrency_policy_decides_beside_an_active_run(policy: str, expected: str) -> None:
    (run,) = decision(schedule(concurrency_policy=policy), minutes(0), active=Active(7, 1)).rows
    assert run.status == expected
    said = {"allow": "", "forbid": run.outcome}.get(policy, run.wait_reason)
    assert ("run 7" in said) == (policy != "allow")


def test_a_queue_that_is_full_skips_and_says_so() -> None:
    waiting = schedule(concurrency_policy="queue", queue_limit=3)
    assert told(decision(waiting, minutes(0), active=Active(7, 3)).rows) == [("queued", 0, None, 0)]
    (run,) = decision(waiting, minutes(0), active=Active(7, 4)).rows
    assert (run.status, run.outcome) == (
        RunStatus.SKIPPED,
        "Skipped: 3 runs of this schedule wait already, which is its limit.",
    )


def test_runs_caught_up_together_do_not_skip_each_other() -> None:
    rows = decision(schedule(catch_up=CatchUp.EACH, concurrency_policy="forbid"), minutes(4)).rows
    assert [run.status for run in rows] == [RunStatus.QUEUED] * 5
    rows = decision(schedule(catch_up=CatchUp.EACH, concurrency_policy="queue", queue_limit=2), minutes(4)).rows
    assert [run.status.value for run in rows] == ["queued"] * 3 + ["skipped"] * 2


def test_the_end_after_n_runs_leaves_no_due_time() -> None:
    made = decision(schedule(), minutes(0), remaining=2)
    assert made.next_due == minutes(1)
    made = decision(schedule(), minutes(0), remaining=1)
    assert (told(made.rows), made.next_due) == ([("queued", 0, None, 0)], None)
    assert decision(schedule(), minutes(0), remaining=0) == Decision([], None)


def test_a_skipped_run_does_not_count_towards_the_end() -> None:
    made = decision(schedule(), minutes(0), remaining=1, active=Active(7, 1))
    assert ([run.status for run in made.rows], made.next_due) == ([RunStatus.SKIPPED], minutes(1))


def test_catching_up_each_stops_at_the_end_after_n_runs() -> None:
    made = decision(schedule(catch_up=CatchUp.EACH, catch_up_limit=5), minutes(9), remaining=2)
    assert told(made.rows) == [("missed", 0, 4, 5), ("queued", 5, None, 0), ("queued", 6, None, 0)]
    assert made.next_due is None


def test_jitter_delays_the_start() -> None:
    jittery = schedule(jitter_seconds=30)
    (run,) = decision(jittery, minutes(0)).rows
    assert run.not_before == START + jittery.delay(START)
    assert "jitter" in run.wait_reason


triggers = st.one_of(
    st.integers(20, 900).map(lambda seconds: FixedIntervalTrigger(seconds, START)),
    st.sampled_from(["* * * * *", "*/7 * * * *", "30 0-10 12 * * *", "0 */2 * * *"]).map(
        lambda text: CrontabTrigger(text, "Europe/Berlin")
    ),
)
offsets = st.integers(0, 7_200).map(lambda seconds: timedelta(seconds=seconds))


@st.composite
def interruptions(draw: st.DrawFn) -> list[Interruption]:
    pairs = draw(st.lists(st.tuples(offsets, offsets), max_size=3))
    return [Interruption(START + min(pair), START + max(pair), f"why {n}") for n, pair in enumerate(pairs)]


@given(
    trigger=triggers,
    blocks=interruptions(),
    passed=offsets,
    catch_up=st.sampled_from(CatchUp),
    policy=st.sampled_from(ConcurrencyPolicy),
    limits=st.tuples(st.integers(1, 12), st.integers(1, 5), st.integers(1, 3_600)),
    busy=st.integers(0, 4),
)
def test_each_due_time_has_exactly_one_row(
    *,
    trigger: ScheduleTrigger,
    blocks: list[Interruption],
    passed: timedelta,
    catch_up: CatchUp,
    policy: ConcurrencyPolicy,
    limits: tuple[int, int, int],
    busy: int,
) -> None:
    first = trigger.next_after(START - timedelta(seconds=1))
    assert first is not None
    now = first + passed
    due = [first, *trigger.between(first, now)]
    found = schedule(
        catch_up=catch_up,
        concurrency_policy=policy,
        catch_up_limit=limits[0],
        queue_limit=limits[1],
        misfire_grace_time=limits[2],
    )
    stretches = find_stretches(trigger, first, now, blocks)
    active = Active(1, busy) if busy else None
    made = decide(found, trigger, stretches, trigger.next_after(now), now=now, active=active)

    covered: list[datetime] = []
    for row in made.rows:
        if row.status == RunStatus.MISSED:
            assert row.missed_until is not None
            mine = [moment for moment in due if row.scheduled_for <= moment <= row.missed_until]
            assert (mine[0], mine[-1], len(mine)) == (row.scheduled_for, row.missed_until, row.missed_count)
            assert row.outcome
            covered += mine
        else:
            covered.append(row.scheduled_for)
    assert sorted(covered) == due

    free = [moment for moment in due if not any(block.start <= moment < block.end for block in blocks)]
    wanted = {
        CatchUp.ONCE: free[-1:],
        CatchUp.SKIP: [moment for moment in free[-1:] if now - moment <= timedelta(seconds=limits[2])],
        CatchUp.EACH: free[-limits[0] :],
    }[catch_up]
    assert [row.scheduled_for for row in made.rows if row.status != RunStatus.MISSED] == wanted


@given(trigger=triggers, passed=offsets, most=st.integers(0, 40))
def test_the_latest_times_are_the_last_of_all(trigger: ScheduleTrigger, passed: timedelta, most: int) -> None:
    first = trigger.next_after(START)
    assert first is not None
    now = first + passed
    due = [first, *trigger.between(first, now)]
    assert latest_times(trigger, trigger.due_times(first, now), most) == (due[-most:] if most else [])
