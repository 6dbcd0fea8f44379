"""The filter of a list that offers its choices in a field; lists are imported from here instead of from unfold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import DropdownFilter as UnfoldDropdownFilter
from unfold.contrib.filters.forms import DropdownForm
from unfold.widgets import UnfoldAdminSelectWidget

if TYPE_CHECKING:
    from django.contrib.admin import SimpleListFilter as _Filter
    from django.forms import Form as _Form
    from django.forms import Select as _Select
else:
    _Filter, _Form, _Select = UnfoldDropdownFilter, DropdownForm, UnfoldAdminSelectWidget

SELECTED = SafeString(" selected")


class PlainSelect(_Select):
    """A choice among hundreds: its options are put together at once, and not by a template for each."""

    template_name = "scheduling/widgets/select.html"

    def optgroups(self, name: str, value: list[str], attrs: Any = None) -> list[Any]:
        """Return none; the template shows `options_shown`."""
        return []

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        """Add the options."""
        context = super().get_context(name, value, attrs)
        chosen = context["widget"]["value"]
        context["widget"]["options_shown"] = format_html_join(
            "\n",
            '<option value="{}"{}>{}</option>',
            ((key, SELECTED if str(key) in chosen else "", words) for key, words in self.choices),
        )
        return context


class PlainDropdownForm(_Form):
    """Unfold's form of such a filter, with that field."""

    widget = PlainSelect(
        attrs={"data-theme": "admin-autocomplete", "class": "unfold-admin-autocomplete admin-autocomplete"}
    )


class DropdownFilter(_Filter):
    """A filter with a field to choose from."""

    form_class = PlainDropdownForm
