"""What people do with NEWSS, done in a real browser with a real scheduler and the sample news site.

Plain forms, which tests without a browser fill in too, are for the long form.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from scheduling.models import Backfill, Run, RunStatus, Schedule, TriggerKind
from scrapers.models import Article, Source
from tests import factories
from tests.browser.conftest import SECONDS, Visitor
from tests.scheduling.conftest import SchedulerProcess, wait_until
from tests.site import SiteServer

expect.set_options(timeout=SECONDS * 1000)
Visit = Callable[..., Visitor]
Start = Callable[..., SchedulerProcess]


def feed(site: SiteServer, number: int, path: str) -> Source:
    return Source.objects.create(name=f"Outlet {number}", url=f"http://127.0.0.{number}:{site.port}/{path}")


def test_a_person_logs_in_at_the_form(visit: Visit) -> None:
    visitor = visit()
    visitor.page.context.clear_cookies()
    page = visitor.open("/admin/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill("secret")
    page.locator("button[type=submit]").click()
    expect(page.get_by_text("No scheduler is running")).to_be_visible()


def test_a_schedule_is_made_with_the_preview_beside_it(visit: Visit) -> None:
    page = visit().open("/admin/scheduling/schedule/add/")
    page.locator("#id_name").fill("Morning press")
    page.locator("#id_trigger_kind").select_option(TriggerKind.CRONTAB)
    page.locator("#id_crontab").fill("30 6 * * 1-5")
    expect(page.locator("#newss-preview")).to_contain_text("At 06:30 on Monday through Friday")
    page.locator("#id_crontab").fill("61 6 * * *")
    with page.expect_navigation():
        page.locator("[name=_save]").click()
    expect(page.locator("#id_name")).to_have_value("Morning press")
    expect(page.locator("#id_crontab")).to_have_value("61 6 * * *")
    page.locator("#id_crontab").fill("30 6 * * 1-5")
    with page.expect_navigation():
        page.locator("[name=_save]").click()
    expect(page.get_by_text("At 06:30 on Monday through Friday").first).to_be_visible()
    assert Schedule.objects.get().crontab == "30 6 * * 1-5"


def test_a_run_with_other_parameters_is_watched_to_its_end_and_its_articles_are_read(
    visit: Visit, start_scheduler: Start, site: SiteServer
) -> None:
    feed(site, 11, "feed.rss")
    schedule = factories.schedule(
        name="Front pages", job="run_all_scrapers", trigger_kind=TriggerKind.MANUAL, parameters={"limit": None}
    )
    start_scheduler(NEWSS_HOST_DELAY_SECONDS="0")
    visitor = visit()
    page = visitor.open(f"/admin/scheduling/schedule/{schedule.pk}/run-with/")
    page.locator("[name$=limit]").fill("2")
    page.locator(".newss-form [type=submit]").first.click()
    page.wait_for_url(re.compile(r"/run/\d+/"))
    expect(page.locator("body")).to_contain_text("succeeded")
    expect(page.locator("body")).to_contain_text("2 new articles from 1 source")
    assert Run.objects.get().parameters["limit"] == 2
    schedule.refresh_from_db()
    assert schedule.parameters == {"limit": None}, "the schedule stays as it is"
    article = Article.objects.order_by("pk").first()
    assert article is not None
    page = visitor.open(f"/admin/scrapers/article/?q={article.title.split()[-1]}")
    page.get_by_role("link", name=article.title).first.click()
    expect(page.locator("body")).to_contain_text(article.text.split("\n")[0][:60])


def test_a_running_run_is_cancelled_from_its_page(visit: Visit, start_scheduler: Start) -> None:
    schedule = factories.schedule(
        name="Long", job="sleep", parameters={"seconds": 600.0}, trigger_kind=TriggerKind.MANUAL
    )
    start_scheduler()
    page: Page = visit().open("/admin/scheduling/schedule/")
    page.get_by_role("button", name=re.compile("Run now")).first.click()
    page.wait_for_url(re.compile(r"/run/\d+/"))
    expect(page.locator("body")).to_contain_text("going to sleep")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("body")).to_contain_text("Cancelled by admin while it ran")
    assert Run.objects.get(schedule=schedule).status == RunStatus.CANCELLED


def test_a_schedule_is_paused_with_a_reason_and_resumed(visit: Visit) -> None:
    schedule = factories.schedule(name="Front pages")
    page = visit().open(f"/admin/scheduling/schedule/{schedule.pk}/change/")
    page.get_by_role("link", name="Pause…").click()
    page.locator("[name=reason]").fill("the outlet moves")
    page.locator(".newss-form [type=submit]").first.click()
    expect(page.locator("body")).to_contain_text("the outlet moves")
    schedule.refresh_from_db()
    assert schedule.is_paused()
    page.goto(f"{page.url.split('/admin/')[0]}/admin/scheduling/schedule/{schedule.pk}/change/")
    page.get_by_role("button", name="Resume").click()
    wait_until(lambda: not Schedule.objects.get().is_paused())


@pytest.mark.long
def test_a_gap_is_backfilled_after_a_preview(visit: Visit) -> None:
    schedule = factories.schedule(name="Hourly", trigger_kind=TriggerKind.CRONTAB, crontab="0 * * * *")
    page = visit().open(f"/admin/scheduling/schedule/{schedule.pk}/backfill/")
    for name, day, time in (("window_start", "2026-01-05", "00:30"), ("window_end", "2026-01-05", "03:30")):
        page.locator(f"[name={name}_0]").fill(day)
        page.locator(f"[name={name}_1]").fill(time)
    page.locator(".newss-form [type=submit]").first.click()
    expect(page.locator("body")).to_contain_text("What would run: 3")
    page.locator("[name=_start]").click()
    wait_until(Backfill.objects.exists)
    # What was typed is in the schedule's zone, UTC; the person is in Berlin.
    assert sorted(Run.objects.values_list("scheduled_for__hour", flat=True)) == [1, 2, 3]


@pytest.mark.long
def test_everything_is_held_and_every_page_says_so(visit: Visit) -> None:
    factories.schedule(name="Front pages")
    visitor = visit()
    page = visitor.open("/admin/scheduling/schedule/hold/")
    page.locator("[name=reason]").fill("moving house")
    page.locator(".newss-form [type=submit]").first.click()
    for path in ("/admin/", "/admin/scrapers/article/", "/admin/scheduling/run/"):
        expect(visitor.open(path).locator("body")).to_contain_text("moving house")


def test_the_switch_in_the_list_changes_that_one_field(visit: Visit) -> None:
    schedule = factories.schedule(name="Front pages", description="kept")
    page = visit().open("/admin/scheduling/schedule/")
    page.locator(".newss-switch").first.click()
    wait_until(lambda: not Schedule.objects.get().enabled)
    before = {**schedule.__dict__, "enabled": False}
    after = Schedule.objects.get().__dict__
    assert {name for name in before if not name.startswith("_") and before[name] != after[name]} == {"version"}


@pytest.mark.long
def test_an_opml_file_becomes_sources(visit: Visit, tmp_path: Path) -> None:
    file = tmp_path / "mine.opml"
    file.write_text(
        '<opml version="2.0"><body><outline text="News"><outline text="Herald" xmlUrl="https://herald.example/f"/></outline></body></opml>'
    )
    page = visit().open("/admin/scrapers/source/import-opml/")
    page.set_input_files("[name=file]", str(file))
    page.locator(".newss-form [type=submit]").first.click()
    expect(page.locator("body")).to_contain_text("1 source is new")
    assert Source.objects.get().tags.get().name == "News"


def test_a_source_is_discovered_tried_and_added(visit: Visit, site: SiteServer) -> None:
    visitor = visit()
    page = visitor.open("/admin/scrapers/source/")
    page.locator("a[href$='/source/add/']").first.click()
    page.fill("[name=url]", f"{site.feed_url('courier').rpartition('/')[0]}/")
    page.get_by_role("button", name="Discover").click()
    expect(page.locator("body")).to_contain_text("What can be collected there")
    best = page.locator(".scrapers-found").filter(has_text="best").first
    best.get_by_role("button", name="Try it").click()
    expect(page.locator("body")).to_contain_text("Nothing was stored.")
    assert not Source.objects.exists()
    page.get_by_role("button", name="Add as a source").click()
    page.wait_for_url(re.compile(r"/source/\d+/change/"))
    source = Source.objects.get()
    assert (source.url, source.kind) == (site.feed_url("courier"), "feed")
    expect(page.locator("[name=name]")).to_have_value(source.name)


def test_pages_can_be_used_without_javascript(browser: Browser, live_server: Any, transactional_db: None) -> None:
    factories.user(username="admin", password="secret", is_superuser=True)
    on = factories.schedule(name="Front pages", job="echo", parameters={"text": "hello"})
    factories.schedule(name="Off", enabled=False)
    factories.run(schedule=on, schedule_name="Front pages")
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1440, "height": 1200})
    page = context.new_page()
    page.goto(f"{live_server.url}/admin/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill("secret")
    page.locator("button[type=submit]").click()
    for path in ("", "scheduling/run/", "scheduling/schedule/"):
        page.goto(f"{live_server.url}/admin/{path}")
        # A click reaches only what nothing lies upon.
        page.get_by_role("link", name="Front pages").last.click(trial=True)
    page.locator("#changelist-filter a", has_text="No").first.click()
    expect(page.locator("#result_list")).not_to_contain_text("Front pages")
    page.get_by_role("link", name="Invert: enabled").click()
    expect(page.locator("#result_list")).to_contain_text("Front pages")
    page.locator(".newss-switch").first.click()
    wait_until(lambda: not Schedule.objects.get(pk=on.pk).enabled)
    page.goto(f"{live_server.url}/admin/scrapers/source/")
    Source.objects.create(name="Herald", url="https://herald.example/feed")
    page.locator("#filter-form select[name=enabled]").select_option("0")
    page.get_by_role("button", name="Apply Filters").click()
    expect(page.locator("body")).not_to_contain_text("Herald")
    context.close()


def test_a_list_is_filtered_turned_round_found_again_and_reset(visit: Visit) -> None:
    for name, enabled in (("Herald", True), ("Quiet", False)):
        Source.objects.create(name=name, url=f"https://{name.lower()}.example/feed", enabled=enabled)
    visitor = visit()
    page = visitor.open("/admin/scrapers/source/")
    page.get_by_text("Filters").first.click()
    page.locator("#filter-form select[name=enabled]").select_option("0")
    page.get_by_role("button", name="Apply Filters").click()
    rows = page.locator("#result_list")
    expect(rows).to_contain_text("Quiet")
    expect(rows).not_to_contain_text("Herald")
    page.get_by_role("link", name="Invert: enabled").click()
    expect(rows).not_to_contain_text("Quiet")
    visitor.open("/admin/").locator("a[href='/admin/scrapers/source/']").first.click()
    expect(rows).not_to_contain_text("Quiet")
    page.get_by_role("link", name="Reset", exact=True).click()
    expect(rows).to_contain_text("Quiet")


def test_many_schedules_are_edited_at_once_after_a_preview(visit: Visit) -> None:
    for number in range(30):
        factories.schedule(name=f"S{number:02}", max_retries=0)
    page = visit().open("/admin/scheduling/schedule/")
    page.locator("#action-toggle").check()
    page.get_by_text("Select all 30 schedules").click()
    page.select_option("select[name=action]", "edit_many")
    page.locator("button[name=index]").click()
    page.locator("[name='edit-max_retries']").fill("3")
    page.locator("[name='edit-max_retries']").blur()
    expect(page.locator("[name=chosen][value=max_retries]")).to_be_checked()
    page.locator("[name=_preview]").click()
    page.get_by_role("button", name="Change 30 schedules").click()
    expect(page.locator("body")).to_contain_text("30 schedules are changed.")
    assert set(Schedule.objects.values_list("max_retries", flat=True)) == {3}


def test_a_language_is_chosen_in_the_user_s_menu_and_stays(visit: Visit) -> None:
    visitor = visit()
    page = visitor.open("/admin/")
    menu = page.get_by_role("button", name="Menu of admin")
    menu.focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Deutsch").click()
    expect(page.get_by_role("link", name="Zeitpläne").first).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "de"
    page = visitor.open("/admin/scheduling/schedule/")
    page.get_by_role("button", name="Menü von admin").click()
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("link", name="Schedules").first).to_be_visible()
    assert page.url.endswith("/admin/scheduling/schedule/")
