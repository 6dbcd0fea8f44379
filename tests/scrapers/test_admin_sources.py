"""The admin of sources: state, figures, filters, actions, the form, permissions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from scheduling.display import clock_html
from scheduling.models import Run, Schedule, Tag, TriggerKind
from scrapers.health import Trouble
from scrapers.jobs import chosen_sources
from scrapers.models import (
    Article,
    ArticleSource,
    PassedItem,
    ResultStatus,
    Source,
    SourceHealth,
    SourceResult,
    url_hash,
)
from scrapers.polled_by import JOB, polled_by
from tests import factories

pytestmark = pytest.mark.django_db

LIST = "/admin/scrapers/source/"
RETRY = "/admin/scrapers/source/retry-failing/"


def source(name: str, **values: Any) -> Source:
    return Source.objects.create(**{"name": name, "url": f"https://{name.lower()}.example/feed", **values})


def failing(name: str, **values: Any) -> Source:
    return source(
        name,
        consecutive_failures=2,
        last_failure_class="server_error",
        last_error=f"{name.lower()}.example answered 500 (server error).",
        last_polled_at=timezone.now(),
        **values,
    )


def healthy(name: str, **values: Any) -> Source:
    return source(name, last_polled_at=timezone.now(), last_success_at=timezone.now(), **values)


def article_in(place: Source, number: int, seen: datetime | None = None) -> Article:
    url = f"{place.url}/{number}"
    made = Article.objects.create(url=url, url_hash=url_hash(url), title=f"Story {number} of {place.name}")
    ArticleSource.objects.create(
        article=made, source=place, item_key=url_hash(url), first_seen_at=seen or timezone.now()
    )
    return made


@pytest.fixture
def editor(client: Client) -> Client:
    """A person who edits sources and starts runs."""
    rights = ("view_source", "add_source", "change_source", "delete_source", "view_article")
    client.force_login(
        factories.user(*(f"scrapers.{right}" for right in rights), "scheduling.start_run", "scheduling.view_schedule")
    )
    return client


@pytest.fixture
def viewer(client: Client) -> Client:
    """A person who only looks."""
    client.force_login(factories.user("scrapers.view_source"))
    return client


def test_an_empty_list_says_what_to_do_next(editor: Client) -> None:
    page = editor.get(LIST).content.decode()
    assert "No source yet" in page and "Add the address of an RSS" in page


def test_the_list_shows_state_error_and_since_when(editor: Client) -> None:
    since = timezone.now() - timedelta(days=200)
    failing("Broken", last_success_at=since - timedelta(days=1), failing_since=since)
    healthy("Well")
    source("Fresh")
    source("Gone", enabled=False)
    source("Held", paused_at=timezone.now(), pause_reason="the outlet is moving house")
    for trouble in filter(None, Trouble.values):
        healthy(f"In{trouble}", trouble=trouble, trouble_detail="its .teaser is gone")
    page = editor.get(LIST).content.decode()
    assert "broken.example answered 500" in page
    assert f"since {clock_html(since)}" in page
    for state in SourceHealth:
        assert f"</span>{state.label}</span>" in page
    assert "the outlet is moving house" in page and "its .teaser is gone" in page


def test_text_of_sources_is_escaped(editor: Client) -> None:
    failing("<script>alert(1)</script>", url="https://x.example/")
    assert "<script>alert" not in editor.get(LIST).content.decode()


@time_machine.travel(datetime(2026, 3, 10, 12, tzinfo=UTC), tick=False)
def test_articles_are_counted_by_day_for_a_week(editor: Client) -> None:
    place = healthy("Well")
    for number, days in enumerate((0, 0, 1, 6, 7)):
        article_in(place, number, timezone.now() - timedelta(days=days))
    page = editor.get(LIST).content.decode()
    assert "03/04/2026: 1" in page and "03/10/2026: 2" in page
    assert '<span class="newss-number">4</span>' in page, "the one of eight days ago is not of this week"


def test_the_list_costs_the_same_queries_whatever_the_rows(editor: Client, django_assert_max_num_queries: Any) -> None:
    tag = Tag.objects.create(name="daily")
    for number in range(30):
        place = failing(f"B{number}") if number % 2 else healthy(f"W{number}")
        place.tags.add(tag)
        article_in(place, number)
    for number in range(5):
        factories.schedule(job=JOB, name=f"Every {number}", parameters={"tags": [tag.pk]})
    with django_assert_max_num_queries(12):
        page = editor.get(LIST).content.decode()
    assert page.count("Poll now</button>") == 30
    assert "Every 0" in page and "and 2 more" in page


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("state=failing", {"Broken"}),
        ("state=!failing", {"Well", "Fresh", "Gone"}),
        ("state=healthy", {"Well"}),
        ("state=new", {"Fresh"}),
        ("state=disabled", {"Gone"}),
        ("enabled=0", {"Gone"}),
        ("enabled=1", {"Broken", "Well", "Fresh"}),
        ("kind=feed", {"Broken", "Well", "Fresh", "Gone"}),
        ("q=well.example", {"Well"}),
        ("state=nonsense", {"Broken", "Well", "Fresh", "Gone"}),
        ("tag=nonsense", {"Broken", "Well", "Fresh", "Gone"}),
    ],
)
def test_the_list_is_filtered_and_searched(editor: Client, query: str, names: set[str]) -> None:
    failing("Broken")
    healthy("Well")
    source("Fresh")
    source("Gone", enabled=False)
    assert {row.name for row in editor.get(f"{LIST}?{query}").context["cl"].result_list} == names


def test_the_list_is_filtered_by_tag(editor: Client) -> None:
    tag = Tag.objects.create(name="daily")
    source("Tagged").tags.add(tag)
    source("Other")
    assert [row.name for row in editor.get(f"{LIST}?tag={tag.pk}").context["cl"].result_list] == ["Tagged"]


def test_every_source_is_in_the_health_that_it_has() -> None:
    made = [failing("Broken"), healthy("Well"), source("Fresh"), source("Gone", enabled=False)]
    made.append(failing("Off and failing", url="https://off.example/", enabled=False))
    for place in made:
        holding = [health for health in SourceHealth if place in Source.objects.in_health(health)]
        assert holding == [place.health]


def test_the_schedules_of_a_source_are_those_whose_run_would_poll_it() -> None:
    tags = [Tag.objects.create(name=name) for name in ("daily", "weekly")]
    places = [source("Plain"), source("Daily"), source("Both")]
    places[1].tags.add(tags[0])
    places[2].tags.add(*tags)
    kinds: list[dict[str, list[int]]] = [
        {},
        {"sources": [places[0].pk]},
        {"tags": [tags[1].pk]},
        {"sources": [places[0].pk], "tags": [tags[0].pk]},
        {"sources": [], "tags": []},
    ]
    for number, parameters in enumerate(kinds):
        factories.schedule(name=f"S{number}", job=JOB, parameters=parameters)
    factories.schedule(name="Something else", job="noop")
    expected = {
        place.pk: [
            f"S{number}"
            for number, chosen in enumerate(kinds)
            if place in chosen_sources(chosen.get("sources", []), chosen.get("tags", []))
        ]
        for place in places
    }
    assert {key: [item.name for item in found] for key, found in polled_by(places).items()} == expected


def act(client: Client, name: str, *chosen: Source) -> Any:
    return client.post(LIST, {"action": name, "_selected_action": [place.pk for place in chosen]}, follow=False)


def test_the_action_poll_now_starts_one_run_of_the_chosen_sources(editor: Client) -> None:
    places = [healthy("A"), healthy("B"), source("Off", enabled=False)]
    answer = act(editor, "poll", *places)
    run = Run.objects.get()
    assert answer.url == run.get_absolute_url()
    assert run.job == JOB and run.parameters["sources"] == [places[0].pk, places[1].pk]
    assert run.requested_by is not None and run.cause == "manual"


def test_polling_only_sources_that_are_off_starts_nothing_and_says_so(editor: Client) -> None:
    act(editor, "poll", source("Off", enabled=False))
    assert not Run.objects.exists()
    assert "no enabled source" in editor.get(LIST).content.decode()


def test_a_double_click_on_poll_now_is_one_run(editor: Client) -> None:
    address = reverse("admin:scrapers_source_poll", args=[healthy("A").pk])
    answers = [editor.post(address, {"request_key": "k1"}) for _ in range(2)]
    assert Run.objects.count() == 1
    assert {answer["Location"] for answer in answers} == {Run.objects.get().get_absolute_url()}


def test_polling_is_refused_without_the_right_to_start_runs(viewer: Client) -> None:
    place = healthy("A")
    assert viewer.post(reverse("admin:scrapers_source_poll", args=[place.pk])).status_code == 403
    assert viewer.post(RETRY).status_code == 403
    act(viewer, "poll", place)
    act(viewer, "disable", place)
    assert not Run.objects.exists()
    assert Source.objects.get().enabled
    page = viewer.get(LIST).content.decode()
    assert "Poll now" not in page and "Retry all failing" not in page


def test_polling_changes_nothing_by_a_mere_visit(editor: Client) -> None:
    failing("A")
    assert editor.get(reverse("admin:scrapers_source_poll", args=[Source.objects.get().pk])).status_code == 405
    assert editor.get(RETRY).status_code == 200
    assert not Run.objects.exists()


def test_retry_all_failing_names_them_and_polls_them_in_one_run(editor: Client) -> None:
    failing("Broken")
    failing("Off", enabled=False)
    healthy("Well")
    page = editor.get(RETRY).content.decode()
    assert "1 source is failing" in page and "Broken" in page and "Well" not in page
    answer = editor.post(RETRY, {"request_key": "again"})
    run = Run.objects.get()
    assert answer["Location"] == run.get_absolute_url()
    assert run.parameters["sources"] == [Source.objects.get(name="Broken").pk]


def test_enable_and_disable_change_that_field_and_leave_history(editor: Client) -> None:
    from django.contrib.admin.models import LogEntry

    places = [healthy("A"), source("B", enabled=False)]
    act(editor, "disable", *places)
    assert not Source.objects.enabled().exists()
    assert [entry.object_repr for entry in LogEntry.objects.all()] == ["A"], "B was off already"
    act(editor, "enable", *places)
    assert Source.objects.enabled().count() == 2


def test_a_source_is_added_with_name_address_kind_and_tags(editor: Client) -> None:
    tag = Tag.objects.create(name="daily")
    values = {"name": "New", "url": " https://new.example/feed ", "kind": "feed", "tags": [tag.pk], "enabled": "on"}
    assert editor.post(f"{LIST}add/", values).status_code == 302
    made = Source.objects.get()
    assert (made.name, made.url, list(made.tags.all())) == ("New", "https://new.example/feed", [tag])


@pytest.mark.anydb
@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"url": "ftp://new.example/"}, "url", "http"),
        ({"url": "https://user:word@new.example/"}, "url", "password"),
        ({"url": "https://taken.example/feed"}, "url", "already a source with this address"),
        ({"name": "Taken"}, "name", "already exists"),
        ({"kind": "carrier-pigeon"}, "kind", "carrier-pigeon"),
        ({"name": ""}, "name", "required"),
    ],
)
def test_what_is_wrong_is_said_at_the_field_and_nothing_typed_is_lost(
    editor: Client, values: dict[str, str], field: str, words: str
) -> None:
    source("Taken")
    typed = {"name": "New", "url": "https://new.example/", "kind": "feed", "enabled": "on", **values}
    answer = editor.post(f"{LIST}add/", typed)
    form = answer.context["adminform"].form
    assert list(form.errors) == [field] and words in str(form.errors[field])
    assert all(form[name].value() == value for name, value in typed.items() if name != "enabled")
    assert Source.objects.count() == 1


def test_the_form_shows_the_last_error_results_and_articles(editor: Client) -> None:
    place = failing("Broken")
    run = factories.run(job=JOB)
    SourceResult.objects.create(
        run=run, source=place, source_name=place.name, status=ResultStatus.OK, seen=4, new=4, http_status=200
    )
    story = article_in(place, 1)
    factories.schedule(name="Every morning", job=JOB, trigger_kind=TriggerKind.MANUAL)
    page = editor.get(f"{LIST}{place.pk}/change/").content.decode()
    assert "broken.example answered 500" in page
    assert run.get_absolute_url() in page
    assert story.title in page and f"/admin/scrapers/article/?source={place.pk}" in page
    assert "Every morning" in page
    assert Schedule.objects.get().get_absolute_url() in page


def test_polling_fields_cannot_be_changed_by_the_form(editor: Client) -> None:
    place = failing("Broken")
    values = {"name": "Broken", "url": place.url, "kind": "feed", "enabled": "on", "consecutive_failures": "0"}
    assert editor.post(f"{LIST}{place.pk}/change/", {**values, "last_error": ""}).status_code == 302
    place.refresh_from_db()
    assert place.consecutive_failures == 2 and place.last_error


def test_an_interval_of_nothing_is_refused_at_its_field_and_an_empty_one_stays(editor: Client) -> None:
    place = healthy("Well")
    values = {"name": "Well", "url": place.url, "kind": "feed", "enabled": "on", "pace": "interval"}
    answer = editor.post(f"{LIST}{place.pk}/change/", {**values, "interval_minutes": "0"})
    assert answer.context["adminform"].form.errors["interval_minutes"]
    assert editor.post(f"{LIST}{place.pk}/change/", {**values, "interval_minutes": ""}).status_code == 302
    place.refresh_from_db()
    assert (place.pace, place.interval_minutes) == ("interval", 60)


def test_deleting_a_source_asks_first_without_listing_its_articles(
    editor: Client, django_assert_max_num_queries: Any
) -> None:
    place = healthy("Well")
    for number in range(20):
        article_in(place, number)
    PassedItem.objects.create(source=place, item_key="x")
    factories.schedule(name="Every morning", job=JOB, trigger_kind=TriggerKind.MANUAL)
    with django_assert_max_num_queries(14):
        page = editor.get(f"{LIST}{place.pk}/delete/").content.decode()
    assert "Story 7" not in page
    assert "20 articles that were seen in it stay." in page
    assert "1 entry that was left out is forgotten." in page
    assert "polled by these schedules: Every morning." in page
    assert editor.post(f"{LIST}{place.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Source.objects.exists() and Article.objects.count() == 20


def test_a_person_without_rights_sees_no_source(client: Client) -> None:
    client.force_login(factories.user())
    assert client.get(LIST).status_code == 403


def test_a_source_is_paused_from_its_page_with_a_reason_until_a_time_and_resumed(editor: Client) -> None:
    made = source("Tides")
    here = f"{LIST}{made.pk}/"
    page = editor.get(f"{here}change/").content.decode()
    assert f'href="{here}pause/"' in page and ">Resume<" not in page
    assert "Pause: Tides" in " ".join(editor.get(f"{here}pause/").content.decode().split())
    typed = {"reason": " it moves house ", "until_0": "2999-01-01", "until_1": "12:00"}
    paused = editor.post(f"{here}pause/", typed, follow=True).content.decode()
    assert "1 source is paused." in paused and "it moves house" in paused
    made.refresh_from_db()
    assert made.paused_at is not None and made.paused_by is not None and made.pause_reason == "it moves house"
    assert made.paused_until is not None and made.paused_until.year == 2999
    assert f'href="{here}pause/"' not in paused and ">Resume<" in paused
    editor.post(f"{here}resume/")
    made.refresh_from_db()
    assert (made.paused_at, made.paused_by, made.pause_reason) == (None, None, "")
    assert editor.get(f"{here}resume/").status_code == 405


def test_who_may_not_change_sources_may_not_pause_them(client: Client) -> None:
    made = source("Tides")
    client.force_login(factories.user("scrapers.view_source"))
    assert "pause/" not in client.get(f"{LIST}{made.pk}/change/").content.decode()
    for step in ("pause", "resume"):
        assert client.post(f"{LIST}{made.pk}/{step}/").status_code == 403


def test_many_sources_are_paused_with_a_reason_until_a_time_and_that_can_be_undone(editor: Client) -> None:
    one, other, held = healthy("One"), healthy("Other"), healthy("Held")
    held.pause("an older reason")
    keys = [one.pk, other.pk, held.pk]
    page = editor.post(LIST, {"action": "pause_many", "_selected_action": keys}, follow=True).content.decode()
    assert "Pause 3 sources" in page and "One" in page
    past = {"reason": "The outlet moves", "until_0": "2020-01-01", "until_1": "12:00"}
    assert "must be in the future" in editor.post(f"{LIST}pause/", past).content.decode()
    page = editor.post(f"{LIST}pause/", {**past, "until_0": "2999-01-01"}, follow=True).content.decode()
    assert "3 sources are paused." in page and "The outlet moves" in page
    assert not Source.objects.pollable().exists()
    # Undo leaves what was paused before as it is.
    assert f'value="{one.pk},{other.pk}"' in page or f'value="{other.pk},{one.pk}"' in page
    editor.post(f"{LIST}resume/", {"ids": f"{one.pk},{other.pk}"})
    assert set(Source.objects.pollable()) == {one, other}
    assert LogEntry.objects.filter(object_id=str(one.pk)).count() == 2


def test_a_pause_that_has_ended_by_its_time_is_none() -> None:
    now = timezone.now()
    place = healthy("Well")
    place.pause("for an hour", until=now + timedelta(hours=1))
    assert Source.objects.get().health == SourceHealth.PAUSED
    assert not Source.objects.pollable().exists() and Source.objects.paused().exists()
    with time_machine.travel(now + timedelta(hours=1), tick=False):
        assert Source.objects.get().health == SourceHealth.HEALTHY
        assert Source.objects.pollable().exists() and not Source.objects.paused().exists()


def test_only_who_may_change_sources_pauses_many(client: Client) -> None:
    client.force_login(factories.user("scrapers.view_source"))
    assert client.get(f"{LIST}pause/").status_code == 403
    assert client.post(f"{LIST}resume/", {"ids": "1"}).status_code == 403
