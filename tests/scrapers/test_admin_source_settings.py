"""The forms of sources and inherited settings: options of the kind, settings with their origin, masks."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from scheduling.models import Tag
from scrapers import secrets
from scrapers.models import SettingsLevel, Source
from scrapers.secrets import MASK
from tests import factories
from tests.scrapers.test_source_settings import level, source

pytestmark = [pytest.mark.django_db, pytest.mark.once]

ADD = "/admin/scrapers/source/add/"
LEVELS = "/admin/scrapers/settingslevel/"
RIGHTS = [f"scrapers.{what}_{model}" for what in ("add", "change", "view") for model in ("source", "settingslevel")]


@pytest.fixture
def editor(client: Client) -> Client:
    client.force_login(factories.user(*RIGHTS, "scheduling.view_tag"))
    return client


def change(made: Source) -> str:
    return f"/admin/scrapers/source/{made.pk}/change/"


def sent(**values: Any) -> dict[str, Any]:
    """Return the fields of a source's form as a browser sends them."""
    given = {"name": "Small", "url": "http://a.example/list", "kind": "feed", "kind_shown": "feed", "enabled": "on"}
    return {**given, **{name.replace("__", "-"): value for name, value in values.items()}}


def test_a_source_is_added_with_the_options_of_its_kind(editor: Client) -> None:
    assert 'name="option-items"' in editor.get(f"{ADD}?kind=listing").content.decode()
    values = sent(kind="listing", kind_shown="listing", option__items="article", option__pages="3")
    assert editor.post(ADD, values).status_code == 302
    made = Source.objects.get()
    assert (made.kind, made.options["items"], made.options["pages"]) == ("listing", "article", 3)


def test_wrong_options_and_settings_are_told_at_their_fields(editor: Client) -> None:
    values = sent(kind="listing", kind_shown="listing", option__items="a[", option__pages="0", setting__include="(")
    answer = editor.post(ADD, values)
    form = answer.context["adminform"].form
    assert set(form.errors) == {"option-items", "option-pages", "setting-include"}
    assert not Source.objects.exists()


@pytest.mark.parametrize("proxy", ["https://[::1", "http://a:b", "ftp://a", "nothing"])
def test_a_proxy_that_is_no_address_is_told_at_its_field(editor: Client, proxy: str) -> None:
    answer = editor.post(ADD, sent(setting__proxy=proxy))
    assert set(answer.context["adminform"].form.errors) == {"setting-proxy"}


def test_choosing_another_kind_shows_its_fields_and_saves_nothing(editor: Client) -> None:
    page = editor.post(ADD, sent(kind="json_api", _choose_kind="1")).content.decode()
    assert 'name="option-link"' in page and 'value="http://a.example/list"' in page and "errorlist" not in page
    # Without JavaScript the button is missing: then saving shows the fields first.
    page = editor.post(ADD, sent(kind="json_api")).content.decode()
    assert "The kind was changed" in page and 'name="option-link"' in page
    assert not Source.objects.exists()


def test_each_setting_shows_what_it_inherits_and_from_where(editor: Client) -> None:
    level("daily", max_age_days=30)
    level(text_from="source")
    page = editor.get(change(source("daily"))).content.decode()
    assert "Left empty: 30 (tag daily)." in page
    assert "– of the source, where it brings one (all sources) –" in page


def test_secrets_are_never_on_the_page_and_survive_saving_it(editor: Client) -> None:
    made = source(headers="X-Key: s3cret", proxy="http://me:s3cret@proxy:3128")
    stored = dict(made.settings)
    page = editor.get(change(made)).content.decode()
    assert "s3cret" not in page and "enc:" not in page and f"X-Key: {MASK}" in page
    shown = {"setting-headers": f"X-Key: {MASK}", "setting-proxy": f"http://me:{MASK}@proxy:3128"}
    assert editor.post(change(made), {**sent(), **shown}).status_code == 302
    made.refresh_from_db()
    assert made.settings == stored
    shown["setting-headers"] = "X-Key: n3w"
    assert editor.post(change(made), {**sent(), **shown}).status_code == 302
    made.refresh_from_db()
    assert secrets.revealed(made.settings["headers"]["X-Key"]) == "n3w"
    history = editor.get(f"/admin/scrapers/source/{made.pk}/history/").content.decode()
    assert "n3w" not in history


def test_those_who_may_only_look_see_masks(client: Client) -> None:
    made = source(headers="X-Key: s3cret", max_age_days=7)
    client.force_login(factories.user("scrapers.view_source"))
    page = client.get(change(made)).content.decode()
    assert "Maximum age, days: 7" in page and "s3cret" not in page and "enc:" not in page and MASK in page


def test_inherited_settings_are_edited_by_tag_and_for_all(editor: Client) -> None:
    tag = Tag.objects.create(name="daily")
    values = {"tag": str(tag.pk), "position": "1", "setting-max_age_days": "30", "setting-cookies": "sid=abc"}
    assert editor.post(f"{LEVELS}add/", values).status_code == 302
    made = SettingsLevel.objects.get()
    assert made.values["max_age_days"] == 30 and "abc" not in repr(made.values)
    page = editor.get(LEVELS).content.decode()
    assert "tag daily" in page and "sid" in page and "abc" not in page and "enc:" not in page
    assert editor.post(f"{LEVELS}add/", {"tag": "", "position": "0"}).status_code == 302
    again = editor.post(f"{LEVELS}add/", {"tag": "", "position": "0"})
    assert again.context["adminform"].form.errors["tag"]
