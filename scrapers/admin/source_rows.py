"""What the list of sources shows beside a source's own fields, looked up once for a whole page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from django.db.models import Count
from django.db.models.functions import TruncDate
from django.utils import timezone

from scrapers.models import ArticleSource, Source
from scrapers.polled_by import Poller, polled_by

DAYS = 7


@dataclass
class SourceRow:
    """The figures of one source: articles first seen by local day, since when it fails, what polls it.

    `linked` tells whether the person may open schedules, `pollers_shown` how many are named (None: all).
    """

    days: list[tuple[date, int]] = field(default_factory=list)
    failing_since: datetime | None = None
    pollers: list[Poller] = field(default_factory=list)
    linked: bool = False
    pollers_shown: int | None = None

    @property
    def articles(self) -> int:
        """Return the number of articles of all days."""
        return sum(count for _day, count in self.days)


def rows_for(
    sources: Sequence[Source], *, linked: bool, pollers_shown: int | None = None, now: datetime | None = None
) -> dict[int, SourceRow]:
    """Return the figures of some sources by primary key, with a fixed number of queries."""
    today = timezone.localdate(now)
    days = [today - timedelta(days=DAYS - 1 - number) for number in range(DAYS)]
    counts = _articles_by_day(sources, days[0])
    pollers = polled_by(sources)
    return {
        source.pk: SourceRow(
            days=[(day, counts.get((source.pk, day), 0)) for day in days],
            failing_since=source.failing_since,
            pollers=pollers[source.pk],
            linked=linked,
            pollers_shown=pollers_shown,
        )
        for source in sources
    }


def _articles_by_day(sources: Sequence[Source], first: date) -> dict[tuple[int, date], int]:
    start = timezone.make_aware(datetime.combine(first, time.min))
    seen = (
        ArticleSource.objects.filter(source__in=sources, first_seen_at__gte=start)
        .order_by()
        .values_list("source", TruncDate("first_seen_at"))
        .annotate(Count("pk"))
    )
    return {(source, day): count for source, day, count in seen}
