"""The rows of a list in the admin, put together in Python: the columns are looked at once, then come the rows.

Unfold's own tag works out the headings anew for each row, with their addresses and a rendered checkbox, and asks for
each cell whether there is a field of its name: most of the time of a list of fifty rows. The elements and classes are
the same, so that Unfold's styles and scripts fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from django import template
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.contrib.admin.utils import lookup_field, quote
from django.core.exceptions import ObjectDoesNotExist
from django.utils.encoding import iri_to_uri
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from unfold.templatetags.unfold_list import CHECKBOX_CLASSES, LINK_CLASSES, ROW_CLASSES, result_headers
from unfold.utils import display_for_field, display_for_value

from scheduling import display

register = template.Library()

CHECKBOX = "action_checkbox"
ROW = (
    "data-row block border border-base-200 mb-3 relative rounded-default lg:table-row lg:border-none lg:mb-0"
    " lg:rounded-none dark:border-base-800"
)
STRIPES = ("", " bg-base-50 dark:bg-white/[.02]")


@dataclass(frozen=True)
class Column:
    """A column: how each of its cells begins and ends, what stands in it, and whether that leads to the row's page."""

    opening: SafeString
    closing: SafeString
    shown: Callable[[Any], Any]
    linked: bool


@register.inclusion_tag("scheduling/result_list.html", takes_context=True)
def newss_result_list(context: template.Context, cl: Any) -> dict[str, Any]:
    """Show the headings and rows of a list."""
    headers = list(result_headers(cl))
    return {
        "cl": cl,
        "has_add_permission": context.get("has_add_permission"),
        "result_headers": headers,
        "num_sorted_fields": sum(1 for header in headers if header["sortable"] and header["sorted"]),
        "rows": list(_rows(cl, _columns(cl, headers))),
    }


@register.simple_tag
def filter_choices(choices: list[dict[str, Any]], item: str, link: str) -> SafeString:
    """Return the choices of a filter as links in a list; the classes of items and links are the template's."""
    form = '<li class="{} {}"><a href="{}" title="{}" class="{} {}">{}</a></li>'
    chosen = "font-semibold text-primary-600 dark:text-primary-500"
    other = "hover:text-base-700 dark:hover:text-base-200"
    pointed = "hover:text-primary-600 dark:hover:text-primary-500"
    return format_html_join(
        "\n",
        form,
        (
            (item, chosen if one["selected"] else other, iri_to_uri(one["query_string"]), words, link, pointed, words)
            for one in choices
            for words in [str(one["display"])]
        ),
    )


def _rows(cl: Any, columns: list[Column]) -> Iterator[SafeString]:
    address = _addresses(cl) if any(column.linked for column in columns) else None
    on_cards = getattr(cl.model_admin, "card_columns", ())
    row = f"{ROW} newss-row-card" if on_cards else ROW
    more = _more() if on_cards and not {*cl.list_display} <= {CHECKBOX, *on_cards} else ""
    for number, one in enumerate(cl.result_list):
        cells = "".join(_cell(one, column, address) for column in columns)
        stripes = STRIPES[number % 2]
        yield SafeString(
            f'<tbody class="block relative lg:table-row-group{stripes}"><tr class="{row}">{cells}{more}</tr></tbody>'
        )


def _more() -> SafeString:
    """Return the last cell of a card, where the screen is narrow: it unfolds the cells that the card leaves out."""
    words = _("More")
    return format_html('<td class="newss-more"><details><summary>{}</summary></details></td>', words)


def _cell(row: Any, column: Column, address: Callable[[Any], str] | None) -> str:
    shown = column.shown(row)
    if column.linked and address is not None:
        shown = format_html('<a href="{}" class="{}">{}</a>', address(row), " ".join(LINK_CLASSES), shown)
    return f"{column.opening}{conditional_escape(shown)}{column.closing}"


def _addresses(cl: Any) -> Callable[[Any], str]:
    """Return what makes the address of a row's page, which leads back to the list as it is; worked out once."""
    first = SimpleNamespace(**{cl.pk_attname: 0})
    preserved = {"preserved_filters": cl.preserved_filters, "opts": cl.opts}
    before, _key, after = add_preserved_filters(preserved, cl.url_for_result(first)).rpartition("/0/")
    return lambda row: f"{before}/{quote(getattr(row, cl.pk_attname))}/{after}"


def _columns(cl: Any, headers: list[dict[str, Any]]) -> list[Column]:
    links = cl.list_display_links
    columns = []
    for name, header in zip(cl.list_display, headers, strict=True):
        if name == CHECKBOX:
            columns.append(_column("td", CHECKBOX_CLASSES, _("Select record"), _checkbox(cl.model_admin)))
            continue
        linked = links is not None and (name in links or (not links and all(not one.linked for one in columns)))
        classes = [f"field-{name}", *_on_card(cl, name), *ROW_CLASSES]
        columns.append(_column("th" if linked else "td", classes, header["text"], _shown(cl, name), linked=linked))
    return columns


def _on_card(cl: Any, name: str) -> list[str]:
    """Return how a column's cells stand on the card that a narrow screen makes of a row."""
    on_cards = getattr(cl.model_admin, "card_columns", ())
    if not on_cards:
        return []
    if name not in on_cards:
        return ["newss-folded"]
    return ["newss-on-card", "newss-lead"] if name == on_cards[0] else ["newss-on-card"]


def _column(tag: str, classes: list[str], label: Any, shown: Callable[[Any], Any], *, linked: bool = False) -> Column:
    opening = format_html('<{} class="{}" data-label="{}">', SafeString(tag), " ".join(classes), capfirst(label))
    return Column(opening, SafeString(f"</{tag}>"), shown, linked)


def _checkbox(model_admin: Any) -> Callable[[Any], SafeString]:
    """Return what makes the box that chooses a row: the theme's, rendered once, with each row's key put in."""
    before, after = str(model_admin.action_checkbox(_Keyed("\0"))).split("\0")
    return lambda row: SafeString(f"{before}{conditional_escape(row.pk)}{after}")


@dataclass(frozen=True)
class _Keyed:
    pk: str


def _shown(cl: Any, name: str) -> Callable[[Any], Any]:
    """Return what makes the content of a column's cells."""
    empty = cl.model_admin.get_empty_value_display()
    method = getattr(cl.model_admin, name, None) if name != "__str__" else None
    if method is not None:

        def of_method(row: Any) -> Any:
            try:
                return display_for_value(method(row), empty)
            except ObjectDoesNotExist:
                return empty

        return of_method

    def of_row(row: Any) -> Any:
        field, _attribute, value = lookup_field(name, row, cl.model_admin)
        if isinstance(value, bool):
            return display.yes_no_html(value)
        return display_for_field(value, field, empty) if field else display_for_value(value, empty)

    return of_row
