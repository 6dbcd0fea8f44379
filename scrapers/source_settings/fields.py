"""The settings by name: what each is, how it is typed, and what holds where nobody set it.

A level (all sources, a tag, a source) stores as JSON only what was set there; an empty field inherits. Another setting
is one line in `SETTINGS`.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from scrapers.selectors import validate_selector
from scrapers.source_settings.inputs import (
    LinesField,
    ProxyField,
    SecretPairsField,
    judge_cookie,
    judge_header,
    judge_parameter,
)
from scrapers.source_settings.patterns import validate_patterns


def _check_selectors(lines: list[str]) -> None:
    for line in lines:
        validate_selector(line)


def _check_encoding(value: str) -> None:
    try:
        codecs.lookup(value)
        b"".decode(value)
    except (LookupError, ValueError, TypeError) as error:
        raise ValidationError(_t("There is no encoding “%s”.") % value) from error


def _selector(label: Any, help_text: Any = "") -> forms.Field:
    return forms.CharField(
        label=label, help_text=help_text, required=False, max_length=500, validators=[validate_selector]
    )


def _choice(label: Any, choices: list[tuple[str, Any]], help_text: Any = "") -> forms.Field:
    return forms.ChoiceField(
        label=label, help_text=help_text, required=False, choices=[("", _("– inherited –")), *choices]
    )


@dataclass(frozen=True)
class Setting:
    """One setting: its name, how it is typed, and what holds where nobody set it."""

    name: str
    field: Callable[[], forms.Field]
    default: Any = None
    #: Under which heading it stands.
    group: str = "requests"


GROUPS: dict[str, Any] = {"items": _("What is taken"), "pages": _("Article pages"), "requests": _("Requests")}
YES_NO = [("yes", _("yes")), ("no", _("no"))]

SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting(
            "include",
            lambda: LinesField(
                label=_("Only"),
                check=validate_patterns,
                help_text=_("Regular expressions, one a line: only items whose address or title one of them finds."),
            ),
            group="items",
        ),
        Setting(
            "exclude",
            lambda: LinesField(
                label=_("Never"),
                check=validate_patterns,
                help_text=_("Regular expressions, one a line: no item whose address or title one of them finds."),
            ),
            group="items",
        ),
        Setting(
            "max_age_days",
            lambda: forms.IntegerField(
                label=_("Maximum age, days"),
                required=False,
                min_value=0,
                max_value=36_500,
                help_text=_("Older articles are not stored. 0: no limit, also where all sources or a tag have one."),
            ),
            default=0,
            group="items",
        ),
        Setting(
            "first_import",
            lambda: forms.IntegerField(
                label=_("First import, items"),
                required=False,
                min_value=0,
                max_value=100_000,
                help_text=_("The first poll takes the newest so many and passes the others over for good. 0: all."),
            ),
            default=0,
            group="items",
        ),
        Setting(
            "search_words",
            lambda: forms.CharField(
                label=_("Search for"),
                required=False,
                max_length=300,
                help_text=_("What stands for {query} in the address where a run has no query."),
            ),
            default="",
            group="items",
        ),
        Setting(
            "text_from",
            lambda: _choice(
                _("Text"),
                [("page", _("of the article's page")), ("source", _("of the source, where it brings one"))],
                _("A source whose feed brings the full text needs no page fetched."),
            ),
            default="page",
            group="pages",
        ),
        Setting("title_selector", lambda: _selector(_("Title"), _("CSS or XPath on the article's page.")), "", "pages"),
        Setting("text_selector", lambda: _selector(_("Article text")), "", "pages"),
        Setting("date_selector", lambda: _selector(_("Date")), "", "pages"),
        Setting("author_selector", lambda: _selector(_("Authors")), "", "pages"),
        Setting(
            "cut_selectors",
            lambda: LinesField(
                label=_("Cut out"),
                check=_check_selectors,
                help_text=_("Selectors, one a line: what they find is taken out before the text is looked for."),
            ),
            group="pages",
        ),
        Setting(
            "javascript",
            lambda: _choice(
                _("JavaScript"),
                YES_NO,
                _("Yes: pages are opened in Chromium first; slow, and only where Playwright is installed."),
            ),
            default="no",
            group="pages",
        ),
        Setting(
            "keep_page",
            lambda: _choice(_("Keep the page"), YES_NO, _("Yes: its HTML is kept as it came, compressed.")),
            default="no",
            group="pages",
        ),
        Setting(
            "headers",
            lambda: SecretPairsField(
                label=_("Headers"),
                separator=":",
                check=judge_header,
                help_text=_(
                    "One a line, Name: value. Sent to the source's own host only; env:NEWSS_SECRET_… is read there."
                ),
            ),
        ),
        Setting(
            "cookies",
            lambda: SecretPairsField(
                label=_("Cookies"),
                separator="=",
                check=judge_cookie,
                help_text=_("One a line, name=value. As headers."),
            ),
        ),
        Setting(
            "parameters",
            lambda: SecretPairsField(
                label=_("Parameters of the address"),
                separator="=",
                check=judge_parameter,
                help_text=_("One a line, name=value: tokens of an address. Sent as headers are, shown nowhere."),
            ),
        ),
        Setting(
            "proxy",
            lambda: ProxyField(label=_("Proxy"), help_text=_("http://host:port, or with user:password@ before it.")),
            default="",
        ),
        Setting(
            "encoding",
            lambda: forms.CharField(
                label=_("Encoding"),
                required=False,
                max_length=40,
                validators=[_check_encoding],
                help_text=_("E.g. windows-1251: overrides whatever the source says of itself. Usually left empty."),
            ),
            default="",
        ),
    )
}


class SettingsForm(forms.Form):
    """The settings of one level; `stored` is what the level holds now, which masks stand for."""

    def __init__(self, *args: Any, stored: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = stored or {}
        for setting in SETTINGS.values():
            self.fields[setting.name] = field = setting.field()
            self.initial.setdefault(setting.name, stored.get(setting.name))
            if isinstance(field, SecretPairsField | ProxyField):
                field.stored = stored.get(setting.name) or ({} if isinstance(field, SecretPairsField) else "")

    def to_values(self) -> dict[str, Any]:
        """Return what was set, as it is stored; the form must be valid."""
        return {name: value for name, value in self.cleaned_data.items() if value not in (None, "", [], {})}


def clean_settings(values: Mapping[str, Any], stored: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return settings as they are stored: secrets encrypted, a mask replaced by what is `stored`.

    Raises `ValidationError` with a message dict that names each unknown or wrong one.
    """
    unknown = {
        name: [_t("Unknown setting; the known ones are: %s.") % ", ".join(SETTINGS)]
        for name in values
        if name not in SETTINGS
    }
    form = SettingsForm(data=dict(values), stored=stored)
    if not form.is_valid() or unknown:
        raise ValidationError({**{name: list(texts) for name, texts in form.errors.items()}, **unknown})
    return form.to_values()
