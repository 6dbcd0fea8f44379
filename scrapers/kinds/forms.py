"""The form that a kind's options are: the admin shows its fields, everything else validates with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _


class OptionsForm(forms.Form):
    """Base of every kind's form: each field is one option, stored as JSON in `Source.options`."""

    @classmethod
    def filled(cls, options: Mapping[str, Any]) -> Self:
        """Return the form bound to options, with the defaults of those that are missing."""
        defaults = {name: field.initial for name, field in cls.base_fields.items() if field.initial is not None}
        return cls(data={**defaults, **options})

    @classmethod
    def clean_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return options as they are stored, defaults filled in.

        Raises `ValidationError` with a message dict that names each unknown or wrong one.
        """
        known = ", ".join(cls.base_fields) or _("none")
        unknown = {
            name: [_("Unknown option; the known ones are: %(known)s.") % {"known": known}]
            for name in options
            if name not in cls.base_fields
        }
        form = cls.filled(options)
        if not form.is_valid() or unknown:
            raise ValidationError({**{name: list(messages) for name, messages in form.errors.items()}, **unknown})
        return form.to_options()

    def to_options(self) -> dict[str, Any]:
        """Return the cleaned values; the form must be valid."""
        return {name: self.cleaned_data[name] for name in self.fields if name in self.cleaned_data}
