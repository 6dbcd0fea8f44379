"""Polling from the list and the form: one source, those that are chosen, all that fail."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import action as page_action

from scheduling.addresses import address_of
from scheduling.models import Cause
from scrapers.jobs import poll_now
from scrapers.models import Source

if TYPE_CHECKING:
    from django.contrib.admin.options import ModelAdmin

    class _Base(ModelAdmin[Any]):
        """What type checkers see of the admin that this is mixed into."""

        def page_context(self, request: HttpRequest) -> dict[str, Any]:
            """Return what each page beside the list and the form needs."""
            raise NotImplementedError
else:
    _Base = object


class PollMixin(_Base):
    """Adds to the admin of sources the ways to poll at once."""

    @admin.display(description=_("Poll"))
    def poll_button(self, source: Source) -> SafeString:
        """Return the button that polls this source; it submits the list's form to an address of its own."""
        if not source.enabled:
            return format_html("{}", "")
        return format_html(
            '<button type="submit" class="newss-button" formaction="{}" name="request_key" value="{}" '
            'aria-label="{}">{}</button>',
            address_of("admin:scrapers_source_poll", source.pk),
            secrets.token_hex(16),
            _t("Poll %(source)s now") % {"source": source.name},
            _t("Poll now"),
        )

    def has_start_run_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Tell whether the person may start runs."""
        return bool(request.user.has_perm("scheduling.start_run"))

    @admin.action(description=_("Poll now"), permissions=["start_run"])
    def poll(self, request: HttpRequest, sources: QuerySet[Source]) -> HttpResponse | None:
        """Start one run that polls the chosen sources."""
        return self._poll(request, sources)

    @page_action(description=_("Retry all failing"), url_path="retry-failing", permissions=["start_run"], icon="replay")  # type: ignore[untyped-decorator]
    def retry_failing(self, request: HttpRequest) -> HttpResponse:
        """Ask whether all failing sources are to be polled, and do it."""
        failing = Source.objects.failing().order_by("name")
        here = reverse("admin:scrapers_source_changelist")
        if request.method == "POST":
            return self._poll(request, failing, request.POST.get("request_key")) or HttpResponseRedirect(here)
        context = {
            **self.page_context(request),
            "title": _("Retry all failing"),
            "sources": failing,
            "request_key": secrets.token_hex(16),
        }
        return TemplateResponse(request, "scrapers/admin/retry_failing.html", context)

    def get_urls(self) -> list[URLPattern]:
        """Add the address that polls one source."""
        poll = self.admin_site.admin_view(cast(Callable[..., HttpResponse], self.poll_view))
        return [path("<int:key>/poll/", poll, name="scrapers_source_poll"), *super().get_urls()]

    def poll_view(self, request: HttpRequest, key: int) -> HttpResponse:
        """Start a run that polls one source, and go to its page."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_start_run_permission(request):
            raise PermissionDenied
        source = get_object_or_404(Source, pk=key)
        answer = self._poll(request, Source.objects.filter(pk=source.pk), request.POST.get("request_key"))
        return answer or HttpResponseRedirect(reverse("admin:scrapers_source_change", args=[source.pk]))

    def _poll(self, request: HttpRequest, sources: QuerySet[Source], key: str | None = None) -> HttpResponse | None:
        """Start the run and go to its page; say why where that cannot be."""
        enabled = Source.objects.pollable().filter(pk__in=sources.order_by().values("pk"))
        off = sources.filter(enabled=False).count()
        try:
            run = poll_now(enabled, by=request.user, cause=Cause.MANUAL, request_key=(key or "")[:64] or None)
        except ValidationError as error:
            self.message_user(request, " ".join(error.messages), messages.ERROR)
            return None
        if off:
            words = ngettext("%s source is off and was left out.", "%s sources are off and were left out.", off)
            self.message_user(request, words % localize(off), messages.WARNING)
        if waits := run.waits_for():
            self.message_user(request, waits, messages.INFO)
        return HttpResponseRedirect(run.get_absolute_url())
