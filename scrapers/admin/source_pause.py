"""Pausing and resuming sources: one from its page, many from the list, with a reason and perhaps until a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from scheduling.admin.base import keys_in, person, undo_button
from scheduling.admin.steps import NAMES_SHOWN, PauseForm
from scrapers.models import Source

TO_PAUSE = "newss_sources_to_pause"
"""Where the session keeps which sources were chosen in the list to be paused."""

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
        view = self.admin_site.admin_view
        return [
            path("<int:key>/pause/", view(self.pause_view), name="scrapers_source_pause"),
            path("<int:key>/resume/", view(self.resume_view), name="scrapers_source_resume"),
            path("pause/", view(self.pause_many_view), name="scrapers_source_pause_many"),
            path("resume/", view(self.resume_many_view), name="scrapers_source_resume_many"),
            *super().get_urls(),
        ]

    @admin.action(description=_("Pause…"), permissions=["change"])
    def pause_many(self, request: HttpRequest, sources: QuerySet[Source]) -> HttpResponse:
        """Ask for a reason and an end, then pause the chosen sources."""
        # An address has no room for thousands of keys.
        request.session[TO_PAUSE] = list(sources.values_list("pk", flat=True))
        return HttpResponseRedirect(reverse("admin:scrapers_source_pause_many"))

    @admin.action(description=_("Resume"), permissions=["change"])
    def resume(self, request: HttpRequest, sources: QuerySet[Source]) -> None:
        """Let runs poll the chosen sources as if they had never failed or been paused."""
        for source in sources:
            source.resume()
            self.log_change(request, source, _t("Resumed"))
        words = ngettext("%s source is polled again.", "%s sources are polled again.", len(sources))
        self.message_user(request, words % localize(len(sources)), messages.SUCCESS)

    def pause_many_view(self, request: HttpRequest) -> HttpResponse:
        """Pause the sources that were chosen in the list."""
        sources = Source.objects.filter(pk__in=request.session.get(TO_PAUSE, []))
        return self._pause(request, sources, reverse("admin:scrapers_source_changelist"))

    def pause_view(self, request: HttpRequest, key: int) -> HttpResponse:
        """Pause one source, from its page."""
        get_object_or_404(Source, pk=key)
        return self._pause(request, Source.objects.filter(pk=key), reverse("admin:scrapers_source_change", args=[key]))

    def _pause(self, request: HttpRequest, chosen: QuerySet[Source], here: str) -> HttpResponse:
        """Ask for a reason and an end, then pause the sources; those that are paused already get the new ones."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        sources = list(chosen.order_by("name"))
        if not sources:
            return HttpResponseRedirect(here)
        form = PauseForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            # What was paused before would lose its reason if it were resumed again.
            fresh = [str(source.pk) for source in sources if not source.is_paused()]
            for source in sources:
                source.pause(form.cleaned_data["reason"], person(request), form.cleaned_data["until"])
                self.log_change(request, source, _t("Paused"))
            text = ngettext("%s source is paused.", "%s sources are paused.", len(sources)) % localize(len(sources))
            if fresh:
                button = undo_button(request, reverse("admin:scrapers_source_resume_many"), ids=",".join(fresh))
                text = format_html("{} {}", text, button)
            self.message_user(request, text, messages.SUCCESS)
            return HttpResponseRedirect(here)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "form": form,
            "title": _t("Pause"),
            "names": [source.name for source in sources[:NAMES_SHOWN]],
            "more_names": max(0, len(sources) - NAMES_SHOWN),
            "intro": _t("No run polls them until they are resumed; what is being polled now goes on."),
            "submit": ngettext("Pause %s source", "Pause %s sources", len(sources)) % localize(len(sources)),
            "back": here,
        }
        return TemplateResponse(request, "scheduling/step.html", context)

    def resume_many_view(self, request: HttpRequest) -> HttpResponse:
        """End the pause of the sources that `ids` names."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_change_permission(request):
            raise PermissionDenied
        self.resume(request, Source.objects.filter(pk__in=keys_in(request.POST.get("ids", ""))))
        return HttpResponseRedirect(reverse("admin:scrapers_source_changelist"))

    def resume_view(self, request: HttpRequest, key: int) -> HttpResponse:
        """Let runs poll a source again, as if it had never failed."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        source = get_object_or_404(Source, pk=key)
        if not self.has_change_permission(request, source):
            raise PermissionDenied
        source.resume()
        self.log_change(request, source, _t("Resumed"))
        self.message_user(request, _t("“%s” is polled again.") % source, messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:scrapers_source_change", args=[key]))

    def pause_buttons(self, request: HttpRequest, source: Source | None) -> dict[str, Any]:
        """Return what the form's page needs to offer *Pause* or *Resume*."""
        if source is None or not self.has_change_permission(request, source):
            return {}
        held = source.is_paused()
        return {"may_pause": source.enabled and not held, "may_resume": held or source.failure_score > 0}
