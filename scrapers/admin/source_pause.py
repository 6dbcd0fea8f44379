"""Pausing and resuming one source from its page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _t

from scrapers.models import Source

if TYPE_CHECKING:
    from django.contrib.admin.options import ModelAdmin

    class _Base(ModelAdmin[Any]):
        """What type checkers see of the admin that this is mixed into."""
else:
    _Base = object


class PauseMixin(_Base):
    """Adds to the admin of sources the buttons that pause and resume one."""

    def get_urls(self) -> list[URLPattern]:
        """Add the addresses of these buttons."""
        views = (("pause", self.pause_view), ("resume", self.resume_view))
        own = [
            path(f"<int:key>/{name}/", self.admin_site.admin_view(view), name=f"scrapers_source_{name}")
            for name, view in views
        ]
        return [*own, *super().get_urls()]

    def pause_view(self, request: HttpRequest, key: int) -> HttpResponse:
        """Let no run poll a source until somebody resumes it, with the reason that was typed."""
        source = self._posted(request, key)
        if isinstance(source, HttpResponse):
            return source
        if source.paused_at is None:
            source.pause(request.POST.get("reason", ""), request.user)  # type: ignore[arg-type]
            self.log_change(request, source, _t("Paused"))
            self.message_user(request, _t("“%s” is paused.") % source, messages.SUCCESS)
        else:
            self.message_user(request, _t("“%s” was paused already.") % source, messages.WARNING)
        return HttpResponseRedirect(reverse("admin:scrapers_source_change", args=[key]))

    def resume_view(self, request: HttpRequest, key: int) -> HttpResponse:
        """Let runs poll a source again, as if it had never failed."""
        source = self._posted(request, key)
        if isinstance(source, HttpResponse):
            return source
        source.resume()
        self.log_change(request, source, _t("Resumed"))
        self.message_user(request, _t("“%s” is polled again.") % source, messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:scrapers_source_change", args=[key]))

    def pause_buttons(self, request: HttpRequest, source: Source | None) -> dict[str, Any]:
        """Return what the form's page needs to offer *Pause* or *Resume*."""
        if source is None or not self.has_change_permission(request, source):
            return {}
        held = source.paused_at is not None
        return {"may_pause": source.enabled and not held, "may_resume": held or source.failure_score > 0}

    def _posted(self, request: HttpRequest, key: int) -> Source | HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        source = get_object_or_404(Source, pk=key)
        if not self.has_change_permission(request, source):
            raise PermissionDenied
        return source
