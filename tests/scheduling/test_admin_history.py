"""The history of a schedule: old and new values, and an earlier version restored."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from scheduling.admin.fields import SpanField
from scheduling.admin.history import follows_of
from scheduling.models import FollowUp, Schedule, Tag
from scrapers.models import Source
from tests import factories
from tests.scheduling.test_admin_schedules import ADD, form_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def edited(admin_client: Client) -> Schedule:
    admin_client.post(ADD, form_of())
    schedule = Schedule.objects.get()
    changes: dict[str, Any] = {"name": "Evening", "crontab": "0 18 * * *", "parameter-text": "bye"}
    assert admin_client.post(schedule.get_absolute_url(), form_of(**changes)).status_code == 302
    schedule.refresh_from_db()
    return schedule


def page(client: Client, schedule: Schedule) -> str:
    return client.get(reverse("admin:scheduling_schedule_history", args=[schedule.pk])).content.decode()


def first_entry() -> LogEntry:
    return LogEntry.objects.order_by("pk")[0]


def test_the_history_shows_old_and_new_values(admin_client: Client, edited: Schedule) -> None:
    shown = page(admin_client, edited)
    for words in ("<del>30 6 * * 1-5</del>", "<ins>0 18 * * *</ins>", "hello", "bye", "<del>Morning</del>"):
        assert words in shown
    assert "Python" not in shown


def test_an_earlier_version_is_restored_and_that_is_noted(admin_client: Client, edited: Schedule) -> None:
    version = edited.version
    address = reverse("admin:scheduling_schedule_restore", args=[edited.pk, first_entry().pk])
    assert address in page(admin_client, edited)
    assert admin_client.post(address)["Location"] == edited.get_absolute_url()
    edited.refresh_from_db()
    assert (edited.name, edited.crontab, edited.parameters) == ("Morning", "30 6 * * 1-5", {"text": "hello"})
    assert edited.version > version
    shown = page(admin_client, edited)
    assert "<ins>Morning</ins>" in shown
    assert "Restored the version of" in shown


def test_a_pause_is_no_part_of_a_version(admin_client: Client, edited: Schedule, admin_user: Any) -> None:
    edited.pause(admin_user, "moving house")
    admin_client.post(reverse("admin:scheduling_schedule_restore", args=[edited.pk, first_entry().pk]))
    edited.refresh_from_db()
    assert edited.is_paused()
    assert "Paused: moving house" in page(admin_client, edited)


def test_a_name_that_is_taken_meanwhile_is_left_to_the_other(admin_client: Client, edited: Schedule) -> None:
    factories.schedule(name="Morning")
    admin_client.post(reverse("admin:scheduling_schedule_restore", args=[edited.pk, first_entry().pk]))
    edited.refresh_from_db()
    assert (edited.name, edited.crontab) == ("Evening", "30 6 * * 1-5")


def test_what_makes_no_sense_any_more_is_not_restored(admin_client: Client, edited: Schedule) -> None:
    entry = first_entry()
    entry.change_message = entry.change_message.replace('"job": "echo"', '"job": "vanished"')
    entry.save()
    answer = admin_client.post(reverse("admin:scheduling_schedule_restore", args=[edited.pk, entry.pk]), follow=True)
    assert "Not restored: There is no job “vanished”" in answer.content.decode()
    edited.refresh_from_db()
    assert edited.crontab == "0 18 * * *"


def test_only_an_entry_of_this_schedule_is_restored(admin_client: Client, edited: Schedule) -> None:
    other = factories.schedule()
    address = reverse("admin:scheduling_schedule_restore", args=[other.pk, first_entry().pk])
    assert admin_client.post(address).status_code == 404


def test_restoring_needs_the_permission_to_change(client: Client, admin_client: Client, edited: Schedule) -> None:
    address = reverse("admin:scheduling_schedule_restore", args=[edited.pk, first_entry().pk])
    client.force_login(factories.user("scheduling.view_schedule"))
    assert client.post(address).status_code == 403
    shown = page(client, edited)
    assert "<del>Morning</del>" in shown
    assert "Restore this version" not in shown


def test_tags_and_what_a_schedule_runs_after_are_part_of_its_history(admin_client: Client, edited: Schedule) -> None:
    before = factories.schedule(name="Front pages")
    daily = Tag.objects.create(name="daily")
    inline = {"follows-TOTAL_FORMS": "1", "follows-INITIAL_FORMS": "0"}
    inline |= {
        "follows-0-predecessor": str(before.pk),
        "follows-0-on": "partial",
        "follows-0-successor": str(edited.pk),
    }
    values = form_of(
        name="Evening", crontab="0 18 * * *", **{"parameter-text": "bye", "tags": [str(daily.pk)], **inline}
    )
    assert admin_client.post(edited.get_absolute_url(), values).status_code == 302
    shown = page(admin_client, edited)
    assert "<del>–</del> → <ins>daily</ins>" in shown
    assert "<ins>Front pages (it succeeded or was partial)</ins>" in shown


def test_a_restored_version_runs_after_what_it_ran_after_then(admin_client: Client, edited: Schedule) -> None:
    front, science, gone = (factories.schedule(name=name) for name in ("Front pages", "Science", "Gone"))
    FollowUp.objects.create(predecessor=front, successor=edited, on="any")
    FollowUp.objects.create(predecessor=gone, successor=edited, on="success")
    admin_client.post(edited.get_absolute_url(), form_of(name="Night"))
    entry = LogEntry.objects.order_by("-pk")[0]
    FollowUp.objects.all().delete()
    FollowUp.objects.create(predecessor=science, successor=edited, on="failure")
    gone.delete()
    restore = reverse("admin:scheduling_schedule_restore", args=[edited.pk, entry.pk])
    answer = admin_client.post(restore, follow=True).content.decode()
    assert follows_of(edited) == [["Front pages", "any"]]
    assert "It ran after “Gone”, which is gone" in answer
    assert "Science" not in answer
    assert "<del>Science (it failed)</del> → <ins>Front pages (it ended, however)</ins>" in page(admin_client, edited)


def test_a_version_that_would_go_round_in_a_circle_is_not_restored(admin_client: Client, edited: Schedule) -> None:
    other = factories.schedule(name="Front pages")
    FollowUp.objects.create(predecessor=other, successor=edited)
    admin_client.post(edited.get_absolute_url(), form_of(name="Night"))
    entry = LogEntry.objects.order_by("-pk")[0]
    FollowUp.objects.all().delete()
    FollowUp.objects.create(predecessor=edited, successor=other)
    restore = reverse("admin:scheduling_schedule_restore", args=[edited.pk, entry.pk])
    assert "Not restored: This would go round in a circle" in admin_client.post(restore, follow=True).content.decode()
    assert follows_of(edited) == []
    assert FollowUp.objects.count() == 1


@pytest.mark.once
def test_parameters_are_shown_in_the_words_of_their_form(
    admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    herald, courier = (
        Source.objects.create(name=name, url=f"https://{name}.example/f") for name in ("Herald", "Courier")
    )
    values = {
        "job": "run_all_scrapers",
        "job_shown": "run_all_scrapers",
        "parameter-query": "harbour",
        "parameter-sources": [str(herald.pk)],
    }
    admin_client.post(ADD, form_of(**values))
    schedule = Schedule.objects.get()
    for query in ("river", "rain", "snow"):
        for sources in ([str(herald.pk), str(courier.pk)], [str(courier.pk)]):
            changed = {**values, "parameter-query": query, "parameter-sources": sources, "concurrency_policy": "queue"}
            admin_client.post(schedule.get_absolute_url(), form_of(**changed))
    courier_key = courier.pk
    courier.delete()
    with django_assert_max_num_queries(12):
        shown = page(admin_client, schedule)
    for words in (
        "<dt>Query</dt><dd><del>harbour</del> → <ins>river</ins></dd>",
        f"<dt>Sources</dt><dd><del>Herald</del> → <ins>Herald, #{courier_key}</ins></dd>",
        "<ins>queue: the new one waits</ins>",
    ):
        assert words in shown
    assert "{&quot;" not in shown


def test_a_restored_version_has_its_tags_again(admin_client: Client, edited: Schedule) -> None:
    edited.tags.create(name="daily")
    admin_client.post(edited.get_absolute_url(), form_of(name="Night", tags=[]))
    assert not edited.tags.exists()
    entry = LogEntry.objects.order_by("pk")[1]
    entry.change_message = entry.change_message.replace('"tags": []', '"tags": ["daily", "weekly"]')
    entry.save()
    admin_client.post(reverse("admin:scheduling_schedule_restore", args=[edited.pk, entry.pk]))
    assert sorted(edited.tags.values_list("name", flat=True)) == ["daily", "weekly"]
    assert "<ins>daily, weekly</ins>" in page(admin_client, edited)


@pytest.mark.parametrize(
    ("before", "typed", "changed"),
    [
        (None, ["", "60"], False),
        (120, ["120", "1"], False),
        (120, ["2", "60"], False),
        (120, ["3", "60"], True),
        (120, ["", "60"], True),
        (None, ["nonsense", "60"], True),
    ],
)
def test_a_span_has_changed_where_other_seconds_are_meant(before: int | None, typed: list[str], changed: bool) -> None:
    assert SpanField(required=False).has_changed(before, typed) is changed
