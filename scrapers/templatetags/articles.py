"""Template tags for articles; they only call what says them elsewhere."""

from __future__ import annotations

from django import template

from scrapers import article_cells

register = template.Library()

register.filter("published", article_cells.published)
