"""The groups that every installation begins with: what each may do, and that its pages show no more."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from scheduling.models import Run
from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.once]


@pytest.fixture
def member() -> object:
    """Return a function that makes a staff user of one group, and a client logged in as that user."""

    def make(group: str) -> tuple[User, Client]:
        user = factories.user()
        user.groups.add(Group.objects.get(name=group))
        client = Client()
        client.force_login(user)
        return user, client

    return make


ABILITIES = {
    "scheduling.view_schedule": {"Viewer", "Operator", "Editor", "Administrator"},
    "scrapers.view_article": {"Viewer", "Operator", "Editor", "Administrator"},
    "scheduling.run_schedule": {"Operator", "Editor", "Administrator"},
    "scheduling.start_run": {"Operator", "Editor", "Administrator"},
    "scheduling.cancel_run": {"Operator", "Editor", "Administrator"},
    "scheduling.pause_schedule": {"Operator", "Editor", "Administrator"},
    "scheduling.add_backfill": {"Operator", "Editor", "Administrator"},
    "scheduling.change_schedule": {"Editor", "Administrator"},
    "scheduling.delete_schedule": {"Editor", "Administrator"},
    "scrapers.add_source": {"Editor", "Administrator"},
    "scrapers.change_settingslevel": {"Editor", "Administrator"},
    "scrapers.delete_article": {"Administrator"},
    "scheduling.delete_run": {"Administrator"},
    "scheduling.hold_everything": {"Administrator"},
    "auth.change_user": {"Administrator"},
}


@pytest.mark.parametrize("group", ["Viewer", "Operator", "Editor", "Administrator"])
def test_a_group_may_do_what_its_name_says_and_no_more(member: object, group: str) -> None:
    user, _client = member(group)
    assert {name for name in ABILITIES if user.has_perm(name)} == {
        name for name, groups in ABILITIES.items() if group in groups
    }


def test_a_group_that_an_administrator_changed_stays_so(member: object) -> None:
    group = Group.objects.get(name="Operator")
    group.permissions.remove(Permission.objects.get(codename="cancel_run"))
    call_command("migrate", verbosity=0)
    assert not group.permissions.filter(codename="cancel_run").exists()


def test_a_viewer_sees_every_page_and_no_button_that_would_be_refused(member: object) -> None:
    schedule = factories.schedule()
    _user, client = member("Viewer")
    for name in ("scheduling_schedule", "scheduling_run", "scrapers_source", "scrapers_article"):
        assert client.get(reverse(f"admin:{name}_changelist")).status_code == 200
    page = client.get(reverse("admin:scheduling_schedule_changelist")).content.decode()
    assert schedule.name in page
    assert "Run now" not in page
    assert client.post(reverse("scheduling:run-schedule", args=[schedule.pk])).status_code == 403
    assert not Run.objects.exists()


def test_an_operator_runs_a_schedule_and_cannot_edit_it(member: object) -> None:
    schedule = factories.schedule()
    user, client = member("Operator")
    assert client.post(reverse("scheduling:run-schedule", args=[schedule.pk])).status_code == 302
    assert Run.objects.get().requested_by == user
    page = client.get(schedule.get_absolute_url()).content.decode()
    assert 'name="_save"' not in page
