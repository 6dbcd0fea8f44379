"""From an item and its page to the draft of an article: what the source says comes first, what the page says fills it,
and what a person chose on the page by a selector comes before both."""

from __future__ import annotations

from dataclasses import replace

from scrapers.drafts import Draft, Entry, Status
from scrapers.extract.metadata import Metadata
from scrapers.extract.page import Page
from scrapers.extract.text import read_fragment
from scrapers.kinds import Item
from scrapers.models import Source
from scrapers.source_settings.plan import Plan


def full_text(item: Item, plan: Plan) -> str:
    """Return the text that the source itself brings, where its page then need not be fetched, or an empty string."""
    return item.text or (read_fragment(item.content) if plan.text_from_source else "")


def page_of_item(source: Source, entry: Entry, text: str) -> Page:
    """Return the page that stands for one that was not fetched: the text alone."""
    return Page(text, Metadata(url=entry.url), method=source.kind)


def draft(entry: Entry, status: Status, page: Page, *, source: Source, plan: Plan, run_id: int) -> Draft | None:
    """Return the draft of an article, or None where neither page nor item has a text."""
    item = replace(entry.item, **plan.rules.chosen(page))
    found = page.metadata
    text = page.text or read_fragment(item.content)
    if not text:
        return None
    return Draft(
        run_id=run_id,
        source_id=source.pk,
        entry=entry,
        url=found.url,
        title=item.title or found.title or text.partition("\n")[0][:200],
        text=text,
        summary=item.summary or found.summary,
        authors=item.authors or found.authors,
        published=item.published or found.published,
        zone_known=item.zone_known if item.published else found.zone_known,
        modified=found.modified or item.updated,
        modified_zone_known=found.modified_zone_known if found.modified else item.zone_known,
        language=found.language or item.language.lower(),
        image=found.image or item.image,
        section=found.section,
        keywords=found.keywords or item.tags,
        site_name=found.site_name,
        methods=_methods(source, entry.item, page, plan),
        refresh=status.refresh,
    )


def _methods(source: Source, item: Item, page: Page, plan: Plan) -> dict[str, str]:
    """Return where each field was found: what the source itself gave, under the name of its kind."""
    given = {"title": item.title, "summary": item.summary, "authors": item.authors, "published": item.published}
    fallback = {"text": item.content, "language": item.language, "image": item.image}
    fallback |= {"keywords": ", ".join(item.tags), "modified": str(item.updated or "")}
    chosen = plan.rules.chosen(page)
    return (
        {name: source.kind for name, value in fallback.items() if value}
        | page.methods
        | {name: source.kind for name, value in given.items() if value and name not in chosen}
    )
