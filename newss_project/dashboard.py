"""The admin's first page: what the scheduler does, how the day goes, what needs attention, what comes next.

Runs and schedules are counted by `scheduling`, sources and articles here. Each part is added for those who may see it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import TruncHour
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from scheduling import display, figures, lanes, overview
from scheduling.admin.schedule_rows import first_due
from scheduling.figures import Window
from scheduling.jobs import registry
from scheduling.models import Run
from scrapers.models import Article, ArticleSource, Source

SHOWN = 10
SOURCES_SHOWN = 6
"""So many sources have a colour of their own in the chart of articles."""
CHART_HEIGHT = 120


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
    return context | {"title": "", "live_url": reverse("dashboard_live")} | parts(request)


def live(request: HttpRequest) -> HttpResponse:
    """Answer the dashboard's part that changes; the header says after how many seconds to ask again."""
    shown = parts(request)
    busy = "strip" in shown and (shown["strip"].running or shown["strip"].queued)
    html = render_to_string("newss_project/dashboard.html", shown, request)
    return HttpResponse(html, headers={"Newss-Next": "2" if busy else "5"})


def parts(request: HttpRequest) -> dict[str, Any]:
    """Return what the person may see."""
    now = timezone.now()
    may = request.user.has_perm
    runs, schedules = may("scheduling.view_run"), may("scheduling.view_schedule")
    sources, articles = may("scrapers.view_source"), may("scrapers.view_article")
    shown: dict[str, Any] = {"figures": list(_figures(now, runs=runs, sources=sources, articles=articles))}
    if runs:
        shown |= {
            "strip": overview.strip(now),
            "lanes": lanes.draw(now),
            "recent_runs": list(Run.objects.order_by("-queued_at", "-id")[:SHOWN]),
        }
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
    start = timezone.localtime(now).replace(minute=0, second=0, microsecond=0) - timedelta(hours=23)
    first = ArticleSource.objects.filter(article=OuterRef("pk")).order_by("first_seen_at", "pk").values("source__name")
    rows = (
        Article.objects.filter(created_at__gte=start)
        .order_by()
        .annotate(hour=TruncHour("created_at"), source_name=Subquery(first[:1]))
        .values_list("hour", "source_name")
        .annotate(Count("pk"))
    )
    by_hour: dict[datetime, Counter[str]] = {}
    totals: Counter[str] = Counter()
    for hour, name, count in rows:
        by_hour.setdefault(hour, Counter())[name or "–"] += count
        totals[name or "–"] += count
    names = [name for name, _count in totals.most_common(SOURCES_SHOWN)]
    highest = max((sum(counts.values()) for counts in by_hour.values()), default=0)
    bars = []
    for place in range(24):
        hour = start + timedelta(hours=place)
        counts = by_hour.get(hour, Counter())
        label = f"{hour:%H:%M}"
        bars.append({"x": place * 40, "label": label, "pieces": _pieces(counts, names, highest, label)})
    others = sum(totals.values()) - sum(totals[name] for name in names)
    legend = [(name, number, totals[name]) for number, name in enumerate(names)]
    if others:
        legend.append((_("others"), SOURCES_SHOWN, others))
    return {"bars": bars, "legend": legend, "highest": highest, "total": sum(totals.values()), "height": CHART_HEIGHT}


def _pieces(counts: Counter[str], names: list[str], highest: int, label: str) -> list[dict[str, Any]]:
    pieces, top = [], float(CHART_HEIGHT)
    for number, name in enumerate([*names, ""]):
        count = counts[name] if name else sum(n for other, n in counts.items() if other not in names)
        if count:
            height = CHART_HEIGHT * count / highest
            top -= height
            title = f"{label}: {name or _('others')}, {count}"
            pieces.append({"y": round(top, 1), "height": round(height, 1), "colour": number, "title": title})
    return pieces


def _figures(now: datetime, *, runs: bool, sources: bool, articles: bool) -> Any:
    today = Window.today(now)
    if runs:
        counts, before = figures.run_counts(today), figures.run_counts(today.day_before)
        percent = counts.percent_succeeded
        words = [] if percent is None else [_("%d %% succeeded") % percent]
        words += [_("%d partial") % counts.partial] if counts.partial else []
        yield Figure(
            title=_("Runs today"),
            value=str(counts.total),
            detail=", ".join(words),
            change=_change(counts.total - before.total),
            is_better=None,
            address=reverse("admin:scheduling_run_changelist"),
        )
    if articles:
        count, earlier = _new_articles(today), _new_articles(today.day_before)
        yield Figure(
            title=_("New articles today"),
            value=str(count),
            detail="",
            change=_change(count - earlier),
            is_better=None if count == earlier else count > earlier,
            address=reverse("admin:scrapers_article_changelist"),
        )
    if sources:
        healthy, failing = Source.objects.healthy().count(), Source.objects.failing().count()
        yield Figure(
            title=_("Sources healthy"),
            value=_("%(healthy)d of %(all)d") % {"healthy": healthy, "all": healthy + failing},
            detail=_("%d failing") % failing if failing else "",
            change="",
            is_better=not failing,
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
    return _("%+d against yesterday by now") % difference


def _new_articles(window: Window) -> int:
    return Article.objects.filter(created_at__gte=window.start, created_at__lt=window.end).count()
