"""The rows of a list as `newss_list` puts them together: the theme's look, and nothing worked out for each row anew."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from django.test import Client
from lxml import html

from scheduling.models import Tag
from scrapers.models import Source
from tests import factories

pytestmark = pytest.mark.django_db

SCHEDULES = "/admin/scheduling/schedule/"
SOURCES = "/admin/scrapers/source/"


def test_a_row_has_the_themes_box_to_choose_it_and_the_names_of_its_columns(admin_client: Client) -> None:
    schedule = factories.schedule(name="Front & back pages")
    page = html.fromstring(admin_client.get(SCHEDULES).content)
    (row,) = page.cssselect("#result_list tr.data-row")
    (box,) = row.cssselect("input.action-select")
    assert (box.get("name"), box.get("value")) == ("_selected_action", str(schedule.pk))
    assert [cell.get("data-label") for cell in row.cssselect("td")][:3] == ["Select record", "Schedule", "What runs"]
    assert "Front & back pages" in row.text_content()


def test_a_linked_cell_leads_to_the_rows_page_and_back_to_the_list_as_it_was_filtered(admin_client: Client) -> None:
    source = Source.objects.create(name="Daily <News>", url="https://daily.example/feed")
    page = html.fromstring(admin_client.get(f"{SOURCES}?q=daily").content)
    (link,) = page.cssselect("#result_list th.field-name_and_address a")
    assert link.get("href") == f"{SOURCES}{source.pk}/change/?_changelist_filters=q%3Ddaily"
    assert "Daily <News>" in link.text_content()


def test_a_yes_or_no_is_a_word_too(admin_client: Client) -> None:
    Source.objects.create(name="Off", url="https://off.example/feed", enabled=False)
    page = html.fromstring(admin_client.get(SOURCES).content)
    (cell,) = page.cssselect("td.field-enabled")
    assert cell.text_content().endswith("no")


def test_a_field_without_a_value_shows_the_dash_of_the_admin(admin_client: Client) -> None:
    Tag.objects.create(name="daily")
    page = html.fromstring(admin_client.get("/admin/scheduling/tag/").content)
    assert [cell.text_content() for cell in page.cssselect("#result_list .field-name")] == ["daily"]


def test_headings_are_worked_out_once_for_a_page(admin_client: Client) -> None:
    for number in range(20):
        factories.schedule(name=f"Schedule {number}")
    with patch("scheduling.templatetags.newss_list.result_headers", return_value=[]) as headings:
        headings.side_effect = lambda cl: [{"text": name, "sortable": False} for name in cl.list_display]
        admin_client.get(SCHEDULES)
    assert headings.call_count == 1
