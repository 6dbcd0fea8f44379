"""The page of an article as it came, where its source keeps pages: cleaned to be read, or whole to be taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import nh3
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _t

from scrapers.extract.encoding import decode
from scrapers.models import Article, ArticlePage

if TYPE_CHECKING:
    from django.contrib.admin.options import ModelAdmin

    class _Base(ModelAdmin[Any]):
        """What type checkers see of the admin that this is mixed into."""
else:
    _Base = object

#: What has no meaning without what was cleaned away, and pictures, by which the outlet would learn who reads.
_LEFT_OUT = {"img", "picture", "svg", "map", "area", "a"}
#: What is left out with all that it holds.
_EMPTIED = {"script", "style", "template", "noscript", "iframe", "object", "title", "select", "textarea", "svg"}


def cleaned(html: str) -> SafeString:
    """Return HTML of which only structure and words are left: no attribute, no script, nothing that is fetched."""
    tags = nh3.ALLOWED_TAGS - _LEFT_OUT
    return SafeString(nh3.clean(html, tags=tags, clean_content_tags=_EMPTIED, attributes={}, link_rel=None))


class PageMixin(_Base):
    """Adds to the admin of articles the page as it came."""

    def get_urls(self) -> list[URLPattern]:
        """Add its address."""
        view = self.admin_site.admin_view(self.page_view)
        return [path("<int:key>/page/", view, name="scrapers_article_page"), *super().get_urls()]

    def page_view(self, request: HttpRequest, key: int) -> HttpResponse:
        """Show the page cleaned; with `?file` hand it out as it came, to be stored and never opened here."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        article = get_object_or_404(Article, pk=key)
        page = get_object_or_404(ArticlePage, article=article)
        if "file" in request.GET:
            response = HttpResponse(page.html, content_type="application/octet-stream")
            response["Content-Disposition"] = f'attachment; filename="article-{key}.html"'
            return response
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _t("As it came: %(title)s") % {"title": article.title},
            "page": page,
            "article": article,
            "body": cleaned(decode(page.html, page.content_type)),
        }
        return TemplateResponse(request, "scrapers/admin/article_page.html", context)
