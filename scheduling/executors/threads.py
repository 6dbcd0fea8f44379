"""Runs in threads of the scheduler process: for short, trusted jobs. They can be asked to stop, not made to.

Thousands of short runs a second must not cost a transaction each, so here runs are claimed ahead while they end
quickly, begin without a word to the database (the claim has said it), and their ends are written together.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterable, Sequence, Set
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from django.db import DEFAULT_DB_ALIAS, connection, connections

from scheduling.database import REFUSALS, DatabaseAway, Refused, one_line
from scheduling.ends import CHUNK, Finished, finish_many
from scheduling.executors.base import Ended, Executor, Room
from scheduling.jobs.context import RunContext
from scheduling.jobs.execution import execute_claimed
from scheduling.models import ExecutorAlias, Run
from scheduling.models.run import Held

if TYPE_CHECKING:
    from scheduling.places import ClaimedRun

logger = logging.getLogger(__name__)

QUICK_SECONDS = 0.3
"""A run that takes no longer is quick: only after quick runs is anything claimed ahead."""
AHEAD_FACTOR = 4
"""See `FRESH_SECONDS`."""
FRESH_SECONDS = 1.0
"""As long after the last claim, so many times the quick runs that have ended since are claimed ahead."""
MOST_AHEAD = 4_000
"""So many runs are claimed ahead at most."""
LONGEST_AHEAD_SECONDS = 0.5
"""So many seconds of runs are claimed ahead. One that has not begun after this goes back into the queue, unless what is
before it is known to be short."""
MOST_AT_ONCE = 10_000
"""So many runs are taken from one fire at most, free threads aside."""
PATIENCE_SECONDS = 2.0
"""So many seconds of runs that are known to be short may be before one that was claimed ahead."""
PACE_RUNS = 500
"""Over so many runs of a job the time that one takes is averaged: in a burst, threads wait for one another."""
SHORT_SECONDS = 0.001
"""A job whose runs take less than this on average does nothing but compute: its runs take turns, since threads that
only compute do not run side by side, but get into the way of each other and of the thread that fires."""
TURN_SECONDS = 0.1
"""So long a run waits for its turn at most; not at all while a thread has been at one run for long."""
WRITER_WAITS_SECONDS = 0.5
"""As long ends are not written while more than `CHUNK` runs wait to begin, or short ones take turns: those go first."""
RETRY_SECONDS = 1.0
"""Seconds before ends are written again when the database was away."""


class ThreadExecutor(Executor):
    """A pool of threads, and one that writes how their runs ended."""

    alias = ExecutorAlias.THREADS

    def __init__(self, limit: int, ended: Ended) -> None:
        super().__init__(limit, ended)
        # A run is in at least one of these from its claim to its end. Runs move by single operations on them, which no
        # other thread sees half done: a lock that all threads want would cost more than a short run. Whoever takes a
        # run out of `_waiting` has it.
        #: Claimed and not begun, with the time of `time.monotonic()` at which they were handed over.
        self._waiting: dict[int, tuple[Run | ClaimedRun, float]] = {}
        #: Taken back from those, until they stand in the queue again.
        self._returning: dict[int, Run | ClaimedRun] = {}
        #: Begun, with the time at which they did.
        self._executing: dict[int, tuple[Run | ClaimedRun, float]] = {}
        #: Done, their end is being written.
        self._ending: dict[int, Run] = {}
        self._contexts: dict[int, RunContext] = {}
        #: When this process's claims were last read, and which they were.
        self._confirmed: tuple[datetime | None, Set[int]] = (None, frozenset())
        #: Guards what follows.
        self._lock = threading.Lock()
        #: Jobs of runs that have ended, and the seconds that they took, until they are counted below.
        self._took: SimpleQueue[tuple[str, float]] = SimpleQueue()
        #: Seconds that a run of each job takes one of the threads, the latest ones counting most, and of how many runs.
        self._pace: dict[str, float] = {}
        self._known: dict[str, tuple[int, float]] = {}
        #: Quick runs that have ended since the last batch was handed over, when that was, and whether it is going on.
        self._quick = 0
        self._batch_at = 0.0
        self._in_batch = False
        self._turn = threading.Lock()
        self._handed_over: SimpleQueue[int | None] = SimpleQueue()
        self._finished: SimpleQueue[Finished | None] = SimpleQueue()
        #: Never set. Under libfaketime `time.sleep` fails when the clock is set, and ended the writer.
        self._pause = threading.Event()

    def start(self) -> None:
        """Start the threads."""
        self._writer = threading.Thread(target=self._write, name="ends", daemon=True)
        self._writer.start()
        for number in range(self.limit):
            threading.Thread(target=self._work, name=f"run-{number}", daemon=True).start()

    def submit(self, run: Run) -> None:
        """Begin to execute a claimed run as soon as a thread is free."""
        now = time.monotonic()
        with self._lock:
            self._begin_batch(now)
        self._waiting[run.pk] = run, now
        self._handed_over.put(run.pk)

    def submit_claimed(self, claimed: Sequence[ClaimedRun]) -> None:
        """Begin to execute runs that a fire has claimed, as soon as threads are free."""
        now = time.monotonic()
        with self._lock:
            self._begin_batch(now)
        self._waiting.update({run.pk: (run, now) for run in claimed})
        for run in claimed:
            self._handed_over.put(run.pk)

    def _begin_batch(self, now: float) -> None:
        if not self._in_batch:
            self._learn()
            self._quick, self._batch_at, self._in_batch = 0, now, True

    def running(self) -> list[Held]:
        """Return the runs in this executor's hands, until their ends are written."""
        # In the order in which runs move on, so that none is missed.
        held: dict[int, Held] = {run.pk: run for run, _at in list(self._waiting.values())}
        held |= {run.pk: run for run in list(self._returning.values())}
        held |= {run.pk: run for run, _at in list(self._executing.values())}
        return list((held | self._ending).values())

    def free(self) -> int:
        """Return how many threads have nothing to do."""
        return max(0, self.limit - len(self._executing) - len(self._waiting))

    def room(self) -> int:
        """Return how many runs to claim: for the free threads, and ahead as many as the latest ones let expect.

        Threads that have been at one run for long are no help to those that would wait.
        """
        now = time.monotonic()
        slow = self._slow(now)
        with self._lock:
            self._learn()
            self._in_batch = False
            elapsed = max(now - self._batch_at, 0.001)
            # By their rate; a few that ended soon after they were handed over let expect more than that.
            ahead = int(self._quick / elapsed * QUICK_SECONDS)
            if elapsed < FRESH_SECONDS:
                ahead = max(ahead, AHEAD_FACTOR * self._quick)
            ahead = min(MOST_AHEAD, ahead * (self.limit - slow) // self.limit)
            return max(0, self.limit + ahead - len(self._executing) - len(self._waiting))

    def room_at_once(self) -> Room | None:
        """Return how many runs a fire may hand over: none while older ones stand in the queue."""
        if self.has_backlog:
            return None
        seconds = self._threads_seconds(PATIENCE_SECONDS)
        with self._lock:
            self._learn()
            seconds -= sum(self._pace.get(run.job, 0.0) for run, _at in list(self._waiting.values()))
            return Room(self.free(), MOST_AT_ONCE - len(self._waiting), seconds, dict(self._pace))

    def take_back(self) -> list[Held]:
        """Return the runs that were claimed ahead and have waited too long for a thread; they will not begin here.

        Those stay that have only short ones before them: taking them back would cost more than letting them wait.
        """
        late = time.monotonic() - LONGEST_AHEAD_SECONDS
        waiting = list(self._waiting.values())
        if waiting and waiting[0][1] < late:
            seconds = self._threads_seconds(PATIENCE_SECONDS)
            with self._lock:
                self._learn()
            for run, at in waiting:
                if at >= late:
                    break
                seconds -= self._pace.get(run.job, float("inf"))
                if seconds < 0:
                    self._returning[run.pk] = run
                    if self._waiting.pop(run.pk, None) is None:
                        del self._returning[run.pk]
        return list(self._returning.values())

    def given_back(self, runs: Iterable[Held]) -> None:
        """Let go of runs that were taken back: they stand in the queue again."""
        for run in runs:
            self._returning.pop(run.pk, None)

    def confirm(self, held: Set[int], at: datetime) -> None:
        """Note which runs this process held at a moment: those need no look at their rows for a while."""
        self._confirmed = at, held

    def _threads_seconds(self, seconds: float) -> float:
        """Return so many seconds of all threads together, but those that have been at one run for long."""
        return max(0, self.limit - self._slow(time.monotonic())) * seconds

    def _slow(self, now: float) -> int:
        return sum(now - at > QUICK_SECONDS for _run, at in list(self._executing.values()))

    def _learn(self) -> None:
        """Count the runs that have ended (under the lock)."""
        with contextlib.suppress(Empty):
            while True:
                job, seconds = self._took.get_nowait()
                self._quick += seconds <= QUICK_SECONDS
                count, mean = self._known.get(job, (0, 0.0))
                count = min(count + 1, PACE_RUNS)
                mean += (seconds - mean) / count
                self._known[job], self._pace[job] = (count, mean), mean

    def is_crowded(self) -> bool:
        """Tell whether more than `CHUNK` runs wait to begin, or more are being fired."""
        return self.expects_more or len(self._waiting) > CHUNK

    def cancel(self, run_id: int) -> None:
        """Ask the job to stop; it looks at its context when it likes."""
        context = self._contexts.get(run_id)
        if context is not None:
            context.request_cancel()

    def stop(self) -> None:
        """Take no more runs and write the ends that are known; threads that go on are left to the process's end."""
        self._waiting.clear()
        for _thread in range(self.limit):
            self._handed_over.put(None)
        self._finished.put(None)
        self._writer.join(timeout=5)

    def _work(self) -> None:
        # This thread's own; asking for it anew takes longer than some jobs do.
        own = connections[DEFAULT_DB_ALIAS]
        has_turn = False
        while True:
            if has_turn and self._handed_over.empty():
                self._turn.release()
                has_turn = False
            if (run_id := self._handed_over.get()) is None:
                break
            held = self._take(run_id)
            if held is None:
                continue
            is_short = self._pace.get(held.job, SHORT_SECONDS) < SHORT_SECONDS
            if has_turn and not is_short:
                self._turn.release()
                has_turn = False
            elif is_short and not has_turn and not self._slow(time.monotonic()):
                has_turn = self._turn.acquire(timeout=TURN_SECONDS)
            self._execute(held if isinstance(held, Run) else held.run(), run_id)
            # Errors may have left the connection unusable; the next run makes its own.
            if own.connection is not None:
                own.close()
        if has_turn:
            self._turn.release()

    def _take(self, run_id: int) -> Run | ClaimedRun | None:
        """Let a waiting run count as executing; None for one that was taken back."""
        entry = self._waiting.get(run_id)
        if entry is None:
            return None
        self._executing[run_id] = entry[0], time.monotonic()
        if self._waiting.pop(run_id, None) is None:
            del self._executing[run_id]
            return None
        return entry[0]

    def _are_taking_turns(self) -> bool:
        """Tell whether short runs take turns; one that turned out to be slow keeps nobody waiting."""
        return self._turn.locked() and not self._slow(time.monotonic())

    def _execute(self, run: Run, run_id: int) -> None:
        def keep(context: RunContext) -> None:
            self._contexts[run_id] = context

        confirmed_at, confirmed = self._confirmed
        begun, finished = time.monotonic(), None
        try:
            finished = execute_claimed(run, keep, confirmed_at if run_id in confirmed else None)
        except Exception:
            # The sweep for runs without an executor ends this one.
            logger.exception("Run %s could not be executed.", run_id)
        self._took.put((run.job, time.monotonic() - begun))
        if finished is not None:
            self._ending[run_id] = run
        self._contexts.pop(run_id, None)
        del self._executing[run_id]
        if finished is None:
            self._ended(run_id, None)
        else:
            self._finished.put(finished)

    def _write(self) -> None:
        """Write ends, as many at a time as have come together; wait for a database that is away."""
        ends: list[Finished | None] = []
        while None not in ends:
            ends = [self._finished.get()]
            until = time.monotonic() + WRITER_WAITS_SECONDS
            while (self.is_crowded() or self._are_taking_turns()) and time.monotonic() < until:
                self._pause.wait(0.02)
            with contextlib.suppress(Empty):
                while len(ends) < CHUNK:
                    ends.append(self._finished.get_nowait())
            self._write_batch([finished for finished in ends if finished is not None])
        connection.close()

    def _write_batch(self, batch: list[Finished]) -> None:
        ended = self._patiently(batch) if batch else []
        for finished in batch:
            self._ending.pop(finished.run.pk, None)
        rows = {run.pk: run for run in ended}
        for finished in batch:
            self._ended(finished.run.pk, rows.get(finished.run.pk))

    def _patiently(self, batch: list[Finished]) -> list[Run]:
        refusals = 0
        while True:
            try:
                return finish_many(batch)
            except Exception as error:
                if isinstance(error, DatabaseAway) and not isinstance(error, Refused):
                    logger.warning("The ends of %s run(s) cannot be written yet: %s", len(batch), one_line(error))
                    connection.close()
                    self._pause.wait(RETRY_SECONDS)
                    continue
                if len(batch) > 1:
                    # One that cannot be written keeps no other from it.
                    return [run for finished in batch for run in self._patiently([finished])]
                refusals += 1
                if refusals == REFUSALS:
                    # The sweep for runs without an executor ends it; the writer must go on.
                    logger.exception("The end of run %s cannot be written.", batch[0].run.pk)
                    return []
