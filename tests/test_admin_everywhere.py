"""What holds in the whole admin, whichever app a page belongs to."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from lxml import html

from newss_project.unfold import NEEDED
from scheduling.admin.remembered import ListMixin
from scheduling.models import Tag
from scrapers.models import Host, Source
from tests import factories

OURS = [model for model, model_admin in admin.site._registry.items() if isinstance(model_admin, ListMixin)]

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label_lower)
@pytest.mark.parametrize("page", ["change", "history"])
def test_a_row_that_is_not_there_leads_to_the_list_and_says_so(admin_client: Client, model: type, page: str) -> None:
    opts = model._meta  # type: ignore[attr-defined]
    name = f"admin:{opts.app_label}_{opts.model_name}"
    answer = admin_client.get(reverse(f"{name}_{page}", args=[999_999]), follow=True)
    assert answer.redirect_chain == [(reverse(f"{name}_changelist"), 302)]
    assert "with ID “999999” doesn’t exist" in answer.content.decode()


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label_lower)
def test_a_list_counts_what_each_choice_of_its_filters_would_show(admin_client: Client, model: type) -> None:
    tag = Tag.objects.create(name="daily")
    Source.objects.create(name="Daily", url="https://daily.example/feed").tags.add(tag)
    factories.schedule().tags.add(tag)
    opts = model._meta  # type: ignore[attr-defined]
    address = reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist")
    assert admin_client.get(f"{address}?_facets=True").status_code == 200


@pytest.mark.parametrize("page", NEEDED)
def test_the_sidebar_shows_a_page_to_those_who_may_open_it(client: Client, page: str) -> None:
    address = reverse(page)
    for permissions in ((), NEEDED[page]):
        client.force_login(factories.user(*permissions))
        links = html.fromstring(client.get(reverse("admin:password_change")).content).xpath("//nav//a/@href")
        shown = any(link == address for link in links)
        assert shown == (client.get(address).status_code == 200)
        assert shown == (set(permissions) == set(NEEDED[page]))


def test_the_head_of_a_page_names_a_row_as_it_is(admin_client: Client) -> None:
    host = Host.objects.create(scheme="https", host="news.example", port=443)
    page = html.fromstring(admin_client.get(reverse("admin:scrapers_host_change", args=[host.pk])).content)
    assert page.xpath(f"//a[@href='/admin/scrapers/host/{host.pk}/change/']")[0].text_content().strip() == host.origin
    assert page.xpath("//a[@href='/admin/scrapers/host/']")[-1].text_content().strip() == "Hosts"
