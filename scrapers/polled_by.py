"""Which schedules poll which sources, read from their parameters by the rule of `jobs.chosen_sources`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.urls import reverse

from scheduling.models import Schedule
from scrapers.models import Source

JOB = "run_all_scrapers"


@dataclass(frozen=True)
class Poller:
    """A schedule that polls a source."""

    pk: int
    name: str
    enabled: bool

    @property
    def address(self) -> str:
        """Return the address of its form."""
        return reverse("admin:scheduling_schedule_change", args=[self.pk])


def polled_by(sources: Sequence[Source]) -> dict[int, list[Poller]]:
    """Return for each source (by primary key) the schedules that poll it while it is enabled, in the order of names.

    One query, and one for tags where they were not prefetched.
    """
    rows = list(Schedule.objects.filter(job=JOB).order_by("name").values_list("pk", "name", "enabled", "parameters"))
    found: dict[int, list[Poller]] = {}
    for source in sources:
        tags = {tag.pk for tag in source.tags.all()}
        found[source.pk] = [
            Poller(key, name, enabled)
            for key, name, enabled, parameters in rows
            if _chooses(parameters.get("sources") or [], parameters.get("tags") or [], source.pk, tags)
        ]
    return found


def _chooses(sources: Sequence[int], tags: Sequence[int], source: int, source_tags: set[int]) -> bool:
    return (not sources and not tags) or source in sources or not source_tags.isdisjoint(tags)
