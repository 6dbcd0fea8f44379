"""How adding a source begins, and how one is tried: the addresses of Discover, Try it and the starter list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _t

from scrapers.admin import discover
from scrapers.admin.base import NewsAdmin
from scrapers.models import Source

if TYPE_CHECKING:
    _Base = NewsAdmin
else:
    _Base = object


class StartMixin(_Base):
    """Adds to the admin of sources the pages that a source begins with."""

    if TYPE_CHECKING:

        def page_context(self, request: HttpRequest) -> dict[str, Any]:
            """Return what each page beside the list and the form needs."""
            raise NotImplementedError

    def get_urls(self) -> list[URLPattern]:
        """Add the addresses of these pages."""
        views = (
            ("discover/", self.discover_view, "discover"),
            ("add-found/", self.add_found_view, "add_found"),
            ("try-found/", self.try_found_view, "try_found"),
            ("try-selector/", self.try_selector_view, "try_selector"),
            ("starter/", self.starter_view, "starter"),
            ("try/", self.try_view, "try_new"),
            ("<int:key>/try/", self.try_view, "try"),
        )
        own = [
            path(where, self.admin_site.admin_view(view), name=f"scrapers_source_{name}") for where, view, name in views
        ]
        return [*own, *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None) -> Any:
        """Begin with one field, an address; the form itself is for those who ask for it or bring values along."""
        if request.method == "GET" and not request.GET and self.has_add_permission(request):
            return HttpResponseRedirect(reverse("admin:scrapers_source_discover"))
        return super().add_view(request, form_url, extra_context)

    def discover_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for an address and show what can be collected there."""
        self._check_may_add(request)
        return discover.discover_page(request, self.page_context(request))

    def add_found_view(self, request: HttpRequest) -> HttpResponse:
        """Store what Discover proposed, and go to its form."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        self._check_may_add(request)
        source = discover.proposed(request)
        if isinstance(source, Source):
            try:
                source.full_clean()
            except ValidationError as error:
                source = " ".join(error.messages)
        if isinstance(source, str):
            self.message_user(request, source, messages.ERROR)
            return HttpResponseRedirect(reverse("admin:scrapers_source_discover"))
        source.save()
        self.log_addition(request, source, [{"added": {}}])
        self.message_user(
            request, _t("The source “%s” is new. Give it tags, or poll it now.") % source, messages.SUCCESS
        )
        return HttpResponseRedirect(reverse("admin:scrapers_source_change", args=[source.pk]))

    def try_found_view(self, request: HttpRequest) -> HttpResponse:
        """Show what a proposal of Discover would bring."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        self._check_may_add(request)
        source = discover.proposed(request)
        if isinstance(source, str):
            self.message_user(request, source, messages.ERROR)
            return HttpResponseRedirect(reverse("admin:scrapers_source_discover"))
        # With what is secret in it, which the source has taken out of its own.
        offer = "" if Source.objects.filter(url=source.url).exists() else request.POST["url"]
        return discover.try_page(request, self.page_context(request), source, offer=offer)

    def try_view(self, request: HttpRequest, key: int | None = None) -> HttpResponse:
        """Show what a source would bring with what its form holds now, saved or not."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        source = get_object_or_404(Source, pk=key) if key else None
        if not (self.has_change_permission(request, source) if source else self.has_add_permission(request)):
            raise PermissionDenied
        form = self.get_form(request, source, change=bool(source))(request.POST, instance=source)
        context = self.page_context(request)
        if not form.is_valid():
            wrong = [
                (str(form[name].label) if name in form.fields else "", [str(text) for text in texts])
                for name, texts in form.errors.items()
            ]
            return discover.refused(request, context, _t("The form is not right yet"), wrong)
        return discover.try_page(request, context, form.instance)

    def try_selector_view(self, request: HttpRequest) -> HttpResponse:
        """Show what a selector yields on a page."""
        self._check_may_add(request)
        return discover.selector_page(request, self.page_context(request))

    def starter_view(self, request: HttpRequest) -> HttpResponse:
        """Offer the starter list."""
        self._check_may_add(request)
        return discover.starter_page(request, self.page_context(request))

    def try_button(self, request: HttpRequest, source: Source | None) -> dict[str, Any]:
        """Return what the form's page needs to offer *Try it*."""
        if not (self.has_change_permission(request, source) if source else self.has_add_permission(request)):
            return {}
        where = ("admin:scrapers_source_try", [source.pk]) if source else ("admin:scrapers_source_try_new", [])
        return {"may_try": True, "try_url": reverse(where[0], args=where[1])}

    def _check_may_add(self, request: HttpRequest) -> None:
        if not self.has_add_permission(request):
            raise PermissionDenied
