"""What all lists of the admin share: filters that can be turned round, and to be found as they were left."""

from __future__ import annotations

from datetime import timedelta
from unittest.mock import patch

import pytest
from django.test import Client
from django.utils import timezone
from lxml import html

from scheduling.admin import paging
from scheduling.admin.run_filters import ScheduleFilter
from scheduling.admin.runs import RunAdmin
from scheduling.models import Run, RunStatus, TriggerKind
from tests import factories

pytestmark = pytest.mark.django_db

RUNS = "/admin/scheduling/run/"
SCHEDULES = "/admin/scheduling/schedule/"


def names(client: Client, path: str) -> list[str]:
    return [str(row) for row in client.get(path).context["cl"].result_list]


def ended(status: RunStatus, name: str) -> Run:
    now = timezone.now()
    return factories.run(
        status=status, schedule_name=name, started_at=now - timedelta(seconds=3), finished_at=now, queued_at=now
    )


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("enabled__exact=1&not=enabled__exact", ["off"]),
        ("trigger_kind__exact=manual&not=trigger_kind__exact", ["off"]),
        ("tags__id__exact={tag}&not=tags__id__exact", ["off"]),
        ("last=never&not=last", []),
        ("enabled__exact=1&trigger_kind__exact=manual&not=trigger_kind__exact,enabled__exact", ["off"]),
        # Names of nothing that is chosen turn nothing.
        ("not=enabled__exact,nonsense", ["off", "on"]),
    ],
)
def test_each_filter_can_be_turned_round(admin_client: Client, query: str, left: list[str]) -> None:
    on = factories.schedule(name="on", trigger_kind=TriggerKind.MANUAL)
    factories.schedule(name="off", enabled=False)
    tag = on.tags.create(name="daily")
    assert names(admin_client, f"{SCHEDULES}?{query.format(tag=tag.pk)}") == left


def test_a_filter_turned_round_keeps_rows_without_a_value(admin_client: Client) -> None:
    schedule = factories.schedule(name="Front pages")
    of_schedule, of_none = factories.run(schedule=schedule), factories.run()
    page = admin_client.get(f"{RUNS}?schedule__id__exact={schedule.pk}&not=schedule__id__exact")
    assert page.context["cl"].result_list == [of_none]
    assert admin_client.get(f"{RUNS}?schedule__id__exact={schedule.pk}").context["cl"].result_list == [of_schedule]


def test_the_bar_names_what_is_chosen_and_its_links_turn_it_and_take_it_away(admin_client: Client) -> None:
    ended(RunStatus.FAILED, "Bad one")
    ended(RunStatus.SUCCEEDED, "Good one")
    page = admin_client.get(f"{RUNS}?status__exact=failed&cause__exact=manual")
    status, cause = page.context["cl"].chosen
    assert (str(status.title), str(status.words), status.turned) == ("status", "failed", False)
    assert str(cause.words) == "by hand"
    turned = admin_client.get(RUNS + status.turn_url)
    assert [run.schedule_name for run in turned.context["cl"].result_list] == ["Good one"]
    assert "not failed" in turned.content.decode()
    back, _cause = turned.context["cl"].chosen
    assert [run.schedule_name for run in admin_client.get(RUNS + back.turn_url).context["cl"].result_list] == [
        "Bad one"
    ]
    without = admin_client.get(RUNS + back.remove_url)
    assert len(without.context["cl"].result_list) == 2
    assert [str(chosen.title) for chosen in without.context["cl"].chosen] == ["cause"]
    assert "not" not in without.wsgi_request.GET


def test_what_folds_rows_has_no_reverse(admin_client: Client) -> None:
    factories.run(nothing_due=True, schedule=factories.schedule())
    page = admin_client.get(f"{RUNS}?idle=only&not=idle")
    assert len(page.context["cl"].result_list) == 1
    assert [chosen.turn_url for chosen in page.context["cl"].chosen] == [""]


def test_a_list_is_found_as_it_was_left(admin_client: Client) -> None:
    asked = f"{SCHEDULES}?q=front&enabled__exact=1"
    admin_client.get(f"{asked}&p=2", headers={"referer": f"http://testserver{SCHEDULES}"})
    answer = admin_client.get(SCHEDULES, headers={"referer": "http://testserver/admin/"})
    assert (answer.status_code, answer["Location"]) == (302, asked)
    assert admin_client.get(RUNS).status_code == 200, "each list has its own"
    assert Client().get(SCHEDULES)["Location"].startswith("/admin/login/"), "it is the person's own"


def test_a_link_from_elsewhere_is_no_choice_to_remember(admin_client: Client) -> None:
    admin_client.get(f"{RUNS}?status__exact=running", headers={"referer": "http://testserver/admin/"})
    assert admin_client.get(RUNS).status_code == 200


def test_reset_forgets_search_and_filters(admin_client: Client) -> None:
    here = {"referer": f"http://testserver{SCHEDULES}"}
    page = admin_client.get(f"{SCHEDULES}?q=front", headers=here)
    answer = admin_client.get(SCHEDULES + page.context["cl"].reset_url, headers=here)
    assert (answer.status_code, answer["Location"]) == (302, SCHEDULES)
    assert admin_client.get(SCHEDULES).status_code == 200


def test_the_bare_list_asked_for_in_the_list_itself_forgets_too(admin_client: Client) -> None:
    here = {"referer": f"http://testserver{SCHEDULES}?q=front"}
    admin_client.get(f"{SCHEDULES}?q=front", headers=here)
    assert admin_client.get(SCHEDULES, headers=here).status_code == 200
    assert admin_client.get(SCHEDULES, headers={"referer": "http://testserver/admin/"}).status_code == 200


def test_what_the_list_does_not_understand_is_not_remembered(admin_client: Client) -> None:
    here = {"referer": f"http://testserver{SCHEDULES}"}
    broken = admin_client.get(f"{SCHEDULES}?enabled__exact=nope", headers=here)
    assert broken["Location"].endswith("?e=1")
    assert admin_client.get(broken["Location"], headers=here).status_code == 200
    assert admin_client.get(SCHEDULES).status_code == 200


def test_of_many_schedules_the_chosen_one_is_always_offered(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduling.admin.run_filters.SCHEDULES_LISTED", 2)
    made = [factories.schedule(name=f"S{number}") for number in range(4)]
    page = admin_client.get(f"{RUNS}?schedule__id__exact={made[3].pk}")
    spec = next(spec for spec in page.context["cl"].filter_specs if isinstance(spec, ScheduleFilter))
    assert [name for _key, name in spec.lookup_choices] == ["S3", "S0"]


@pytest.mark.parametrize("address", ["auth/user", "auth/group", "django_apscheduler/djangojob"])
def test_lists_that_others_bring_refuse_too_many_words_as_ours_do(admin_client: Client, address: str) -> None:
    page = admin_client.get(f"/admin/{address}/", {"q": "word " * 1_500}).content.decode()
    assert "At most 100 words can be searched for." in page


def test_where_not_all_are_counted_the_choice_of_all_that_match_names_no_number(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "COUNTED_AHEAD", 1)
    monkeypatch.setattr(RunAdmin, "list_per_page", 2)
    for _number in range(4):
        factories.run()
    assert "Select all 4 runs" in admin_client.get(RUNS).content.decode()
    factories.run()
    page = admin_client.get(RUNS).content.decode()
    assert "Select all runs that match" in page and "Select all 4 runs" not in page


def test_a_narrow_screens_card_unfolds_what_it_leaves_out_without_javascript(admin_client: Client) -> None:
    factories.run()
    (row,) = html.fromstring(admin_client.get(RUNS).content).cssselect("#result_list tr.newss-row-card")
    shown = [cell.get("data-label") for cell in row.cssselect(".newss-on-card")]
    assert shown == ["Run", "Status", "When", "Duration"]
    assert [cell.get("data-label") for cell in row.cssselect(".newss-folded")] == ["Counts", "Why"]
    assert row.cssselect("td.newss-more details summary")[0].text_content() == "More"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("schedule", "No schedule yet"),
        ("run", "Nothing has run yet"),
        ("backfill", "No backfill yet"),
        ("schedulerinstance", "No scheduler was started yet"),
    ],
)
def test_an_empty_list_says_what_to_do_next_and_one_that_is_narrowed_to_nothing_does_not(
    admin_client: Client, address: str, words: str
) -> None:
    assert words in admin_client.get(f"/admin/scheduling/{address}/").content.decode()
    assert words not in admin_client.get(f"/admin/scheduling/{address}/?q=none").content.decode()


def test_an_address_that_leads_nowhere_is_answered_by_a_page_in_our_own_words(admin_client: Client) -> None:
    answer = admin_client.get("/admin/scheduling/schedule/pause/?ids=999999")
    assert answer.status_code == 404
    assert "There is no such schedule." in answer.content.decode() and "To the dashboard" in answer.content.decode()
    other = admin_client.get("/admin/scheduling/schedule/999999/run-with/")
    assert other.status_code == 404 and "matches the given query" not in other.content.decode()
    assert "There is nothing at this address" in admin_client.get("/nowhere/").content.decode()


def test_who_lacks_the_permission_is_told_so(client: Client) -> None:
    client.force_login(factories.user())
    answer = client.get(SCHEDULES)
    assert answer.status_code == 403 and "Ask an administrator for the permission" in answer.content.decode()


def test_a_broken_page_says_where_the_error_stands(client: Client) -> None:
    client.raise_request_exception = False
    client.force_login(factories.user("scheduling.view_run"))
    with patch("scheduling.admin.runs.RunAdmin.get_changelist_instance", side_effect=RuntimeError("broken")):
        answer = client.get(RUNS)
    assert answer.status_code == 500 and "The error is in the log" in answer.content.decode()
