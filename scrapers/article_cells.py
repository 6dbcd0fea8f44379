"""How an article looks in the list of articles, and on pages that show it the same way.

Put together here and not by templates, which would take most of the list's time for its rows.
"""

from __future__ import annotations

from typing import Any

from django.utils.formats import localize
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from scheduling.addresses import address_of
from scheduling.display import day_words, moment_html
from scrapers.query import Query
from scrapers.search import highlight

NOTHING = SafeString("")


def reading(article: Any, query: Query) -> SafeString:
    """Return title, where it was seen, language and the first lines, or those where a search found something."""
    title, part = article.title, None
    if query:
        title, part = highlight(title, query, 0), highlight(article.text or article.summary, query)
    language = format_html(' lang="{}"', article.language) if article.language else NOTHING
    return format_html(
        '<div class="scrapers-story"><a class="newss-name" href="{}"{}>{}</a><span class="newss-sub">{}</span>'
        '<p class="scrapers-opening"{}>{}</p></div>',
        address_of("admin:scrapers_article_change", article.pk),
        language,
        title,
        _about(article),
        language,
        article.opening or article.summary if part is None else part,
    )


def _about(article: Any) -> SafeString:
    sources = format_html_join(", ", "<span>{}</span>", ((source.name,) for source in article.sources.all()))
    language = words = NOTHING
    if article.language:
        language = format_html(' · <abbr title="{}">{}</abbr>', _("Language"), article.language)
    if article.word_count:
        text = ngettext("%(words)s word", "%(words)s words", article.word_count)
        words = format_html(" · {}", text % {"words": localize(article.word_count)})
    return format_html("{}{}{}", sources, language, words)


def published(article: Any) -> SafeString:
    """Return when it was published, relative and in the outlet's zone."""
    local = article.published_local
    if local is None:
        return format_html('<span class="newss-sub">{}</span>', _("no date"))
    zone = "UTC" if article.published_offset is None else f"{local:%z}"
    return format_html(
        '<span class="scrapers-when">{}<span class="newss-sub">{}, {} {}</span></span>',
        moment_html(article.published_at),
        day_words(local.date(), _("j M Y")),
        f"{local:%H:%M}",
        zone,
    )
