"""Triggers made of triggers: any of them, all of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

from scheduling.triggers.base import FARTHEST, ScheduleTrigger
from scheduling.triggers.clocks import Stretch
from scheduling.triggers.daily import WHOLE_DAY, DailyTrigger, end_of_day
from scheduling.triggers.outlook import ChangeEffect


class _CombinedTrigger(DailyTrigger):
    def __init__(
        self, triggers: Iterable[ScheduleTrigger], *, start: datetime | None = None, end: datetime | None = None
    ) -> None:
        """Take at least one trigger whose due times are whole seconds; each keeps its own window.

        Raises `ValueError` for none.
        """
        super().__init__(start=start, end=end)
        self.triggers = tuple(triggers)
        if not self.triggers:
            raise ValueError("a combination needs at least one trigger")

    def at_change(self, stretch: Stretch) -> ChangeEffect | None:
        """Return what the change of clock that begins a stretch does to the first part that it does something to."""
        return next(filter(None, (trigger.at_change(stretch) for trigger in self.triggers)), None)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "triggers": self.triggers}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.triggers = state["triggers"]


class AnyOfTrigger(_CombinedTrigger):
    """Due whenever one of its triggers is, once where several are at the same time."""

    def _after(self, moment: datetime) -> datetime | None:
        return min((due for trigger in self.triggers if (due := trigger.next_after(moment)) is not None), default=None)

    def _seconds(self, midnight: datetime) -> int:
        return reduce(or_, (trigger.seconds_of(midnight) for trigger in self.triggers))

    def __str__(self) -> str:
        return f"any[{'; '.join(map(str, self.triggers))}]"


class AllOfTrigger(_CombinedTrigger):
    """Due when all of its triggers are at the same second; never, if that does not come within `FARTHEST` after the
    moment asked for.
    """

    def _after(self, moment: datetime) -> datetime | None:
        """Return the first common due time: a day is looked at as a whole, days on which one has none are left out."""
        limit = moment + FARTHEST
        while True:
            times = [trigger.next_after(moment) for trigger in self.triggers]
            known = [due for due in times if due is not None]
            if len(known) < len(times) or (latest := max(known)) > limit:
                return None
            if min(known) == latest:
                return latest
            if (due := self._first_from(latest)) is not None:
                return due
            moment = end_of_day(latest)

    def _seconds(self, midnight: datetime) -> int:
        bits = WHOLE_DAY
        for trigger in self.triggers:
            bits &= trigger.seconds_of(midnight)
            if not bits:
                break
        return bits

    def __str__(self) -> str:
        return f"all[{'; '.join(map(str, self.triggers))}]"
