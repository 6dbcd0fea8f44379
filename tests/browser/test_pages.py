"""Each page in a real browser: no violation of WCAG 2.1 A and AA, no sideways scroll, no complaint in the console."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User
from django.utils import timezone
from playwright.sync_api import expect

from scheduling.models import Cause, Run, RunLog, RunStatus, Schedule, Tag
from scrapers import topics
from scrapers.models import Article, ArticleSource, Source, SourceResult, Topic, url_hash
from tests import factories
from tests.browser.conftest import Visitor
from tests.site import SiteServer

PAGES = {
    "dashboard": "/admin/",
    "schedules": "/admin/scheduling/schedule/",
    "schedule": "/admin/scheduling/schedule/{schedule}/change/",
    "new schedule": "/admin/scheduling/schedule/add/",
    "history of a schedule": "/admin/scheduling/schedule/{schedule}/history/",
    "run with": "/admin/scheduling/schedule/{schedule}/run-with/",
    "pause": "/admin/scheduling/schedule/pause/?ids={schedule}",
    "backfill": "/admin/scheduling/schedule/{schedule}/backfill/",
    "hold": "/admin/scheduling/schedule/hold/",
    "runs": "/admin/scheduling/run/",
    "runs, narrowed": "/admin/scheduling/run/?status__exact=succeeded&not=status__exact&cause__exact=manual",
    "run": "/admin/scheduling/run/{run}/change/",
    "coming up": "/admin/scheduling/schedule/coming-up/",
    "scheduler processes": "/admin/scheduling/schedulerinstance/",
    "backfills": "/admin/scheduling/backfill/",
    "sources": "/admin/scrapers/source/",
    "source": "/admin/scrapers/source/{source}/change/",
    "history of a source": "/admin/scrapers/source/{source}/history/",
    "results": "/admin/scrapers/sourceresult/",
    "inherited settings": "/admin/scrapers/settingslevel/",
    "new source": "/admin/scrapers/source/add/",
    "import OPML": "/admin/scrapers/source/import-opml/",
    "articles": "/admin/scrapers/article/",
    "article": "/admin/scrapers/article/{article}/change/",
    "hosts": "/admin/scrapers/host/",
    "tags": "/admin/scheduling/tag/",
    "topics": "/admin/scrapers/topic/",
    "topic": "/admin/scrapers/topic/{topic}/change/",
    "new topic": "/admin/scrapers/topic/add/",
    "starter list": "/admin/scrapers/source/starter/",
    "try a selector": "/admin/scrapers/source/try-selector/",
}
# Looked at in the long run only: they are made of the same parts.
RARE = {
    "pause of a source": "/admin/scrapers/source/{source}/pause/",
    "retry all failing": "/admin/scrapers/source/retry-failing",
    "deletion of a source": "/admin/scrapers/source/{source}/delete/",
    "deletion of a schedule": "/admin/scheduling/schedule/{schedule}/delete/",
    "new inherited settings": "/admin/scrapers/settingslevel/add/",
    "new tag": "/admin/scheduling/tag/add/",
    "import and export": "/admin/move/",
    "users": "/admin/auth/user/",
    "new user": "/admin/auth/user/add/",
    "user": "/admin/auth/user/{user}/change/",
    "groups": "/admin/auth/group/",
    "group": "/admin/auth/group/{group}/change/",
    "password": "/admin/password_change/",
    "nothing at this address": "/admin/nothing/",
}
DAILY = (
    "dashboard",
    "schedules",
    "schedule",
    "backfill",
    "runs",
    "run",
    "coming up",
    "sources",
    "source",
    "articles",
    "article",
    "topic",
)
"""What people work with all day: the short form looks at half of these."""
SHORT = [(390, "dark")]
# The widest words where there is the least room; English ones are looked at by the next test, and at length.
PAGES_SHORT = [(390, "dark", "de")]
PAGES_LONG = [
    (1440, "light", "de"),
    *((*case, "en") for case in [(390, "dark"), (1440, "light"), (1440, "dark"), (390, "light")]),
]
GEOMETRY = re.compile(r'\b(?:x|y|x1|x2|y1|y2|width|height|viewBox|d|points)="[^"]*\d,\d')
LONG = [(1440, "light"), (1440, "dark"), (390, "light")]


@pytest.fixture
def rows(transactional_db: None) -> dict[str, int]:
    """Return the keys of rows of each kind: a schedule with runs of every status, a source, an article."""
    now = timezone.now()
    schedule: Schedule = factories.schedule(name="Front pages")
    schedule.tags.add(Tag.objects.create(name="daily"))
    factories.schedule(name="Paused one").pause(None, "waits for the press office")
    made: Run = factories.run(
        schedule=schedule,
        schedule_name=schedule.name,
        job="run_all_scrapers",
        status=RunStatus.PARTIAL,
        started_at=now - timedelta(minutes=2),
        finished_at=now - timedelta(minutes=1),
        outcome="1 of 2 sources failed: Broken Press: it answered 500.",
        traceback="Traceback: none",
    )
    RunLog.objects.create(run=made, at=now, message="a line of the log")
    for status in RunStatus.final():
        if status not in (RunStatus.PARTIAL, RunStatus.MISSED):
            factories.run(
                schedule=schedule,
                schedule_name=schedule.name,
                status=status,
                started_at=now,
                finished_at=now,
                outcome="Why.",
            )
    factories.run(schedule=schedule, schedule_name=schedule.name, cause=Cause.API)
    source = Source.objects.create(name="Herald", url="https://herald.example/feed")
    SourceResult.objects.create(
        run=made,
        source=source,
        source_name="Herald",
        status="failed",
        failure_class="server_error",
        error="It answered 500.",
    )
    url = "https://herald.example/story"
    article = Article.objects.create(
        url=url,
        url_hash=url_hash(url),
        title="A story",
        text="First.\n\nSecond.",
        authors=["Ann Author"],
        published_at=now,
        language="en",
    )
    ArticleSource.objects.create(article=article, source=source, item_key="1")
    topic = Topic.objects.create(name="Stories", query="story OR first")
    topics.apply(topic)
    return {"schedule": schedule.pk, "run": made.pk, "source": source.pk, "article": article.pk, "topic": topic.pk}


def check(visitor: Visitor, path: str, width: int) -> list[str]:
    page = visitor.open(path)
    page.wait_for_load_state("networkidle")
    return [f"{path} at {width}: {line}" for line in shortcomings(visitor, width)]


def look_at(visitor: Visitor, paths: list[str], rows: dict[str, int], width: int, language: str) -> None:
    visitor.speak(language)
    found = [line for path in paths for line in check(visitor, path.format(**rows), width)]
    assert not found, "\n".join(found)


def shortcomings(visitor: Visitor, width: int) -> list[str]:
    """Return what is wrong with the page that is open: for some people to use, or at this width for anyone."""
    found = visitor.violations()
    if visitor.width() > width:
        found.append(f"the page is {visitor.width()} wide at {width}")
    # German has a comma where drawings want a point.
    found += [f"a drawing has {piece}" for piece in GEOMETRY.findall(visitor.page.content())]
    return found


@pytest.mark.parametrize(("width", "scheme", "language"), PAGES_SHORT)
def test_the_pages_of_each_day_are_accessible_and_fit(
    visit: Callable[..., Visitor], rows: dict[str, int], width: int, scheme: str, language: str
) -> None:
    """Half of them by turns, as the seed of the random order falls; the long form looks at all, in every look."""
    names = random.sample(DAILY, len(DAILY) // 2)
    look_at(visit(width, scheme), [PAGES[name] for name in names], rows, width, language)


@pytest.mark.long
@pytest.mark.parametrize(("width", "scheme", "language"), [*PAGES_SHORT, *PAGES_LONG])
def test_every_page_is_accessible_and_fits(
    visit: Callable[..., Visitor], rows: dict[str, int], width: int, scheme: str, language: str
) -> None:
    look_at(visit(width, scheme), list(PAGES.values()), rows, width, language)


@pytest.mark.long
@pytest.mark.parametrize(("width", "scheme"), [*SHORT, *LONG])
def test_rarer_pages_and_what_an_action_asks_are_accessible_and_fit(
    visit: Callable[..., Visitor], rows: dict[str, int], width: int, scheme: str
) -> None:
    visitor = visit(width, scheme)
    keys = {**rows, "user": User.objects.get().pk, "group": Group.objects.order_by("pk").values_list("pk")[0][0]}
    found = [line for path in RARE.values() for line in check(visitor, path.format(**keys), width)]
    # The address that leads nowhere is told to the console, too.
    visitor.complaints[:] = [line for line in visitor.complaints if "404 (Not Found)" not in line]
    page = visitor.open("/admin/scheduling/run/")
    page.locator(".action-select").first.check()
    found += [f"the bar of actions at {width}: {line}" for line in shortcomings(visitor, width)]
    form = page.locator("#changelist-form")
    form.evaluate(
        "(form) => { form.querySelector('[name=action]').value = 'delete_selected';"
        " form.querySelector('[name=select_across]').value = '1';"
        " form.append(Object.assign(document.createElement('input'), {name: 'sure', value: '0', type: 'hidden'})); }"
    )
    with page.expect_navigation():
        form.evaluate("(form) => form.submit()")
    expect(page.locator("body")).to_contain_text("that match")
    found += [f"all that match at {width}: {line}" for line in shortcomings(visitor, width)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("width", "scheme"), [*SHORT, *(pytest.param(*case, marks=pytest.mark.long) for case in LONG)])
def test_what_a_look_and_an_import_bring_is_accessible_and_fits(
    visit: Callable[..., Visitor], site: SiteServer, tmp_path: Path, width: int, scheme: str
) -> None:
    """What stands at no address of its own: the result of Discover, of Try it, of a selector and of an import."""
    visitor = visit(width, scheme)
    home = f"{site.feed_url('courier').rpartition('/')[0]}/"
    found = []

    def judge(what: str, sign: str) -> None:
        expect(visitor.page.locator("main, body").first).to_contain_text(sign)
        found.extend(f"{what} at {width}: {line}" for line in shortcomings(visitor, width))

    page = visitor.open("/admin/scrapers/source/discover/")
    page.fill("[name=url]", home)
    page.locator(".newss-form [type=submit]").first.click()
    judge("Discover", "What can be collected there")
    page.locator(".scrapers-found [formaction]").first.click()
    page.locator(".scrapers-tried details").first.wait_for()
    for fold in page.locator(".scrapers-tried details summary").all()[:4]:
        fold.click()
    judge("Try it", "Nothing was stored.")
    page.locator("[name=selector]").fill("p")
    page.get_by_role("button", name="Show what it finds").click()
    judge("a selector", "times")
    lines = ["https://herald.example/f", "ftp://herald.example/f", "https://herald.example/" + "long/" * 60]
    outlines = "".join(f'<outline text="{"A name " * 12}{n}" xmlUrl="{url}"/>' for n, url in enumerate(lines))
    file = tmp_path / "mine.opml"
    file.write_text(f'<opml version="2.0"><body>{outlines}<outline xmlUrl="{lines[0]}"/></body></opml>')
    visitor.open("/admin/scrapers/source/import-opml/").set_input_files("[name=file]", str(file))
    page.locator(".newss-form [type=submit]").first.click()
    for fold in page.locator(".newss-box details summary").all():
        fold.click()
    judge("the report of an import", "2 sources are new")
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("width", "scheme"), [*SHORT, *(pytest.param(*case, marks=pytest.mark.long) for case in LONG)])
@pytest.mark.parametrize(
    "path", [pytest.param("/admin/scheduling/schedule/", marks=pytest.mark.long), "/admin/scrapers/source/"]
)
def test_edit_many_is_accessible_and_fits(
    visit: Callable[..., Visitor], rows: dict[str, int], width: int, scheme: str, path: str
) -> None:
    visitor = visit(width, scheme)
    page = visitor.open(path)
    page.locator(".action-select").first.check()
    page.select_option("select[name=action]", "edit_many")
    page.locator("button[name=index]").click()
    page.locator(".newss-edit-line [name=chosen]").first.check()
    with page.expect_navigation():
        page.locator("[name=_preview]").click()
    assert page.locator("#changes").count() == 1
    assert visitor.violations() == []
    assert visitor.width() <= width


def test_a_script_that_got_into_a_page_does_not_run(visit: Callable[..., Visitor], rows: dict[str, int]) -> None:
    visitor = visit()
    page = visitor.open("/admin/scheduling/run/")
    page.evaluate(
        "() => { const script = document.createElement('script'); script.textContent = 'window.stolen = 1';"
        " document.body.append(script); const image = document.createElement('div');"
        " image.innerHTML = '<a id=bait onclick=\"window.stolen = 2\">x</a>'; document.body.append(image);"
        " document.getElementById('bait').click(); }"
    )
    page.wait_for_timeout(100)
    assert page.evaluate("window.stolen") is None
    assert any("policy: script-src" in line for line in visitor.complaints)
    visitor.complaints.clear()
