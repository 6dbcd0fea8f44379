"""What housekeeping removes of collecting; never so that a deleted article comes back while a source may carry it.

1. A passed item goes when its source, one that lists all it has at each poll (a feed), was read so many days after the
   item was last in it. A source that shows only a part (a sitemap's newest, a listing's first pages), is not polled or
   answers "not modified" may carry it still: then it stays.
2. Of a deleted article each source that had it keeps a passed item that says so, by rule 1; the tombstone, which
   guards against all other sources, goes so many days after the deletion and after any source last brought its address.
3. Earlier versions of articles go by age.
4. A host goes when it was not asked for long and no person chose its group; it is made anew when it is asked again.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import F, Q

from scheduling.jobs import Stopped, remove_rows, removes
from scrapers import conf
from scrapers.models import ArticleVersion, Host, HostGroup, PassedItem, Source, Tombstone
from scrapers.models.seen import SEEN_AGAIN

BATCH = 2_000
"""Rows that one transaction removes."""
SLOTS = 144
"""Sources are looked through in so many parts, one at each look of housekeeping (10 minutes): each once a day."""
SLOT_SECONDS = 600


@removes("passed items")
def remove_passed_items(now: datetime, stopped: Stopped) -> int:
    """Remove, of the sources whose turn it is, the items that they do not carry any more."""
    days = conf.keeping().passed_days
    if not days:
        return 0
    slot, removed = int(now.timestamp() // SLOT_SECONDS) % SLOTS, 0
    read = Source.objects.filter(last_read_at__isnull=False).annotate(slot=F("pk") % SLOTS).filter(slot=slot)
    for source in read.only("last_read_at"):
        assert source.last_read_at is not None
        dropped = source.last_read_at - timedelta(days=days) - SEEN_AGAIN
        gone = PassedItem.objects.filter(source=source.pk, at__lt=dropped)
        removed += remove_rows(gone, BATCH, stopped)
    return removed


@removes("tombstones")
def remove_tombstones(now: datetime, stopped: Stopped) -> int:
    """Remove the tombstones of articles that no source has brought for long."""
    days = conf.keeping().tombstones_days
    if not days:
        return 0
    before = now - timedelta(days=days)
    return remove_rows(Tombstone.objects.filter(deleted_at__lt=before, seen_at__lt=before - SEEN_AGAIN), BATCH, stopped)


@removes("earlier versions of articles")
def remove_versions(now: datetime, stopped: Stopped) -> int:
    """Remove what articles said long ago."""
    days = conf.keeping().versions_days
    return (
        remove_rows(ArticleVersion.objects.filter(replaced_at__lt=now - timedelta(days=days)), BATCH, stopped)
        if days
        else 0
    )


@removes("hosts")
def remove_hosts(now: datetime, stopped: Stopped) -> int:
    """Remove the hosts that were not asked for long (robots.txt is asked for daily), and groups without hosts."""
    days = conf.keeping().hosts_days
    if not days:
        return 0
    still = Q(cool_down_until__isnull=True) | Q(cool_down_until__lt=now)
    old = Host.objects.filter(still, robots_fetched_at__lt=now - timedelta(days=days), chosen_group=None)
    removed = remove_rows(old, BATCH, stopped)
    # Of a group that was just made its first host is yet to join: lanes that were used lately are such a group's.
    idle = HostGroup.objects.filter(hosts=None).exclude(lanes__next_slot_at__gt=now.timestamp() - 86_400)
    remove_rows(idle.filter(lanes__number=0), BATCH, stopped)
    return removed
