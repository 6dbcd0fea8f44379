"""The pages *Discover*, *Try it* and the starter list; the rules stand in `scrapers.discovery`, `.tryout`, `.starter`.

Whoever may add sources may use them: they make requests to the outside, so all of them answer to POST.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.formats import localize
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.widgets import UnfoldAdminTextInputWidget

from scrapers import starter, tryout
from scrapers.discovery import SECONDS, discover, with_scheme
from scrapers.fetch.failures import CollectError
from scrapers.kinds import registry
from scrapers.models import Source
from scrapers.models.source import validate_source_url
from scrapers.opml import free_name, import_outlines
from scrapers.selectors import MAX_LENGTH

LOOKS_AT_ONCE = 3
"""How many looks at the outside one web process takes on at once: each holds a thread for seconds, and the pages of
everyone else need threads too (`Procfile` gives a process eight)."""
_places = threading.BoundedSemaphore(LOOKS_AT_ONCE)


class NoPlace(Exception):
    """Several looks at the outside are under way at the moment. Try again in some seconds."""


@contextmanager
def looking() -> Iterator[None]:
    """Hold one of this process's places for looks at the outside; raises `NoPlace` when all are taken."""
    if not _places.acquire(blocking=False):
        raise NoPlace(_t("Several looks at the outside are under way at the moment. Try again in some seconds."))
    try:
        yield
    finally:
        _places.release()


class AddressForm(forms.Form):
    """The one field that adding a source begins with."""

    url = forms.CharField(
        label=_("Address"),
        max_length=1000,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "url", "autofocus": True, "spellcheck": "false"}),
        help_text=_("Any page of the site, e.g. example.org, or the address of a feed, a sitemap or an API."),
    )

    def clean_url(self) -> str:
        """Return the address as it was typed; without a scheme, Discover chooses one."""
        url = str(self.cleaned_data["url"]).strip()
        validate_source_url(with_scheme(url))
        return url


class TryForm(forms.Form):
    """A source that is not there yet: what Discover proposes."""

    url = forms.CharField(max_length=1000, validators=[validate_source_url])
    kind = forms.ChoiceField(choices=registry.choices)
    title = forms.CharField(max_length=200, required=False)
    options = forms.JSONField(required=False)

    def clean(self) -> dict[str, Any]:
        """Let the source judge itself."""
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        options = cleaned["options"] or {}
        if not isinstance(options, dict):
            raise ValidationError(_t("The options are no object."))
        source = Source(name=free_name(cleaned["title"] or cleaned["url"], cleaned["url"]), url=cleaned["url"])
        source.kind, source.options = cleaned["kind"], options
        source.clean()
        return {**cleaned, "source": source}


class SelectorForm(forms.Form):
    """A selector to be tried on a page."""

    page = forms.CharField(
        label=_("Page"), max_length=1000, validators=[validate_source_url], widget=UnfoldAdminTextInputWidget
    )
    selector = forms.CharField(
        label=_("Selector"),
        max_length=MAX_LENGTH,
        widget=UnfoldAdminTextInputWidget(attrs={"spellcheck": "false"}),
        help_text=_("CSS, e.g. article h2 a, or XPath, which begins with / or ./"),
    )


def discover_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Ask for an address; then show what can be collected there, best first."""
    typed = request.POST if request.method == "POST" else None
    form = AddressForm(typed, initial={"url": request.GET.get("url", "")})
    result = None
    if typed is not None and form.is_valid():
        try:
            with looking():
                result = discover(form.cleaned_data["url"])
        except CollectError as error:
            form.add_error("url", error.sentence)
        except NoPlace as error:
            form.add_error("url", str(error))
    known = {}
    if result:
        urls = [candidate.url for candidate in result.candidates]
        known = dict(Source.objects.filter(url__in=urls).values_list("url", "pk"))
    rows = [
        {
            "found": candidate,
            "label": dict(registry.choices()).get(candidate.guess.kind, candidate.guess.kind),
            "options": json.dumps(candidate.guess.options),
            "known": known.get(candidate.url),
        }
        for candidate in (result.candidates if result else ())
    ]
    page = {
        **context,
        "title": _("Add a source"),
        "form": form,
        "result": result,
        "rows": rows,
        "seconds": int(SECONDS),
    }
    return TemplateResponse(request, "scrapers/admin/discover.html", page)


def proposed(request: HttpRequest) -> Source | str:
    """Return the source that a button of Discover stands for, or what is wrong with it."""
    form = TryForm(request.POST)
    if form.is_valid():
        source: Source = form.cleaned_data["source"]
        return source
    return " ".join(str(message) for errors in form.errors.values() for message in errors)


def try_page(request: HttpRequest, context: dict[str, Any], source: Source, *, offer: str = "") -> HttpResponse:
    """Show what a source would bring, nothing stored; `offer` is the address, as typed, with which it can be added."""
    try:
        with looking():
            trial = tryout.rehearse(source)
    except NoPlace as error:
        return refused(request, context, _t("It was not tried"), [("", [str(error)])], status=503)
    page = {
        **context,
        "title": _t("Try it: %(source)s") % {"source": source.name or source.url},
        "trial": trial,
        "label": dict(registry.choices()).get(source.kind, source.kind),
        "offer": offer,
        "options": json.dumps(source.options),
        "selector_form": SelectorForm(initial={"page": _page_of_interest(trial)}),
    }
    return TemplateResponse(request, "scrapers/admin/try.html", page)


def _page_of_interest(trial: tryout.Trial) -> str:
    """Return where selectors are wanted: on the page of a listing, else on that of an article."""
    if trial.source.kind == "listing" or not trial.articles:
        return trial.source.url
    return trial.articles[0].url


def refused(
    request: HttpRequest, context: dict[str, Any], title: str, wrong: list[tuple[str, list[str]]], status: int = 200
) -> HttpResponse:
    """Say why nothing is tried: `wrong` holds the label of a field, or nothing, and what is wrong with it."""
    page = {**context, "title": title, "wrong": wrong}
    return TemplateResponse(request, "scrapers/admin/try_wrong.html", page, status=status)


def selector_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Ask for a page and a selector; then show what it yields there."""
    form = SelectorForm(request.POST if request.method == "POST" else None)
    found = None
    if form.is_bound and form.is_valid():
        try:
            with looking():
                found = tryout.try_selector(form.cleaned_data["page"], form.cleaned_data["selector"])
        except ValidationError as error:
            form.add_error("selector", error)
        except CollectError as error:
            form.add_error("page", error.sentence)
        except NoPlace as error:
            form.add_error("page", str(error))
    page = {**context, "title": _("Try a selector"), "form": form, "found": found}
    return TemplateResponse(request, "scrapers/admin/selector.html", page)


def starter_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Offer the starter list; add the feeds that were chosen."""
    feeds = starter.feeds()
    if request.method == "POST":
        chosen = set(request.POST.getlist("url"))
        if not chosen:
            messages.warning(request, _t("Choose at least one feed."))
            return HttpResponseRedirect(request.get_full_path())
        report = import_outlines(feed.outline() for feed in feeds if feed.url in chosen)
        words = ngettext("%s source is new.", "%s sources are new.", len(report.added)) % localize(len(report.added))
        messages.add_message(request, messages.SUCCESS if report.added else messages.WARNING, words)
        return HttpResponseRedirect(reverse("admin:scrapers_source_changelist"))
    known = set(Source.objects.filter(url__in=[feed.url for feed in feeds]).values_list("url", flat=True))
    groups: dict[str, list[dict[str, Any]]] = {}
    for feed in feeds:
        groups.setdefault(feed.language_name, []).append({"feed": feed, "known": feed.url in known})
    page = {**context, "title": _("Starter list"), "groups": groups}
    return TemplateResponse(request, "scrapers/admin/starter.html", page)
