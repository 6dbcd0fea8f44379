"""A form that borrows the fields of another one: a schedule's those of its job, a source's those of its kind.

1. The borrowed fields stand in the form like its own, under a prefix; which ones follows from a choice (job, kind).
2. The page carries, hidden, for which choice it was made. If another one is posted, its fields were not on the page:
   they get their defaults, and the person is asked to look through them before anything is saved.
3. What was typed is judged by the other form itself; its messages stand at the borrowed fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.forms.utils import ErrorDict

if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[Any]
else:
    _ModelForm = forms.ModelForm


class BorrowingForm(_ModelForm):
    """A model form with the fields of another form; subclasses say which."""

    prefix_of_borrowed: ClassVar[str]
    #: The field with the choice, and the one that carries for which choice the page was made.
    choice: ClassVar[str]
    #: Buttons that show the form again as it was typed, without judging or saving it.
    show_only: ClassVar[tuple[str, ...]] = ()
    choice_changed = False

    def chosen(self) -> str:
        """Return the choice that this form is for."""
        raise NotImplementedError

    def borrowed(self) -> Mapping[str, forms.Field]:
        """Return the other form's fields by their own names."""
        raise NotImplementedError

    @property
    def only_shown(self) -> bool:
        """Tell whether the form is to be shown again as typed, neither judged nor saved."""
        return self.is_bound and any(name in self.data for name in self.show_only)

    def is_valid(self) -> bool:
        """Tell whether it can be saved."""
        return not self.only_shown and super().is_valid()

    @property
    def errors(self) -> ErrorDict:
        """Return the messages by field; none for a form that is only shown again."""
        return ErrorDict() if self.only_shown else super().errors

    def show_borrowed(self, stored: Mapping[str, Any]) -> None:
        """Put in what is stored, and the defaults; to be called once the form is made."""
        if self.is_bound:
            self.data = self._with_defaults(self.data)
        for name, field in self.borrowed().items():
            self.initial.setdefault(f"{self.prefix_of_borrowed}-{name}", stored.get(name, field.initial))
        self.initial[self.choice] = self.initial[f"{self.choice}_shown"] = self.chosen()

    def add_borrowed_errors(self, form: forms.BaseForm) -> None:
        """Show what the other form says at the borrowed fields; what has no field here above the form."""
        for name, messages in form.errors.as_data().items():
            field = f"{self.prefix_of_borrowed}-{name}"
            if field not in self.fields:
                self.add_error(None, ValidationError(messages))
            elif field not in self.errors:
                self.add_error(field, ValidationError(messages))

    def says_above(self, name: str) -> bool:
        """Tell whether what the model says of a field that is not on the form is shown above it."""
        return True

    def _with_defaults(self, data: Any) -> Any:
        """Return the posted data with the defaults of fields that were not on the page that was posted."""
        shown = data.get(f"{self.choice}_shown")
        if not shown or shown == self.chosen() or self.choice not in data:
            return data
        self.choice_changed = True
        data = data.copy()
        data[f"{self.choice}_shown"] = self.chosen()
        for name, field in self.borrowed().items():
            value = field.initial() if callable(field.initial) else field.initial
            if f"{self.prefix_of_borrowed}-{name}" not in data and value is not None:
                # As a browser would post it.
                posted = value if isinstance(value, list) else [field.prepare_value(value)]
                data.setlist(f"{self.prefix_of_borrowed}-{name}", posted)
        return data

    def _update_errors(self, errors: ValidationError) -> None:
        """Show what the model says of a field that is not on this form above the form.

        Of one whose value could not be read it has seen nothing, so it has nothing to say.
        """
        if hasattr(errors, "error_dict"):
            known: dict[str, list[ValidationError]] = {}
            for name, messages in errors.error_dict.items():
                if name in self.fields and name in self.errors:
                    continue
                if name in self.fields or self.says_above(name):
                    known.setdefault(name if name in self.fields else NON_FIELD_ERRORS, []).extend(messages)
            errors = ValidationError(known)
        super()._update_errors(errors)  # type: ignore[misc]
