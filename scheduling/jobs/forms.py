"""The form that a job's typed parameters are; the admin shows it, the API and `Run.objects.start` validate with it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import Model, QuerySet


class JobForm(forms.Form):
    """Base of every job's form: each field is one parameter of the job function.

    Parameters are stored as JSON: a model instance becomes its primary key, a query set a list of them.
    """

    def to_parameters(self) -> dict[str, Any]:
        """Return the cleaned values as JSON can hold them; the form must be valid."""
        return {name: _plain(self.cleaned_data[name]) for name in self.fields if name in self.cleaned_data}


def _plain(value: Any) -> Any:
    if isinstance(value, QuerySet):
        return sorted(value.values_list("pk", flat=True))
    if isinstance(value, Model):
        return value.pk
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    return value
