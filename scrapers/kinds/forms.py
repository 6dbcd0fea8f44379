"""The form that a kind's options are: the admin shows its fields, everything else validates with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from scrapers import secrets


class SecretField(forms.CharField):
    """An option that is a password or a token: stored encrypted, shown as a mask, handed to the kind as it was typed.

    `env:NEWSS_SECRET_NAME` is stored as it is. A mask that is sent back stands for what is stored (`stored` is set by
    the form).
    """

    def __init__(self, **kwargs: Any) -> None:
        self.stored = ""
        super().__init__(**{"max_length": 1000, **kwargs})
        self.widget.attrs.setdefault("autocomplete", "off")

    def prepare_value(self, value: Any) -> Any:
        """Return what may be shown."""
        return secrets.masked(value) if isinstance(value, str) else value

    def clean(self, value: Any) -> str:
        """Return what is stored; raises `ValidationError`."""
        text = str(value or "").strip()
        if secrets.MASK in text:
            if text != secrets.MASK or not self.stored:
                raise ValidationError(_("Type it anew; the mask stands for nothing here."))
            return self.stored
        return secrets.sealed(str(super().clean(value))) if not text.startswith("enc:") else text

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Tell whether what is sent back differs from what was shown."""
        return (self.prepare_value(initial) or "") != (data or "").strip()


class OptionsForm(forms.Form):
    """Base of every kind's form: each field is one option, stored as JSON in `Source.options`."""

    @classmethod
    def filled(cls, options: Mapping[str, Any]) -> Self:
        """Return the form bound to options, with the defaults of those that are missing."""
        return cls(data={**cls.defaults(), **options})

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return what holds for options that a source does not name: it may be older than they are."""
        return {name: field.initial for name, field in cls.base_fields.items() if field.initial is not None}

    def knowing(self, stored: Mapping[str, Any] | None) -> Self:
        """Let the masks of secrets stand for what is stored; return the form."""
        for name, field in self.fields.items():
            if isinstance(field, SecretField):
                field.stored = str((stored or {}).get(name) or "")
        return self

    @classmethod
    def clean_options(cls, options: Mapping[str, Any], stored: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return options as they are stored, defaults filled in; a secret's mask stands for what is `stored`.

        Raises `ValidationError` with a message dict that names each unknown or wrong one.
        """
        known = ", ".join(cls.base_fields) or _("none")
        unknown = {
            name: [_("Unknown option; the known ones are: %(known)s.") % {"known": known}]
            for name in options
            if name not in cls.base_fields
        }
        form = cls.filled(options).knowing(stored)
        if not form.is_valid() or unknown:
            raise ValidationError({**{name: list(messages) for name, messages in form.errors.items()}, **unknown})
        return form.to_options()

    def to_options(self) -> dict[str, Any]:
        """Return the cleaned values; the form must be valid."""
        return {name: self.cleaned_data[name] for name in self.fields if name in self.cleaned_data}
