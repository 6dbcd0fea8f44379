"""What the dispatcher asks of an executor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from scheduling.models import Run

Ended = Callable[[int, Run | None], None]
"""Called with a run's id and its row as it ended (None if it was no longer held) from any thread."""


class Executor(ABC):
    """Executes claimed runs, at most `limit` at once."""

    alias: str

    def __init__(self, limit: int, ended: Ended) -> None:
        self.limit = limit
        self._ended = ended

    @abstractmethod
    def start(self) -> None:
        """Make the executor ready."""

    @abstractmethod
    def submit(self, run: Run) -> None:
        """Begin to execute a claimed run; returns at once."""

    @abstractmethod
    def running(self) -> list[Run]:
        """Return the runs in this executor's hands, as they were submitted."""

    @abstractmethod
    def cancel(self, run_id: int) -> None:
        """Ask a run to stop; does nothing for a run that is not in this executor's hands or was already asked."""

    @abstractmethod
    def stop(self) -> None:
        """End at once: what still runs is left to its fate (a child process is killed)."""

    def free(self) -> int:
        """Return how many more runs fit."""
        return max(0, self.limit - len(self.running()))

    def room(self) -> int:
        """Return how many runs to claim now; an executor may claim ahead of its free places."""
        return self.free()

    def take_back(self) -> list[Run]:
        """Give up runs that were claimed ahead and do not get their turn; they go back into the queue."""
        return []
