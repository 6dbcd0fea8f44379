"""The page *Import and export*: in the admin what `export_config` and `import_config` do; `scrapers.transfer` rules."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldBooleanSwitchWidget

from newss_project.unfold import NEEDED
from scrapers.transfer import Fate, TransferError, dump, from_text, load, to_text

MAX_BYTES = 2 * 1024**2
"""The text comes back with the preview, and Django takes 2.5 MB of such fields (`DATA_UPLOAD_MAX_MEMORY_SIZE`)."""
TYPES = {"yaml": "application/yaml", "json": "application/json"}
SECTIONS = {
    "inherited_settings": _("Inherited settings"),
    "sources": _("Sources"),
    "topics": _("Topics"),
    "schedules": _("Schedules"),
    "follow_ups": _("Follow-ups"),
}
FATES = {
    Fate.NEW: (_("new"), "green", "add"),
    Fate.CHANGED: (_("changed"), "blue", "edit"),
    Fate.SAME: (_("same"), "grey", "check"),
    Fate.REFUSED: (_("refused"), "red", "error"),
}
"""What became of an entry: in words, colour and icon."""


class ImportForm(forms.Form):
    """A file that `export_config` or this page wrote; after the preview its text comes back instead."""

    file = forms.FileField(
        label=_("File"),
        required=False,
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".yaml,.yml,.json"}),
        help_text=_("YAML or JSON, as another installation exports it. A preview comes first."),
    )
    skip_refused = forms.BooleanField(
        label=_("Leave out what is refused"),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text=_("Off: with one entry that is refused nothing is stored."),
    )
    text = forms.CharField(required=False, widget=forms.HiddenInput, strip=False)

    def clean(self) -> dict[str, Any]:
        """Read the file, or the text of the preview."""
        cleaned = super().clean() or {}
        upload = cleaned.get("file")
        if upload and upload.size > MAX_BYTES:
            limit = {"limit": MAX_BYTES // 1024**2}
            self.add_error(
                "file", _t("The file is larger than %(limit)d MB; use “manage.py import_config” for it.") % limit
            )
        elif upload or cleaned.get("text"):
            try:
                cleaned["text"] = upload.read().decode() if upload else cleaned["text"]
                cleaned["data"] = from_text(cleaned["text"])
            except UnicodeDecodeError:
                self.add_error("file", _t("This is no text in UTF-8."))
            except TransferError as error:
                self.add_error("file", ValidationError(str(error)))
        elif "file" not in self.errors:
            self.add_error("file", _t("Choose a file."))
        return cleaned


@require_safe
def export_view(request: HttpRequest, form: str) -> HttpResponse:
    """Answer everything as a file, secrets masked; for those who may see all of it."""
    _require_view(request)
    if form not in TYPES:
        raise Http404
    name = f"newss-{timezone.localdate():%Y-%m-%d}.{form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(to_text(dump(), form), content_type=f"{TYPES[form]}; charset=utf-8", headers=headers)


def move_view(request: HttpRequest) -> HttpResponse:
    """Offer the export; take a file, show what would become of each of its entries, and store it when told so."""
    _require_view(request)
    may_import = _may(request, "add", "change")
    if request.method == "POST" and not may_import:
        raise PermissionDenied
    form = ImportForm(request.POST, request.FILES) if request.method == "POST" else ImportForm()
    report: dict[str, Any] = {}
    if request.method == "POST" and form.is_valid():
        report = _report(form.cleaned_data, stores="_import" in request.POST)
        # The preview's own form brings the text along, so the file need not be chosen again.
        form = ImportForm(initial={name: form.cleaned_data[name] for name in ("text", "skip_refused")})
    page = {
        **admin.site.each_context(request),
        "title": _t("Import and export"),
        "form": form,
        "may_import": may_import,
        **report,
    }
    return TemplateResponse(request, "newss_project/moving.html", page)


def _report(cleaned: dict[str, Any], *, stores: bool) -> dict[str, Any]:
    """Store a file, or only look what would become of it; return what the page tells."""
    skips = cleaned["skip_refused"]
    lines = load(cleaned["data"], dry_run=not stores, skip_refused=skips)
    counts = Counter(line.fate for line in lines)
    return {
        "lines": [(SECTIONS[line.section], line, FATES[line.fate]) for line in lines if line.fate is not Fate.SAME],
        "counts": [(FATES[fate][0], counts[fate]) for fate in Fate],
        "is_stored": stores and (skips or not counts[Fate.REFUSED]),
        "would_store": bool(counts[Fate.NEW] or counts[Fate.CHANGED]) and (skips or not counts[Fate.REFUSED]),
        "refused": counts[Fate.REFUSED],
    }


def _may(request: HttpRequest, *actions: str) -> bool:
    """Tell whether the person may do all this with all that an export holds."""
    viewing = NEEDED["move"]
    return request.user.has_perms([name.replace("view", action) for name in viewing for action in actions])


def _require_view(request: HttpRequest) -> None:
    if not _may(request, "view"):
        raise PermissionDenied
