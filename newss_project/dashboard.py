"""The admin's first page: what the scheduler does, how the day goes, what needs attention, what comes next.

Runs and schedules are counted by `scheduling`, sources and articles here. Each part is added for those who may see it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import timezone as fixed_offset
from itertools import groupby
from typing import Any

from django.core.cache import cache
from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import ExtractHour
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import localize
from django.utils.translation import gettext as _

from scheduling import display, figures, lanes, overview
from scheduling.admin.schedule_rows import first_due
from scheduling.figures import Window
from scheduling.jobs import registry
from scheduling.models import Run
from scrapers.models import Article, ArticleSource, ResultStatus, Source, SourceResult

SHOWN = 10
SOURCES_SHOWN = 6
"""So many sources have a colour of their own in the chart of articles."""
CHART_HEIGHT = 120
SETTLED = timedelta(minutes=10)
"""So long after an hour no article of it is still on its way into the database."""
FAILING_YESTERDAY, FAILING_KEPT_SECONDS = "newss-failing-yesterday", 300
"""The number of sources that were failing yesterday by now, and how long it is kept."""
KEPT_SECONDS = 3_600
"""So long the counts of an hour that is over are kept; retention may take articles away in the meantime."""


@dataclass(frozen=True)
class Figure:
    """One number of the day, and what it was at the same time yesterday."""

    title: str
    value: str
    detail: str
    change: str
    is_better: bool | None
    address: str


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add what the dashboard shows to the context of the admin's index, as far as the person may see it."""
    return context | {"title": ""} | strip_part(request) | parts(request)


def live_strip(request: HttpRequest) -> HttpResponse:
    """Answer the scheduler's strip and what runs; the header says after how many seconds to ask again."""
    shown = strip_part(request)
    busy = "strip" in shown and (shown["strip"].running or shown["strip"].queued)
    html = render_to_string("newss_project/live_strip.html", shown, request)
    return HttpResponse(html, headers={"Newss-Next": "2" if busy else "5"})


def live(request: HttpRequest) -> HttpResponse:
    """Answer the rest of the dashboard, which changes more slowly and costs more."""
    html = render_to_string("newss_project/dashboard.html", parts(request), request)
    return HttpResponse(html, headers={"Newss-Next": "10"})


def strip_part(request: HttpRequest) -> dict[str, Any]:
    """Return what the strip shows to those who may see runs."""
    return {"strip": overview.strip()} if request.user.has_perm("scheduling.view_run") else {}


def parts(request: HttpRequest) -> dict[str, Any]:
    """Return what the person may see below the strip."""
    now = timezone.now()
    may = request.user.has_perm
    runs, schedules = may("scheduling.view_run"), may("scheduling.view_schedule")
    sources, articles = may("scrapers.view_source"), may("scrapers.view_article")
    shown: dict[str, Any] = {"figures": list(_figures(now, runs=runs, sources=sources, articles=articles))}
    if runs:
        shown |= {"lanes": lanes.draw(now), "recent_runs": list(Run.objects.order_by("-queued_at", "-id")[:SHOWN])}
    if schedules:
        shown |= {"next_up": next_up(now)}
    if schedules and runs:
        shown |= {"failing": figures.group_by_error(figures.failing_schedules())}
    if sources:
        shown |= {"failing_sources": failing_sources()}
    if articles and sources:
        shown |= {"chart": articles_by_hour(now)}
    return shown


def next_up(now: datetime) -> list[dict[str, Any]]:
    """Return the next due times of all schedules in order, each with what would run."""
    first = first_due(SHOWN, now)
    words = registry.describe_all([(schedule.job, schedule.parameters) for schedule, _due in first])
    return [
        {"schedule": schedule, "due": due, "what": what, "job": registry.label(schedule.job)}
        for (schedule, due), what in zip(first, words, strict=True)
    ]


def failing_sources() -> list[tuple[str, list[Source]]]:
    """Return the failing sources by kind of failure in words, those that fail longest first in each."""
    failing = Source.objects.failing().order_by("last_failure_class", "last_success_at", "name")[:50]
    return [
        (sources[0].get_last_failure_class_display(), sources)
        for sources in (list(group) for _key, group in groupby(failing, key=lambda one: one.last_failure_class))
    ]


def articles_by_hour(now: datetime) -> dict[str, Any]:
    """Return the new articles of the last 24 hours by hour and (first) source, as a drawing."""
    this_hour = timezone.localtime(now).replace(minute=0, second=0, microsecond=0).astimezone(UTC)
    hours = [this_hour - timedelta(hours=ago) for ago in range(23, -1, -1)]
    by_hour = _counted(hours, now)
    totals: Counter[int | None] = Counter()
    for counts in by_hour.values():
        totals.update(counts)
    shown = [key for key, _count in totals.most_common(SOURCES_SHOWN)]
    known = dict(Source.objects.filter(pk__in=[key for key in shown if key]).values_list("pk", "name"))
    names = {key: known.get(key or 0, "–") for key in shown}
    highest = max((sum(counts.values()) for counts in by_hour.values()), default=0)
    bars = []
    for place, hour in enumerate(hours):
        label = f"{timezone.localtime(hour):%H:%M}"
        pieces = _pieces(by_hour[hour], names, highest, label)
        bars.append({"x": place * 40, "label": label, "pieces": pieces})
    legend = [(names[key], number, totals[key]) for number, key in enumerate(shown)]
    others = sum(totals.values()) - sum(totals[key] for key in shown)
    if others:
        legend.append((_("others"), SOURCES_SHOWN, others))
    return {"bars": bars, "legend": legend, "highest": highest, "total": sum(totals.values()), "height": CHART_HEIGHT}


def _counted(hours: list[datetime], now: datetime) -> dict[datetime, Counter[int | None]]:
    """Return the new articles of 24 hours in a row, each counted by the source in which it was seen first.

    Hours that are over do not change any more: they are counted once and kept for a while.
    """
    names = {hour: f"newss-articles-{hour:%Y%m%d%H%M}" for hour in hours}
    kept = cache.get_many(names.values())
    found = {hour: kept[name] for hour, name in names.items() if name in kept}
    missing = [hour for hour in hours if hour not in found]
    found |= {hour: Counter() for hour in missing}
    # Local hours need not begin with those of UTC; an offset that stays the same has each of them once.
    zone = fixed_offset(timedelta(minutes=-hours[0].minute))
    first = ArticleSource.objects.filter(article=OuterRef("pk")).order_by("first_seen_at", "pk").values("source")
    rows = (
        Article.objects.filter(created_at__gte=missing[0])
        .order_by()
        .annotate(hour=ExtractHour("created_at", tzinfo=zone), source_key=Subquery(first[:1]))
        .values_list("hour", "source_key")
        .annotate(Count("pk"))
    )
    by_number = {hour.astimezone(zone).hour: hour for hour in missing}
    for number, key, count in rows:
        if number in by_number:
            found[by_number[number]][key] += count
    closed = {names[hour]: found[hour] for hour in missing if hour + timedelta(hours=1) < now - SETTLED}
    cache.set_many(closed, KEPT_SECONDS)
    return found


def _pieces(
    counts: Counter[int | None], names: dict[int | None, str], highest: int, label: str
) -> list[dict[str, Any]]:
    """Return the parts of an hour's bar: one for each source with a colour of its own, the others together on top."""
    parts = [(name, counts[key]) for key, name in names.items()]
    parts.append((_("others"), counts.total() - sum(count for _name, count in parts)))
    pieces, top = [], float(CHART_HEIGHT)
    for number, (name, count) in enumerate(parts):
        if count:
            height = CHART_HEIGHT * count / highest
            top -= height
            title = f"{label}: {name}, {localize(count)}"
            pieces.append({"y": round(top, 1), "height": round(height, 1), "colour": number, "title": title})
    return pieces


def _figures(now: datetime, *, runs: bool, sources: bool, articles: bool) -> Any:
    today = Window.today(now)
    if runs:
        counts, before = figures.run_counts(today), figures.run_counts(today.day_before)
        percent = counts.percent_succeeded
        words = [] if percent is None else [_("%d %% succeeded") % percent]
        words += [_("%s partial") % localize(counts.partial)] if counts.partial else []
        yield Figure(
            title=_("Runs today"),
            value=localize(counts.total),
            detail=", ".join(words),
            change=_change(counts.total - before.total),
            is_better=None,
            address=reverse("admin:scheduling_run_changelist"),
        )
    if articles:
        count, earlier = _new_articles(today), _new_articles(today.day_before)
        yield Figure(
            title=_("New articles today"),
            value=localize(count),
            detail="",
            change=_change(count - earlier),
            is_better=None if count == earlier else count > earlier,
            address=reverse("admin:scrapers_article_changelist"),
        )
    if sources:
        healthy, failing = Source.objects.healthy().count(), Source.objects.failing().count()
        failed_before = _failing_yesterday(now)
        yield Figure(
            title=_("Sources healthy"),
            value=_("%(healthy)s of %(all)s") % {"healthy": localize(healthy), "all": localize(healthy + failing)},
            detail=_("%s failing") % localize(failing) if failing else "",
            change=_("%s failing against yesterday by now") % _signed(failing - failed_before)
            if failing != failed_before
            else _("as yesterday by now"),
            is_better=None if failing == failed_before else failing < failed_before,
            address=reverse("admin:scrapers_source_changelist"),
        )
    if runs:
        lag, lag_before = figures.median_lag(today), figures.median_lag(today.day_before)
        known = lag is not None and lag_before is not None
        yield Figure(
            title=_("Median lag of a fire"),
            value="–" if lag is None else display.lag_words(lag),
            detail="",
            change=_("yesterday %s") % display.lag_words(lag_before) if lag_before is not None else "",
            is_better=(lag or 0) <= (lag_before or 0) if known else None,
            address=reverse("admin:scheduling_run_changelist") + "?cause__exact=schedule",
        )


def _change(difference: int) -> str:
    if not difference:
        return _("as yesterday by now")
    return _("%s against yesterday by now") % _signed(difference)


def _signed(difference: int) -> str:
    """Return a difference with its sign and separators."""
    return f"{'+' if difference > 0 else '-'}{localize(abs(difference))}"


def _failing_yesterday(now: datetime) -> int:
    """Return how many of the sources that are polled had failed at their last poll before this time yesterday.

    One look at the end of an index for each source, which need not be taken at every glance.
    """
    kept: int | None = cache.get(FAILING_YESTERDAY)
    if kept is None:
        before = SourceResult.objects.filter(source=OuterRef("pk"), started_at__lt=now - timedelta(days=1))
        last = before.order_by("-started_at", "-id").values("status")[:1]
        polled = Source.objects.pollable().annotate(last=Subquery(last))
        kept = polled.filter(last=ResultStatus.FAILED).count()
        cache.set(FAILING_YESTERDAY, kept, FAILING_KEPT_SECONDS)
    return kept


def _new_articles(window: Window) -> int:
    return Article.objects.filter(created_at__gte=window.start, created_at__lt=window.end).count()
