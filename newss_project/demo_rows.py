"""The sources and schedules that a fresh demo begins with."""

from __future__ import annotations

import re
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from scheduling.models import Schedule, Tag, TriggerKind
from scrapers.models import Source

OUTLETS = [
    ("The Harbour Courier", 11, "feed.rss", "daily"),
    ("Upland Review", 12, "feed.atom", "daily"),
    ("Signal & Field", 13, "feed.json", "science"),
    ("Broken Press", 14, "feed.rss", "trouble"),
    ("Slow Gazette", 15, "feed.rss", "trouble"),
    ("The Private Ledger", 16, "feed.rss", "trouble"),
]
"""Name, last number of the loopback address, feed and tag of each outlet of the sample site."""


@transaction.atomic
def add_rows(site_port: int) -> None:
    """Add the sample site's sources and some schedules to an empty database.

    One that is in use stays as it is, except that the sample site may have moved to another port since.
    """
    if Source.objects.exists() or Schedule.objects.exists():
        _follow_port(site_port)
        return
    tags = {name: Tag.objects.get_or_create(name=name)[0] for name in ("daily", "science", "trouble")}
    for name, number, feed, tag in OUTLETS:
        source = Source.objects.create(name=name, url=_address(number, site_port, feed))
        source.tags.add(tags[tag])
    now = timezone.now()
    collect = {"job": "run_all_scrapers"}
    healthy = {"tags": [tags["daily"].pk, tags["science"].pk]}
    Schedule.objects.create(
        name="Front pages",
        description="The three outlets that are well.",
        parameters=healthy,
        trigger_kind=TriggerKind.INTERVAL,
        interval_seconds=20,
        # Due as soon as the scheduler is up.
        start_at=now.replace(microsecond=0) + timedelta(seconds=4),
        **collect,
    )
    Schedule.objects.create(
        name="Everything, every minute",
        description="All six outlets; one answers 500, one is slow, one forbids robots: the runs are partial.",
        trigger_kind=TriggerKind.CRONTAB,
        crontab="* * * * *",
        **collect,
    )
    Schedule.objects.create(
        name="Science, once",
        parameters={"tags": [tags["science"].pk]},
        trigger_kind=TriggerKind.DATE,
        run_at=now + timedelta(seconds=45),
        **collect,
    )
    Schedule.objects.create(
        name="Morning press",
        parameters={**healthy, "query": "harbour OR river"},
        trigger_kind=TriggerKind.CRONTAB,
        crontab="30 6 * * 1-5",
        timezone="Europe/Berlin",
        **collect,
    )


def _address(number: int, site_port: int, feed: str) -> str:
    return f"http://127.0.0.{number}:{site_port}/{feed}"


def _follow_port(site_port: int) -> None:
    """Let the sources of the sample site follow it to another port; a source that a person changed stays."""
    for _name, number, feed, _tag in OUTLETS:
        before = rf"^http://127\.0\.0\.{number}:[0-9]+/{re.escape(feed)}$"
        address = _address(number, site_port, feed)
        if not Source.objects.filter(url=address).exists():
            Source.objects.filter(url__regex=before).update(url=address, validators_key="")
