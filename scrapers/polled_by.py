"""Which schedules poll which sources, read from their parameters by the rule of `jobs.chosen_sources`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scheduling.addresses import address_of
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
        return address_of("admin:scheduling_schedule_change", self.pk)


def polled_by(sources: Sequence[Source]) -> dict[int, list[Poller]]:
    """Return for each source (by primary key) the schedules that poll it while it is enabled, in the order of names.

    One query, and one for tags where they were not prefetched.
    """
    found: dict[int, list[Poller]] = {source.pk: [] for source in sources}
    tagged: dict[int, list[int]] = {}
    for source in sources:
        for tag in source.tags.all():
            tagged.setdefault(tag.pk, []).append(source.pk)
    rows = Schedule.objects.filter(job=JOB).order_by("name").values_list("pk", "name", "enabled", "parameters")
    for pk, name, enabled, parameters in rows:
        chosen, tags = parameters.get("sources") or [], parameters.get("tags") or []
        # Every schedule is looked at once, whatever the number of sources.
        polled = {key for tag in tags for key in tagged.get(tag, ())} | found.keys() & chosen
        for key in polled if chosen or tags else found:
            found[key].append(Poller(pk, name, enabled))
    return found
