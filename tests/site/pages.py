"""Home pages and story pages as HTML. Each outlet has templates and a way to mark up a body of its own.

What stands beside a story (related, most read) is drawn from the stories before it, so that a page changes only when
its story does and a conditional request has something to find unchanged.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from html import escape
from pathlib import Path
from string import Template
from typing import Any, Final

from tests.site.content import Block, BlockKind, inline_html
from tests.site.outlets import FEED_TYPES, Outlet
from tests.site.publishing import PublishedStory

TEMPLATES: Final = Path(__file__).parent / "templates"

_LABELS: Final = {
    "en": {"by": "By", "and": "and", "updated": "Updated", "minutes": "min read"},
    "de": {"by": "Von", "and": "und", "updated": "Aktualisiert", "minutes": "Min. Lesezeit"},
}


@dataclass(frozen=True, slots=True)
class Markup:
    """How an outlet marks up the blocks of a body; `$text` is the text, `$src` the address of a picture."""

    paragraph: str = "<p>$text</p>"
    first: str = "<p>$text</p>"
    heading: str = "<h2>$text</h2>"
    quote: str = "<blockquote><p>$text</p></blockquote>"
    items: str = "<ul>$text</ul>"
    item: str = "<li>$text</li>"
    image: str = '<figure><img src="$src" alt=""><figcaption>$text</figcaption></figure>'
    advert: str = ""  # set between the paragraphs, after the second


_MARKUP: Final = {
    "plain": Markup(),
    "courier": Markup(
        paragraph='<p class="hc-par">$text</p>',
        first='<p class="hc-par hc-par--lead">$text</p>',
        heading='<h2 class="hc-crosshead">$text</h2>',
        quote='<blockquote class="hc-quote"><p>$text</p></blockquote>',
        items='<ul class="hc-list">$text</ul>',
        image='<figure class="hc-figure"><img src="$src" alt="" width="960" height="540" loading="lazy">'
        '<figcaption class="hc-figure__caption">$text</figcaption></figure>',
        advert='<div class="advert advert--inline" data-slot="mid-1"><span>Advertisement</span>'
        '<a href="/about#adverts">Ropework for every mast. Visit the chandlery at Pier 4.</a></div>',
    ),
    "upland": Markup(
        heading="<h3>$text</h3>",
        quote="<blockquote>$text</blockquote>",
        items="<ul>$text</ul>",
        image='<div class="media"><picture><source srcset="$src" type="image/svg+xml"><img src="$src" alt=""></picture>'
        '<div class="media-caption">$text</div></div>',
    ),
    "signal": Markup(
        paragraph='<p class="text-body">$text</p>',
        first='<p class="text-body dropcap">$text</p>',
        heading='<h2 class="text-sub">$text</h2>',
        quote='<blockquote class="pull"><p>$text</p></blockquote>',
        image='<figure class="wide"><img src="$src" alt="" decoding="async"><figcaption>$text</figcaption></figure>',
        advert='<aside class="ad-unit" aria-label="Advertisement"><p>Sponsored</p>'
        '<a rel="sponsored" href="/about#adverts">Bench supplies that stay quiet. Try one for ninety days.</a></aside>',
    ),
}


def render_story(story: PublishedStory, base: str, earlier: Sequence[PublishedStory]) -> str:
    """Return the page of a story; `earlier` are the stories that came out before it, newest first."""
    words = _LABELS.get(story.language, _LABELS["en"])
    related = sorted(earlier, key=lambda other: other.story.section != story.story.section)[:3]
    most_read = list(reversed(earlier))[:5]
    values = _frame(story.outlet, base) | {
        "language": story.language,
        "title": escape(story.title),
        "summary": escape(story.summary),
        "url": escape(story.url),
        "image": f"{base}/media/{story.slug}.svg",
        "section": escape(story.story.section),
        "section_path": section_path(story.story.section),
        "keywords": escape(", ".join(story.story.keywords)),
        "tags": "".join(
            f'<li><a href="/about#{escape(word)}">{escape(word)}</a></li>' for word in story.story.keywords
        ),
        "by": words["by"],
        "authors": f" {words['and']} ".join(_author(name) for name in story.authors),
        "author_names": escape(f" {words['and']} ".join(story.authors)),
        "author_metas": "".join(f'<meta name="author" content="{escape(name)}">\n' for name in story.authors),
        "published": story.published.isoformat(),
        "published_words": _in_words(story.published),
        "updated": story.updated.isoformat(),
        "updated_line": _updated_line(story, words["updated"]),
        "minutes": f"{max(1, round(len(story.text.split()) / 200))} {words['minutes']}",
        "json_ld": _json_ld(story, base),
        "body": body_html(story),
        "related": _links(related),
        "most_read": _links(most_read),
        "comments": str(len(story.text) % 41 + 2),
    }
    return _template(story.outlet.template, "story").substitute(values)


def render_home(outlet: Outlet, base: str, stories: Sequence[PublishedStory], section: str = "") -> str:
    """Return the home page, or the page of one section."""
    teasers = "\n".join(_teaser(story) for story in stories)
    heading = escape(section or "Latest stories")
    return _template(outlet.template, "home").substitute(_frame(outlet, base), teasers=teasers, heading=heading)


def render_notice(outlet: Outlet, base: str, heading: str, text: str) -> str:
    """Return a page that is no story: about us, or what robots.txt forbids."""
    teasers = f"<p>{escape(text)}</p>"
    return _template(outlet.template, "home").substitute(_frame(outlet, base), teasers=teasers, heading=escape(heading))


def render_picture(slug: str) -> str:
    """Return a picture for a story as SVG: hills whose shape and colour follow from the slug."""
    seed = sum(ord(letter) * (i + 3) for i, letter in enumerate(slug))
    hue, hills = seed % 360, []
    for i in range(4):
        y = 230 + i * 80
        points = " ".join(f"{x},{y + (seed * (i + 2) * (x // 160 + 5)) % 90 - 45}" for x in range(0, 961, 160))
        hills.append(f'<polygon fill="hsl({hue + i * 14} 38% {58 - i * 11}%)" points="0,540 {points} 960,540"/>')
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 540" width="960" height="540">'
        f'<rect width="960" height="540" fill="hsl({hue} 45% 86%)"/><circle cx="{140 + seed % 680}" cy="130" r="46" '
        f'fill="hsl({(hue + 40) % 360} 80% 78%)"/>{"".join(hills)}</svg>'
    )


def body_html(story: PublishedStory) -> str:
    """Return the body of a story as its outlet marks it up."""
    markup = _MARKUP[story.outlet.template]
    parts: list[str] = []
    paragraphs = 0
    for block in story.blocks:
        if block.kind is BlockKind.PARAGRAPH:
            paragraphs += 1
        parts.append(_block_html(block, markup, first=paragraphs == 1 and block.kind is BlockKind.PARAGRAPH))
        if markup.advert and paragraphs == 2 and block.kind is BlockKind.PARAGRAPH:
            parts.append(markup.advert)
    return "\n".join(parts)


def section_path(section: str) -> str:
    """Return the path of a section's page."""
    return f"/section/{section.lower().replace(' ', '-')}"


def _block_html(block: Block, markup: Markup, first: bool) -> str:
    text, src = inline_html(block.texts[0]), f"/media/{block.image}.svg"
    if block.kind is BlockKind.LIST:
        text = "".join(Template(markup.item).substitute(text=inline_html(item)) for item in block.texts)
    pattern = {
        BlockKind.PARAGRAPH: markup.first if first else markup.paragraph,
        BlockKind.HEADING: markup.heading,
        BlockKind.QUOTE: markup.quote,
        BlockKind.LIST: markup.items,
        BlockKind.IMAGE: markup.image,
    }[block.kind]
    return Template(pattern).substitute(text=text, src=src)


def _frame(outlet: Outlet, base: str) -> dict[str, str]:
    """Return what every page of an outlet shares."""
    return {
        "outlet": escape(outlet.name),
        "tagline": escape(outlet.tagline),
        "base": base,
        "feed_path": outlet.feed_path,
        "feed_type": FEED_TYPES[outlet.feed],
    }


def _json_ld(story: PublishedStory, base: str) -> str:
    publisher = {"@type": "NewsMediaOrganization", "name": story.outlet.name, "url": f"{base}/"}
    article: dict[str, Any] = {
        "@type": "NewsArticle",
        "headline": story.title,
        "description": story.summary,
        "inLanguage": story.language,
        "datePublished": story.published.isoformat(),
        "dateModified": story.updated.isoformat(),
        "articleSection": story.story.section,
        "keywords": list(story.story.keywords),
        "mainEntityOfPage": story.url,
        "image": f"{base}/media/{story.slug}.svg",
    }
    people = [{"@type": "Person", "name": name} for name in story.authors]
    if story.outlet.template != "upland":
        data = {"@context": "https://schema.org"} | article | {"author": people, "publisher": publisher}
    else:
        # Content systems that write a graph give the people a node each and let the article point at them.
        named = [person | {"@id": f"{base}/#person-{i}"} for i, person in enumerate(people)]
        article |= {"@id": f"{story.url}#article", "author": [{"@id": person["@id"]} for person in named]}
        site = {"@type": "WebSite", "@id": f"{base}/#website", "name": story.outlet.name, "url": f"{base}/"}
        page = {"@type": "WebPage", "@id": story.url, "name": story.title, "isPartOf": {"@id": site["@id"]}}
        data = {"@context": "https://schema.org", "@graph": [site, publisher, page, article, *named]}
    return json.dumps(data, ensure_ascii=False).replace("</", "<\\/")


def _teaser(story: PublishedStory) -> str:
    return (
        f'<div class="teaser"><h3><a href="{story.story.path}">{escape(story.title)}</a></h3>'
        f"<p>{escape(story.summary)}</p>"
        f'<time datetime="{story.published.isoformat()}">{_in_words(story.published)}</time></div>'
    )


def _links(stories: Sequence[PublishedStory]) -> str:
    return "".join(f'<li><a href="{story.story.path}">{escape(story.title)}</a></li>' for story in stories)


def _author(name: str) -> str:
    return f'<a rel="author" href="/about#people">{escape(name)}</a>'


def _updated_line(story: PublishedStory, word: str) -> str:
    if not story.was_updated:
        return ""
    stamp = f'<time datetime="{story.updated.isoformat()}">{_in_words(story.updated)}</time>'
    return f'<span class="updated">{word} {stamp}</span>'


def _in_words(instant: datetime) -> str:
    return instant.strftime("%d %B %Y, %H:%M UTC").lstrip("0")


@cache
def _template(outlet: str, page: str) -> Template:
    return Template((TEMPLATES / f"{outlet}-{page}.html").read_text(encoding="utf-8"))
