"""Old articles are deleted by a job, and do not come back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from scheduling.jobs import RunContext, registry
from scrapers import retention
from scrapers.ingest import Outcome, look_up, store
from scrapers.models import Article, Tombstone, Topic
from tests import factories
from tests.scrapers.articles import draft, make_source

pytestmark = pytest.mark.django_db


def execute(**parameters: Any) -> Any:
    job = registry.get("remove_old_articles")
    cleaned = job.clean(parameters)
    context = RunContext(factories.running(job=job.name, parameters=cleaned))
    return job.function(context, **cleaned)


@pytest.mark.parametrize(("keep", "left"), [(True, {"New", "Kept", "Undated"}), (False, {"New", "Undated"})])
def test_old_articles_go_and_do_not_come_back(keep: bool, left: set[str], monkeypatch: Any) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    source, now = make_source(), timezone.now()
    Topic.objects.create(name="t", query="title:kept")
    drafts = [
        draft(source, title, f"Text of {title}.", published=now - timedelta(days=days))
        for title, days in [("New", 9), ("Kept", 40), *((f"Old {number}", 11 + number) for number in range(5))]
    ]
    store([*drafts, draft(source, "Undated", "Text.")])
    result = execute(days=10, keep_topics=keep)
    assert result.summary == {"deleted": 8 - len(left)}
    assert set(Article.objects.values_list("title", flat=True)) == left
    assert Tombstone.objects.count() == 8 - len(left)
    assert look_up(source.pk, [drafts[-1].entry], "")[0].outcome is Outcome.KNOWN


def test_the_job_says_in_words_what_it_deletes_and_wants_a_number_of_days() -> None:
    job = registry.get("remove_old_articles")
    assert job.describe is not None
    assert job.describe({"days": 30, "keep_topics": True}) == "articles older than 30 days, except those of topics"
    with pytest.raises(ValidationError):
        job.clean({"days": 0})
