"""The pages that take OPML files in and hand them out; the rules stand in `scrapers.opml`."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminFileFieldWidget

from scrapers import opml
from scrapers.models import Source


class OpmlForm(forms.Form):
    """An OPML file."""

    file = forms.FileField(
        label=_("OPML file"),
        widget=UnfoldAdminFileFieldWidget,
        help_text=_("As feed readers export it. Folders become tags; what is there already is not stored twice."),
    )

    def clean_file(self) -> list[opml.Outline]:
        """Return the feeds that the file lists."""
        upload = self.cleaned_data["file"]
        if upload.size > opml.MAX_BYTES:
            raise ValidationError(
                _t("The file is larger than %(limit)d MB."), params={"limit": opml.MAX_BYTES // 1024**2}
            )
        try:
            return opml.read(upload.read())
        except opml.OpmlError as error:
            raise ValidationError(str(error)) from error


def import_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Ask for a file; then tell what became of each of its feeds."""
    form = OpmlForm(request.POST or None, request.FILES or None)
    report = opml.import_outlines(form.cleaned_data["file"]) if request.method == "POST" and form.is_valid() else None
    return TemplateResponse(
        request,
        "scrapers/admin/import_opml.html",
        {**context, "title": _("Import OPML"), "form": form, "report": report},
    )


def export_file() -> HttpResponse:
    """Return all sources as a file to save."""
    written = opml.write(Source.objects.prefetch_related("tags"))
    name = f"newss-{timezone.localdate():%Y-%m-%d}.opml"
    return HttpResponse(
        written, content_type="text/x-opml", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
