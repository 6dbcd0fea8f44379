"""*Edit many*: chosen fields of many rows changed at once, after a preview, in one transaction, noted in history."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from scheduling.admin import edit_many
from scheduling.models import Schedule, Tag
from scrapers.models import Source
from tests import factories

pytestmark = pytest.mark.django_db

SCHEDULES = "/admin/scheduling/schedule/"
SOURCES = "/admin/scrapers/source/"


def ids(rows: list[Any]) -> str:
    return ",".join(str(row.pk) for row in rows)


def source(number: int, **values: Any) -> Source:
    return Source.objects.create(name=f"Outlet {number}", url=f"http://127.0.0.{number}/feed", **values)


def test_the_action_opens_a_form_that_names_how_many(admin_client: Client) -> None:
    rows = [factories.schedule(name=f"S{number}") for number in range(3)]
    page = admin_client.post(SCHEDULES, {"action": "edit_many", "_selected_action": [row.pk for row in rows]})
    assert page.context["ids"] == ids(rows)
    assert "Edit 3 schedules" in page.content.decode()


def test_the_preview_shows_old_and_new_values_and_changes_nothing(admin_client: Client) -> None:
    rows = [factories.schedule(name="A", max_retries=1), factories.schedule(name="B", max_retries=2)]
    data = {"ids": ids(rows), "chosen": ["max_retries"], "edit-max_retries": "2", "_preview": "1"}
    page = admin_client.post(f"{SCHEDULES}edit-many/", data)
    (_a, of_a), (_b, of_b) = page.context["changes"]
    assert [(old, new) for _name, old, new in of_a] == [("1", "2")]
    assert of_b == []
    assert list(Schedule.objects.order_by("name").values_list("max_retries", flat=True)) == [1, 2]


def test_only_the_ticked_fields_are_changed_and_each_history_says_what(admin_client: Client) -> None:
    rows = [factories.schedule(name=f"S{number}", description="kept", max_retries=1) for number in range(2)]
    other = factories.schedule(name="Other", max_retries=1)
    tag = Tag.objects.create(name="daily")
    data = {
        "ids": ids(rows),
        "chosen": ["max_retries", "time_limit_seconds", "add_tags"],
        "edit-max_retries": "5",
        "edit-time_limit_seconds_count": "7",
        "edit-time_limit_seconds_unit": "60",
        "edit-add_tags": [tag.pk],
        # Typed, but not ticked: not even judged.
        "edit-description": "lost",
        "edit-jitter_seconds_count": "nonsense",
        "_apply": "1",
    }
    answer = admin_client.post(f"{SCHEDULES}edit-many/", data, follow=True)
    assert "2 schedules are changed." in answer.content.decode()
    for row in rows:
        before = dict(row.__dict__)
        row.refresh_from_db()
        changed = {name for name, value in before.items() if not name.startswith("_") and getattr(row, name) != value}
        assert changed == {"max_retries", "time_limit_seconds", "version"}
        assert list(row.tags.all()) == [tag]
        history = admin_client.get(f"{SCHEDULES}{row.pk}/history/").content.decode()
        assert "<del>1</del> → <ins>5</ins>" in history
    other.refresh_from_db()
    assert other.max_retries == 1


def test_one_row_that_refuses_leaves_all_as_they_were(admin_client: Client) -> None:
    good = factories.schedule(name="Good", executor="processes")
    bad = factories.schedule(name="Bad", executor="threads")
    data = {"ids": ids([good, bad]), "chosen": ["memory_limit_mb"], "edit-memory_limit_mb": "256", "_apply": "1"}
    page = admin_client.post(f"{SCHEDULES}edit-many/", data)
    assert page.status_code == 200
    assert "Bad: A thread" in page.content.decode()
    assert set(Schedule.objects.values_list("memory_limit_mb", flat=True)) == {None}
    assert not LogEntry.objects.exists()


def test_more_than_one_transaction_can_change_go_in_batches_and_the_page_says_how_many_are_left(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edit_many, "AT_ONCE", 2)
    monkeypatch.setattr(edit_many, "SECONDS_AT_ONCE", 0.0)
    rows = [factories.schedule(name=f"S{number}", max_retries=1) for number in range(3)]
    data = {"ids": ids(rows), "chosen": ["max_retries"], "edit-max_retries": "5", "_apply": "1"}
    page = admin_client.post(f"{SCHEDULES}edit-many/", data)
    assert (page.context["done"], page.context["ids"]) == (2, str(rows[2].pk))
    assert "Left: 1." in page.content.decode()
    assert Schedule.objects.filter(max_retries=5).count() == 2
    end = admin_client.post(f"{SCHEDULES}edit-many/", {**data, "ids": page.context["ids"], "done": "2"}, follow=True)
    assert "3 schedules are changed." in end.content.decode()
    assert "newss-undo" not in end.content.decode(), "only what one transaction did is undone"
    assert Schedule.objects.filter(max_retries=5).count() == 3


def test_a_form_that_chooses_nothing_or_nonsense_says_so(admin_client: Client) -> None:
    rows = [factories.schedule()]
    page = admin_client.post(f"{SCHEDULES}edit-many/", {"ids": ids(rows), "_preview": "1"})
    assert "Tick the fields to change." in page.content.decode()
    data = {"ids": ids(rows), "chosen": ["max_retries"], "edit-max_retries": "many", "_apply": "1"}
    page = admin_client.post(f"{SCHEDULES}edit-many/", data)
    assert "Enter a whole number." in page.content.decode()


def test_many_sources_get_a_pace_and_a_setting_of_their_own(admin_client: Client) -> None:
    rows = [source(11, settings={"max_age_days": 7, "keep_page": "yes"}), source(12)]
    data = {
        "ids": ids(rows),
        "chosen": ["interval_minutes", "setting-max_age_days", "setting-keep_page"],
        "edit-interval_minutes": "90",
        "edit-setting-max_age_days": "5",
        "edit-setting-keep_page": "",
    }
    page = admin_client.post(f"{SOURCES}edit-many/", {**data, "_apply": "1"}, follow=True)
    assert "2 sources are changed." in page.content.decode()
    for row in rows:
        row.refresh_from_db()
        assert row.interval_minutes == 90
        assert row.settings == {"max_age_days": 5}, "an empty setting is inherited again"
    assert "90" in admin_client.get(f"{SOURCES}{rows[0].pk}/history/").content.decode()


def page_fields(client: Client, rows: list[Source]) -> list[str]:
    page = client.post(SOURCES, {"action": "edit_many", "_selected_action": [row.pk for row in rows]})
    return list(page.context["form"].fields)


def test_no_secret_can_be_set_in_many_and_none_is_in_the_history(admin_client: Client) -> None:
    row = source(11)
    assert not {"setting-headers", "setting-cookies", "setting-proxy"} & set(page_fields(admin_client, [row]))


def test_only_those_who_may_change_may(client: Client) -> None:
    row = factories.schedule(max_retries=1)
    client.force_login(factories.user(is_staff=True))
    data = {"ids": ids([row]), "chosen": ["max_retries"], "edit-max_retries": "5", "_apply": "1"}
    assert client.post(f"{SCHEDULES}edit-many/", data).status_code == 403
    row.refresh_from_db()
    assert row.max_retries == 1


def test_the_history_of_a_source_says_old_and_new_values(admin_client: Client) -> None:
    row = source(11)
    page = admin_client.get(f"{SOURCES}{row.pk}/change/")
    form = page.context["adminform"].form
    data = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    data = {name: value for name, value in data.items() if value not in (None, [], {})} | {"name": "Renamed"}
    answer = admin_client.post(f"{SOURCES}{row.pk}/change/", data)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    assert (
        "<del>Outlet 11</del> → <ins>Renamed</ins>" in admin_client.get(f"{SOURCES}{row.pk}/history/").content.decode()
    )


def undo_values(page: str) -> dict[str, str]:
    (entries,) = re.findall(r'name="entries" value="([\d,]+)"', page)
    return {"entries": entries}


def test_an_edit_of_many_can_be_undone_but_for_what_was_changed_otherwise_meanwhile(admin_client: Client) -> None:
    rows = [factories.schedule(name=f"S{number}", max_retries=number) for number in range(3)]
    daily, weekly = Tag.objects.create(name="daily"), Tag.objects.create(name="weekly")
    rows[0].tags.add(weekly)
    data = {
        "ids": ids(rows),
        "chosen": ["max_retries", "blackout_dates", "add_tags", "remove_tags"],
        "edit-max_retries": "7",
        "edit-blackout_dates": "2999-12-24",
        "edit-add_tags": [daily.pk],
        "edit-remove_tags": [weekly.pk],
        "_apply": "1",
    }
    page = admin_client.post(f"{SCHEDULES}edit-many/", data, follow=True).content.decode()
    assert "3 schedules are changed." in page
    assert set(Schedule.objects.values_list("max_retries", flat=True)) == {7}
    Schedule.objects.filter(pk=rows[2].pk).update(max_retries=9)
    page = admin_client.post(f"{SCHEDULES}edit-many/undo/", undo_values(page), follow=True).content.decode()
    assert "2 schedules are changed." in page and "1 was changed otherwise meanwhile, and stays so." in page
    assert list(Schedule.objects.order_by("name").values_list("max_retries", flat=True)) == [0, 1, 9]
    assert Schedule.objects.get(pk=rows[0].pk).blackout_dates == []
    assert list(rows[0].tags.all()) == [weekly] and not rows[1].tags.exists() and list(rows[2].tags.all()) == [daily]
    history = admin_client.get(f"{SCHEDULES}{rows[1].pk}/history/").content.decode()
    assert "<del>7</del> → <ins>1</ins>" in history


def test_an_edit_of_sources_can_be_undone(admin_client: Client) -> None:
    row = source(1, enabled=True)
    data = {"ids": ids([row]), "chosen": ["enabled"], "_apply": "1"}
    page = admin_client.post(f"{SOURCES}edit-many/", data, follow=True).content.decode()
    assert not Source.objects.get().enabled
    admin_client.post(f"{SOURCES}edit-many/undo/", undo_values(page))
    assert Source.objects.get().enabled


def test_only_ones_own_edits_are_undone_and_only_by_who_may_change(admin_client: Client, client: Client) -> None:
    row = factories.schedule(max_retries=1)
    data = {"ids": ids([row]), "chosen": ["max_retries"], "edit-max_retries": "5", "_apply": "1"}
    page = admin_client.post(f"{SCHEDULES}edit-many/", data, follow=True).content.decode()
    client.force_login(factories.user("scheduling.view_schedule", "scheduling.change_schedule"))
    client.post(f"{SCHEDULES}edit-many/undo/", undo_values(page))
    client.force_login(factories.user("scheduling.view_schedule", username="viewer"))
    assert client.post(f"{SCHEDULES}edit-many/undo/", undo_values(page)).status_code == 403
    assert Schedule.objects.get().max_retries == 5
