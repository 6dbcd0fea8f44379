"""What the dispatcher asks of an executor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import datetime
from typing import TYPE_CHECKING

from scheduling.models import Run
from scheduling.models.run import Held

if TYPE_CHECKING:
    from scheduling.places import ClaimedRun

Ended = Callable[[int, Run | None], None]
"""Called with a run's id and its row as it ended (None if it was no longer held) from any thread."""


class Room:
    """How many runs an executor takes from one fire: for its free places, and ahead those that are known to be short.

    A job that nobody has seen yet counts as short; what then waits too long goes back (`Executor.take_back`).
    """

    def __init__(self, free: int, most: int, seconds: float, pace: Mapping[str, float]) -> None:
        """Take the free places, how many more runs and how many seconds of them may wait, and seconds a run by job."""
        self._free = free
        self._most = most
        self._seconds = seconds
        self._pace = pace

    def take(self, job: str) -> bool:
        """Take one run of a job, if there is room for it."""
        if self._free > 0:
            self._free -= 1
            return True
        if self._most <= 0 or self._seconds <= 0:
            return False
        seconds = self._pace.get(job, 0.0)
        if seconds > self._seconds:
            return False
        self._most -= 1
        self._seconds -= seconds
        return True


class Executor(ABC):
    """Executes claimed runs, at most `limit` at once."""

    alias: str

    def __init__(self, limit: int, ended: Ended) -> None:
        self.limit = limit
        self._ended = ended
        #: Whether the last claim left runs in the queue that are older than what becomes due now.
        self.has_backlog = True
        #: Whether the fire goes on: what it handed over last is a part of what is due.
        self.expects_more = False

    @abstractmethod
    def start(self) -> None:
        """Make the executor ready."""

    @abstractmethod
    def submit(self, run: Run) -> None:
        """Begin to execute a claimed run; returns at once."""

    @abstractmethod
    def running(self) -> Sequence[Held]:
        """Return the runs in this executor's hands."""

    @abstractmethod
    def cancel(self, run_id: int) -> None:
        """Ask a run to stop; does nothing for a run that is not in this executor's hands or was already asked."""

    @abstractmethod
    def stop(self) -> None:
        """End at once: what still runs is left to its fate (a child process is killed)."""

    def free(self) -> int:
        """Return how many more runs fit."""
        return max(0, self.limit - len(self.running()))

    @property
    def is_warming(self) -> bool:
        """Tell whether it takes no runs yet, but will soon."""
        return False

    def room(self) -> int:
        """Return how many runs to claim now; an executor may claim ahead of its free places."""
        return self.free()

    def room_at_once(self) -> Room | None:
        """Return how many runs a fire may hand over itself; None where the dispatcher claims them all."""
        return None

    def is_crowded(self) -> bool:
        """Tell whether so many runs wait for their turn here, or are about to, that whatever can wait should."""
        return False

    def submit_claimed(self, claimed: Sequence[ClaimedRun]) -> None:
        """Begin to execute runs that a fire has claimed, by the room that was offered."""
        raise NotImplementedError

    def take_back(self) -> Sequence[Held]:
        """Give up runs that were claimed ahead and do not get their turn; return those that are to go back into the
        queue, and again until they are `given_back`."""
        return []

    def given_back(self, runs: Iterable[Held]) -> None:
        """Let go of runs that were taken back: they stand in the queue again."""
        raise NotImplementedError

    def confirm(self, held: Set[int], at: datetime) -> None:  # noqa: B027  a child looks at its row itself
        """Take note of the ids of the runs that this process held, by the database, at a moment (UTC)."""
