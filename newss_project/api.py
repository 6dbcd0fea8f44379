"""The root of the API at `/api/v1/`; each app brings its own router."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from ninja import NinjaAPI

from scheduling.api import errors
from scheduling.api.access import SessionLogin
from scheduling.api.parsing import StrictParser
from scheduling.api.routes import router as scheduling_router
from scrapers.api.articles import router as articles_router
from scrapers.api.routes import router as scrapers_router

ROOT = "/api/"

api = NinjaAPI(
    title="NEWSS",
    version="1",
    description="Collect news now, and create schedules. Log in as in the admin; send the CSRF token as X-CSRFToken.",
    urls_namespace="api",
    auth=SessionLogin(),
    parser=StrictParser(),
)
errors.install(api)
api.add_router("", scheduling_router)
api.add_router("", scrapers_router)
api.add_router("", articles_router)


class ErrorsAsJson:
    """Middleware: whoever asks for JSON, or asks the API, gets every error in its one shape, also those that Django
    answers by itself (an unknown address, a wrong method, a missing CSRF token).
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request."""
        response = self._get_response(request)
        wrong = response.status_code >= 400 and response.get("Content-Type", "") != "application/json"
        if not wrong or not _asks_for_json(request):
            return response
        answer = errors.problem(response.status_code)
        if response.has_header("Allow"):
            answer["Allow"] = response["Allow"]
        return answer

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer what a view raised, where its message is meant for people."""
        return errors.to_response(error) if _asks_for_json(request) else None


def _asks_for_json(request: HttpRequest) -> bool:
    if request.path.startswith(ROOT):
        return True
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"
