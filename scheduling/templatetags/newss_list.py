"""The rows of a list in the admin, put together in Python: the columns are looked at once, then come the rows.

Unfold's own tag works out the headings anew for each row, with their addresses and a rendered checkbox, and asks for
each cell whether there is a field of its name: most of the time of a list of fifty rows. The elements and classes are
the same, so that Unfold's styles and scripts fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django import template
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.contrib.admin.utils import lookup_field
from django.core.exceptions import ObjectDoesNotExist
from django.utils.html import format_html
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


def _rows(cl: Any, columns: list[Column]) -> Iterator[SafeString]:
    row = '<tbody class="block relative lg:table-row-group{}"><tr class="{}">{}</tr></tbody>'
    for number, one in enumerate(cl.result_list):
        cells = SafeString("".join(_cell(cl, one, column) for column in columns))
        yield format_html(row, STRIPES[number % 2], ROW, cells)


def _cell(cl: Any, row: Any, column: Column) -> str:
    shown = column.shown(row)
    if column.linked:
        preserved = {"preserved_filters": cl.preserved_filters, "opts": cl.opts}
        address = add_preserved_filters(preserved, cl.url_for_result(row))
        shown = format_html('<a href="{}" class="{}">{}</a>', address, " ".join(LINK_CLASSES), shown)
    return format_html("{}{}{}", column.opening, shown, column.closing)


def _columns(cl: Any, headers: list[dict[str, Any]]) -> list[Column]:
    links = cl.list_display_links
    columns = []
    for name, header in zip(cl.list_display, headers, strict=True):
        if name == CHECKBOX:
            columns.append(_column("td", CHECKBOX_CLASSES, _("Select record"), _checkbox(cl.model_admin)))
            continue
        linked = links is not None and (name in links or (not links and all(not one.linked for one in columns)))
        classes = [f"field-{name}", *ROW_CLASSES]
        columns.append(_column("th" if linked else "td", classes, header["text"], _shown(cl, name), linked=linked))
    return columns


def _column(tag: str, classes: list[str], label: Any, shown: Callable[[Any], Any], *, linked: bool = False) -> Column:
    opening = format_html('<{} class="{}" data-label="{}">', SafeString(tag), " ".join(classes), capfirst(label))
    return Column(opening, SafeString(f"</{tag}>"), shown, linked)


def _checkbox(model_admin: Any) -> Callable[[Any], SafeString]:
    """Return what makes the box that chooses a row: the theme's, rendered once, with each row's key put in."""
    before, after = str(model_admin.action_checkbox(_Keyed("\0"))).split("\0")
    return lambda row: SafeString(before) + format_html("{}", row.pk) + SafeString(after)


@dataclass(frozen=True)
class _Keyed:
    pk: str


def _shown(cl: Any, name: str) -> Callable[[Any], Any]:
    """Return what makes the content of a column's cells."""
    empty = cl.model_admin.get_empty_value_display()
    method = getattr(cl.model_admin, name, None)
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
