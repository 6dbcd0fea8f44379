"""The viewer's time zone: the browser's, which `newss.js` keeps in a cookie; else TIME_ZONE."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from scheduling.zones import zone_names

COOKIE = "newss_zone"


class ViewerZoneMiddleware:
    """Activate the zone of the cookie for one request; a name that the zone database does not have is passed over."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request in the viewer's zone."""
        name = unquote(request.COOKIES.get(COOKIE, ""))
        with timezone.override(ZoneInfo(name) if name in zone_names() else None):
            return self._get_response(request)
