"""What is kept of a story: its fields, its earlier texts, its page, and that it was deleted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.test import Client
from django.urls import reverse

from scrapers.ingest import Entry, Outcome, look_up, store
from scrapers.kinds import Item
from scrapers.models import Article, ArticlePage, ArticleSource, ArticleVersion, PassedItem, Tombstone
from tests.scrapers.articles import draft, instant, make_source, stored

pytestmark = pytest.mark.django_db

EAST = timezone(timedelta(hours=5, minutes=30))


def test_all_that_a_page_says_of_itself_is_stored_with_where_it_was_found() -> None:
    article = stored(
        make_source(),
        "Ferries stop",
        "No ferry left the port today.",
        published=datetime(2026, 11, 3, 8, tzinfo=EAST),
        zone_known=True,
        modified=datetime(2026, 11, 3, 9, tzinfo=UTC),
        section="Harbour",
        keywords=("ferry", "nul\0"),
        site_name="The Courier",
        methods={"title": "json-ld"},
    )
    assert article.published_at == datetime(2026, 11, 3, 2, 30, tzinfo=UTC)
    assert article.published_offset == 330 and article.modified_offset is None
    assert article.modified_at == datetime(2026, 11, 3, 9, tzinfo=UTC) == article.modified_local
    assert (article.section, article.site_name, article.keywords) == ("Harbour", "The Courier", ["ferry", "nul"])
    assert (article.methods, article.word_count) == ({"title": "json-ld"}, 6)


def test_an_instant_that_cannot_be_is_not_stored() -> None:
    article = stored(make_source(), modified=datetime(2999, 1, 1, tzinfo=UTC), published=datetime(1, 1, 1, tzinfo=UTC))
    assert (article.modified_at, article.published_at) == (None, None)


def test_a_changed_story_keeps_what_it_said_before_and_stays_one_article() -> None:
    source = make_source()
    first = draft(source, "Storm comes", "It is expected at noon.", published=instant(1))
    store([first])
    article = Article.objects.get()
    again = replace(first, title="Storm is here", text="It came at ten.", refresh=article.pk, published=instant(2))
    assert store([again]) == [Outcome.UPDATED]
    assert store([replace(again, text="It is gone.")]) == [Outcome.UPDATED]
    assert store([replace(again, text="It is gone.")]) == [Outcome.KNOWN]
    article.refresh_from_db()
    assert (article.text, article.published_at) == ("It is gone.", instant(1))
    assert list(ArticleVersion.objects.order_by("pk").values_list("title", "text")) == [
        ("Storm comes", "It is expected at noon."),
        ("Storm is here", "It came at ten."),
    ]
    older, newer = ArticleVersion.objects.order_by("pk")
    assert older.replaced_at == newer.stored_at and newer.replaced_at == article.updated_at
    assert older.replaced_by_id == again.run_id


def test_a_story_that_changes_twice_in_one_batch_keeps_both_earlier_texts() -> None:
    source = make_source()
    first = draft(source, "Storm comes", "One.")
    store([first])
    key = Article.objects.get().pk
    assert store([replace(first, text="Two.", refresh=key), replace(first, text="Three.", refresh=key)]) == [
        Outcome.UPDATED,
        Outcome.UPDATED,
    ]
    assert list(ArticleVersion.objects.order_by("pk").values_list("text", flat=True)) == ["One.", "Two."]
    assert Article.objects.get().text == "Three."


def test_the_page_is_kept_compressed_where_the_source_says_so_and_follows_the_story() -> None:
    source, body = make_source(), "<p>Grüße</p>".encode() * 100
    first = draft(source, "A", "One.", page=body, page_type="text/html")
    store([first, draft(source, "B", "Two.")])
    page = ArticlePage.objects.get()
    assert page.html == body and len(page.body) < len(body)
    store([replace(first, text="Other.", page=b"<p>New</p>", refresh=page.article_id)])
    assert ArticlePage.objects.get().html == b"<p>New</p>"


def delete_by_queryset(article: Article) -> None:
    Article.objects.filter(title=article.title).delete()


def delete_itself(article: Article) -> None:
    article.delete()


def delete_from_an_ordered_list(article: Article) -> None:
    Article.objects.filter(pk__in=[article.pk]).order_by("-dated_at").delete()


@pytest.mark.parametrize("delete", [delete_by_queryset, delete_itself, delete_from_an_ordered_list])
def test_a_deleted_article_never_comes_back(delete: object) -> None:
    source, other = make_source(), make_source()
    first = draft(source, "Gone for good", "A text.")
    store([first])
    article = Article.objects.get()
    number = article.pk
    delete(article)  # type: ignore[operator]
    assert Tombstone.objects.get().article_id == number
    later = Item(first.entry.item.guid, first.url, first.title, updated=instant(20))
    items = [first.entry, Entry.of(later), Entry.of(Item("other", first.url))]
    assert [look_up(source.pk, [entry], "")[0].outcome for entry in items] == [Outcome.KNOWN] * 3
    assert look_up(other.pk, [Entry.of(Item("x", first.url))], "")[0].outcome is Outcome.KNOWN
    elsewhere = draft(other, "Gone for good", "Another text.", item=Item("y", "http://127.0.0.1/amp"), url=first.url)
    assert store([elsewhere]) == [Outcome.KNOWN], "found out by the page's canonical address"
    assert look_up(other.pk, [elsewhere.entry], "")[0].outcome is Outcome.KNOWN, "and its page not fetched again"
    assert not Article.objects.exists()


def test_an_article_comes_back_when_its_tombstone_is_taken_away() -> None:
    first = draft(make_source(), "Gone", "A text.")
    store([first])
    Article.objects.all().delete()
    Tombstone.objects.all().delete()
    PassedItem.objects.all().delete()
    assert store([first]) == [Outcome.NEW]


def test_deleting_a_source_deletes_none_of_its_articles() -> None:
    source = make_source()
    stored(source)
    source.delete()
    assert Article.objects.count() == 1
    assert not ArticleSource.objects.exists() and not Tombstone.objects.exists()


def test_the_page_of_an_article_shows_earlier_texts_and_copies_and_how_it_was_read(admin_client: Client) -> None:
    first = draft(
        make_source(), "Storm comes", "<b>It is expected at noon.</b>", section="Sea", methods={"text": "fast"}
    )
    store([first])
    article = Article.objects.get()
    store([replace(first, title="Storm is here", text="It came at ten.", refresh=article.pk)])
    copy = stored(make_source(), "Our storm", "One.")
    Article.objects.filter(pk=copy.pk).update(duplicate_of=article)
    address = reverse("admin:scrapers_article_change", args=[article.pk])
    page = admin_client.get(address).content.decode()
    assert "&lt;b&gt;It is expected at noon.&lt;/b&gt;" in page and "Our storm" in page and "Sea" in page
    folded = admin_client.get(reverse("admin:scrapers_article_changelist")).content.decode()
    assert "Storm is here" in folded and "Our storm" not in folded
    shown = admin_client.get(reverse("admin:scrapers_article_changelist"), {"copies": "shown"}).content.decode()
    assert "Our storm" in shown
    assert (
        "Storm is here" in admin_client.get(reverse("admin:scrapers_article_change", args=[copy.pk])).content.decode()
    )
