"""What a test that commits leaves behind is taken away, and what `migrate` made stays."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.test import TransactionTestCase

from scheduling.models import Run, Schedule, ScheduleChange
from tests import factories
from tests.emptying import Emptying, made_by_migrate

pytestmark = pytest.mark.django_db(transaction=True)


class Case(TransactionTestCase):
    """A test that commits."""


def test_what_a_test_wrote_is_gone_and_what_triggers_wrote_meanwhile_too() -> None:
    emptying, before = Emptying(), made_by_migrate()
    factories.run(schedule=factories.schedule())
    factories.user("scheduling.view_run")
    emptying.after(Case())
    assert [model.objects.count() for model in (Run, Schedule, ScheduleChange, User)] == [0, 0, 0, 0]
    assert made_by_migrate() == before != [[], [], [], []]


def test_what_a_test_took_from_the_permissions_is_there_again() -> None:
    emptying = Emptying()
    Permission.objects.get(codename="run_schedule").delete()
    emptying.after(Case())
    assert Permission.objects.filter(codename="run_schedule").exists()
    assert Permission.objects.get(codename="run_schedule").group_set.exists()
