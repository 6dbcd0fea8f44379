"""Form fields of the schedule's form: spans of time in units, moments in the schedule's own zone, and the look of the
fields that a job's form brings along."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from unfold import widgets

from scheduling.triggers.fields import LONGEST_INTERVAL
from scheduling.zones import zone_names

UNITS: list[tuple[int, str | Promise]] = [
    (1, _("seconds")),
    (60, _("minutes")),
    (3_600, _("hours")),
    (86_400, _("days")),
]

LISTED = 200
"""So many rows a field of a job's form lists at most; more are searched by typing."""


class SpanWidget(forms.MultiWidget):
    """A number beside its unit."""

    template_name = "scheduling/widgets/span.html"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(
            {
                "count": widgets.UnfoldAdminIntegerFieldWidget({"min": 0, "inputmode": "numeric"}),
                "unit": widgets.UnfoldAdminSelectWidget({"aria-label": _("Unit")}, choices=UNITS),
            },
            attrs,
        )

    # One label for both: the unit has a name of its own.
    use_fieldset = False

    def id_for_label(self, id_: str, index: str = "0") -> str:
        """Return the id of the number, which the field's label is for."""
        return f"{id_}_{index}"

    def decompress(self, value: Any) -> list[Any]:
        """Return (count, unit) with the largest unit that divides the seconds."""
        if value in (None, ""):
            return [None, 60]
        seconds = int(value)
        unit = next(size for size, _name in reversed(UNITS) if seconds % size == 0) if seconds else 1
        return [seconds // unit, unit]


class SpanField(forms.MultiValueField):
    """A span of time in whole seconds, typed as a number and a unit."""

    widget = SpanWidget

    def __init__(self, *, min_value: int = 0, max_value: int | None = None, **kwargs: Any) -> None:
        fields = (
            forms.IntegerField(min_value=min_value, max_value=max_value, required=False),
            forms.TypedChoiceField(choices=UNITS, coerce=int, required=False),
        )
        super().__init__(fields, require_all_fields=False, **kwargs)

    def compress(self, data_list: list[Any]) -> int | None:
        """Return the seconds, or None if no number was typed."""
        if not data_list or data_list[0] in (None, ""):
            if self.required:
                raise forms.ValidationError(self.error_messages["required"], code="required")
            return None
        seconds = int(data_list[0]) * int(data_list[1] or 1)
        if seconds > LONGEST_INTERVAL:
            raise forms.ValidationError(
                _("Give at most %(days)d days."), code="max_value", params={"days": LONGEST_INTERVAL // 86_400}
            )
        return seconds

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Tell whether other seconds are meant; a unit beside no number means none."""
        try:
            return bool(self.clean(data) != initial)
        except forms.ValidationError:
            return True


class TextAsJSONField(forms.CharField):
    """A JSON value that people type as text; `read` and `write` turn one into the other."""

    def __init__(self, *, read: Callable[[str], Any], write: Callable[[Any], str], **kwargs: Any) -> None:
        self._read, self._write = read, write
        super().__init__(required=False, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        """Return the stored value as text; text that was typed stays as it is."""
        return value if isinstance(value, str) else self._write(value)

    def clean(self, value: Any) -> Any:
        """Return the value to store; raises `ValidationError` where the text is not understood."""
        return self._read(super().clean(value))

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Tell whether the text means something else than what is stored."""
        return super().has_changed(self._write(initial), data)


class ZonedDateTimeWidget(widgets.UnfoldAdminSplitDateTimeWidget):  # type: ignore[misc]
    """Date and time of day in a zone that is not the viewer's."""

    zone: ZoneInfo | None = None

    def decompress(self, value: datetime | None) -> list[Any]:
        """Return date and time of day in the zone."""
        with timezone.override(self.zone):
            return list(super().decompress(value))


class ZonedDateTimeField(forms.SplitDateTimeField):
    """A moment, typed in the schedule's zone (`use` sets it) and stored in UTC."""

    widget = ZonedDateTimeWidget
    zone: ZoneInfo | None = None

    def use(self, zone: str) -> None:
        """Read and show the moment in this zone; an unknown one (told at its own field) leaves the active zone."""
        self.zone = self.widget.zone = ZoneInfo(zone) if zone in zone_names() else None

    def compress(self, data_list: Any) -> datetime | None:
        """Return the moment; raises `ValidationError` for one that a change of clocks leaves out."""
        with timezone.override(self.zone):
            return super().compress(data_list)


class SearchedSelect(widgets.UnfoldAdminSelect2MultipleWidget):  # type: ignore[misc]
    """Rows chosen by typing: the page holds only those that are chosen, the others are asked for at an address."""

    def __init__(self, address: str) -> None:
        super().__init__(attrs={"data-ajax--url": address, "data-ajax--delay": "250"})

    def optgroups(self, name: str, value: list[str], attrs: dict[str, Any] | None = None) -> list[Any]:
        """Return the chosen rows as options."""
        keys = [key for key in value if str(key).isdigit()]
        rows = self.choices.queryset.filter(pk__in=keys)
        options = [
            self.create_option(name, row.pk, self.choices.field.label_from_instance(row), True, index, attrs=attrs)
            for index, row in enumerate(rows)
        ]
        return [(None, options, 0)]


def in_unfolds_look(field: forms.Field, address: str = "") -> forms.Field:
    """Return a job's form field with the widget that fits the admin; a field with a widget of its own keeps it.

    At `address` the rows of a model can be searched; it is used where there are too many to list.
    """
    if isinstance(field, forms.ModelMultipleChoiceField) and address and _are_many(field):
        field.widget = SearchedSelect(address)
        field.widget.choices = field.choices
        return field
    made: dict[type[forms.Field], Any] = {
        forms.ModelMultipleChoiceField: widgets.UnfoldAdminSelect2MultipleWidget,
        forms.MultipleChoiceField: widgets.UnfoldAdminSelect2MultipleWidget,
        forms.ModelChoiceField: widgets.UnfoldAdminSelectWidget,
        forms.ChoiceField: widgets.UnfoldAdminSelectWidget,
        forms.BooleanField: widgets.UnfoldBooleanSwitchWidget,
        forms.FloatField: widgets.UnfoldAdminDecimalFieldWidget,
        forms.DecimalField: widgets.UnfoldAdminDecimalFieldWidget,
        forms.IntegerField: widgets.UnfoldAdminIntegerFieldWidget,
        forms.DateTimeField: widgets.UnfoldAdminTextInputWidget,
        forms.DateField: widgets.UnfoldAdminSingleDateWidget,
        forms.TimeField: widgets.UnfoldAdminSingleTimeWidget,
        forms.URLField: widgets.UnfoldAdminURLInputWidget,
        forms.CharField: widgets.UnfoldAdminTextInputWidget,
    }
    if type(field.widget) is forms.Textarea:
        field.widget = widgets.UnfoldAdminTextareaWidget(attrs={"rows": 4})
        return field
    if type(field.widget) is not type(field).widget and not isinstance(field.widget, forms.NumberInput):
        return field
    kind = next((kind for kind in type(field).__mro__ if kind in made), None)
    if kind is None:
        return field
    widget = made[kind](attrs=dict(field.widget_attrs(field.widget) or {}))
    widget.is_required = field.required
    if isinstance(field, forms.ChoiceField):
        widget.choices = field.choices
    field.widget = widget
    return field


def _are_many(field: Any) -> bool:
    return len(field.queryset.order_by().values("pk")[: LISTED + 1]) > LISTED
