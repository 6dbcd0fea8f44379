"""The form of a source: its own fields, the options of its kind, and the settings with where each is inherited from."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from scheduling.admin.borrowed_form import BorrowingForm
from scheduling.admin.fields import in_unfolds_look
from scrapers import secrets
from scrapers.kinds import registry
from scrapers.models import SettingsLevel, Source
from scrapers.source_settings import SETTINGS, resolve
from scrapers.source_settings.inputs import ProxyField, SecretPairsField, masked_proxy

OPTION, SETTING = "option", "setting"
CHOOSE = "_choose_kind"
"""The button that shows the form again, with the fields of another kind."""

POLLING_FIELDS = (
    "pace",
    "interval_minutes",
    "active_from",
    "active_until",
    "active_zone",
    "heed_ttl",
    "forbidden_is_busy",
)

EDITABLE_SETTINGS = tuple(
    f"{SETTING}-{setting.name}"
    for setting in SETTINGS.values()
    if not isinstance(setting.field(), SecretPairsField | ProxyField)
)
"""The settings that can be changed in many sources at once: those that hold no secret."""

if TYPE_CHECKING:
    _LevelModelForm = forms.ModelForm[SettingsLevel]
else:
    _LevelModelForm = forms.ModelForm


def option_names(kind: str) -> list[str]:
    """Return the names that the options of a kind have in the form of a source (none for an unknown kind)."""
    return [f"{OPTION}-{name}" for name in registry.form_fields(kind)]


def setting_names(group: str) -> list[str]:
    """Return the names that the settings of a group have in a form."""
    return [f"{SETTING}-{setting.name}" for setting in SETTINGS.values() if setting.group == group]


def setting_fields() -> dict[str, forms.Field]:
    """Return new fields for all settings."""
    return {f"{SETTING}-{setting.name}": _looked(setting.field()) for setting in SETTINGS.values()}


def in_words(name: str, value: Any) -> str:
    """Return a value of a setting as people read it, without any secret."""
    if name == "proxy":
        return masked_proxy(value or "")
    value = secrets.without_secrets(value)
    if isinstance(value, dict):
        return ", ".join(f"{key}: {text}" for key, text in sorted(value.items()))
    if isinstance(value, list):
        return ", ".join(value)
    choices = dict(getattr(SETTINGS[name].field(), "choices", ()))
    return str(choices.get(value, value)) if value not in (None, "") else ""


class SettingsFields:
    """What the forms of a source and of inherited settings share."""

    fields: dict[str, forms.Field]
    initial: Any
    cleaned_data: dict[str, Any]

    def show_settings(self, stored: Mapping[str, Any]) -> None:
        """Put in what is stored; a mask that is sent back stands for it."""
        for name in SETTINGS:
            field = self.fields.get(f"{SETTING}-{name}")
            self.initial.setdefault(f"{SETTING}-{name}", stored.get(name))
            if isinstance(field, SecretPairsField):
                field.stored = stored.get(name) or {}
            elif isinstance(field, ProxyField):
                field.stored = stored.get(name) or ""

    def typed_settings(self) -> dict[str, Any]:
        """Return what was set."""
        typed = {name: self.cleaned_data.get(f"{SETTING}-{name}") for name in SETTINGS}
        return {name: value for name, value in typed.items() if value not in (None, "", [], {})}


class SourceForm(SettingsFields, BorrowingForm):
    """A source as people edit it; `for_kind` makes the class for one kind."""

    prefix_of_borrowed, choice, show_only = OPTION, "kind", (CHOOSE,)
    kind_name = "feed"

    kind = forms.ChoiceField(label=_("Kind"), choices=registry.choices, widget=UnfoldAdminSelectWidget)
    kind_shown = forms.CharField(label="", required=False, widget=forms.HiddenInput)

    class Meta:
        model = Source
        fields = ("name", "url", "kind", "tags", "enabled", *POLLING_FIELDS)

    class Media:
        js = ("scrapers/source_form.js",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stored_options = dict(self.instance.options or {})
        self.show_borrowed(self._stored_options)
        if "url" in self.fields and self.kind_name in dict(registry.choices()):
            hidden = _t("Put braces around a part of the path that nobody may see: https://example.org/{token}/rss")
            self.fields["url"].help_text = f"{registry.get(self.kind_name).address_help} {hidden}".strip()
        self.show_settings(self.instance.settings or {})
        self._show_origins()
        for name in ("pace", "interval_minutes"):
            # Left empty they stay as they are.
            if name in self.fields:
                self.fields[name].required = False

    def clean_pace(self) -> str:
        """Return the pace; left empty, it stays."""
        return str(self.cleaned_data["pace"] or self.instance.pace)

    def clean_interval_minutes(self) -> int:
        """Return the interval; left empty, it stays."""
        typed = self.cleaned_data["interval_minutes"]
        return self.instance.interval_minutes if typed is None else int(typed)

    @classmethod
    def for_kind(cls, kind: str) -> type[SourceForm]:
        """Return the form class with the options of a kind (none for an unknown one) and all settings."""
        options = {
            f"{OPTION}-{name}": _looked(copy.deepcopy(field)) for name, field in registry.form_fields(kind).items()
        }
        body = {**options, **setting_fields(), "kind_name": kind, "Meta": cls.Meta, "Media": cls.Media}
        return type(f"{cls.__name__}Of{kind.title()}", (cls,), body)

    def chosen(self) -> str:
        """Return the kind that this form is for."""
        return self.kind_name

    def borrowed(self) -> Mapping[str, forms.Field]:
        """Return the fields of the kind's options."""
        return registry.form_fields(self.kind_name)

    def says_above(self, name: str) -> bool:
        """Tell whether what the model says of options or settings is shown above the form: a field tells it better."""
        return not self.errors

    def clean(self) -> dict[str, Any]:
        """Check the options with the kind's own form, and put options and settings on the source."""
        cleaned = super().clean() or {}
        if "kind" not in self.fields:
            return cleaned
        if self.choice_changed and self.borrowed():
            self.add_error("kind", _t("The kind was changed: look through its options, then save."))
            return cleaned
        self.instance.settings = self.typed_settings()
        form = registry.get(self.kind_name).form(data=self.data, prefix=OPTION).knowing(self._stored_options)
        if form.is_valid():
            self.instance.options = form.to_options()
            return cleaned
        self.add_borrowed_errors(form)
        return cleaned

    def _show_origins(self) -> None:
        """Say at each setting what holds where the field is left empty, and where that comes from."""
        resolved = resolve(self.instance)
        for name in SETTINGS:
            field = self.fields.get(f"{SETTING}-{name}")
            if field is None:
                continue
            value = in_words(name, resolved.inherited[name])
            where = resolved.inherited_from[name]
            if value:
                words = _t("Left empty: %(value)s (%(where)s).") % {"value": value, "where": where}
                field.help_text = f"{field.help_text} {words}".strip()
            if isinstance(field, forms.ChoiceField):
                field.choices = [("", f"– {value or '–'} ({where}) –"), *list(field.choices)[1:]]  # type: ignore[arg-type]


class LevelForm(SettingsFields, _LevelModelForm):
    """Settings that sources inherit, as people edit them."""

    class Meta:
        model = SettingsLevel
        fields = ("tag", "position")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.show_settings(self.instance.values or {})

    def clean(self) -> dict[str, Any]:
        """Put the settings on the level."""
        cleaned = super().clean() or {}
        self.instance.values = self.typed_settings()
        return cleaned


def level_form() -> type[LevelForm]:
    """Return the form class with all settings."""
    return type("SettingsLevelForm", (LevelForm,), {**setting_fields(), "Meta": LevelForm.Meta})


def _looked(field: forms.Field) -> forms.Field:
    """Return a field in the admin's look."""
    if isinstance(field.widget, forms.Textarea):
        field.widget = UnfoldAdminTextareaWidget({"rows": 2, **field.widget.attrs})
        return field
    return in_unfolds_look(field)
