"""Views that start and cancel runs by hand: a login, a permission, one call of the model, an answer.

A browser is sent to the run's page with a message; who asks for JSON gets what the API would answer. The run is a
committed row before anything is answered, so it survives a restart of web and scheduler.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views import View

from scheduling.api.access import permitted
from scheduling.api.answers import StartedRun
from scheduling.api.errors import Conflict, problem
from scheduling.api.parsing import parse
from scheduling.jobs import registry
from scheduling.models import Cause, Run, RunStatus, Schedule

KEY_LENGTH = 64
"""The longest `request_key` that a run can hold."""
ENVELOPE = ("csrfmiddlewaretoken", "request_key", "job", "parameters", "next")
"""Fields of a form that are no parameters of the job."""


class RunView(View):
    """What these views share: who may, and the two ways to answer."""

    http_method_names = ["post"]
    permission = ""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Let only people with the permission through; raises `PermissionDenied` for others."""
        if request.method != "POST":
            return self.http_method_not_allowed(request)
        if not request.user.is_authenticated:
            if asks_for_json(request):
                return problem(401, _("Log in first; this needs a session of the admin."))
            return redirect_to_login(_back(request))
        self.user: User = permitted(request, self.permission)
        try:
            return super().dispatch(request, *args, **kwargs)
        except (ValidationError, Conflict) as error:
            if asks_for_json(request):
                raise
            messages.error(request, _sentence(error))
            return HttpResponseRedirect(_back(request))

    def answer(self, request: HttpRequest, run: Run, new: bool, words: str, status: int = 202) -> HttpResponse:
        """Send a browser to the run's page with a message, or tell of the run in JSON."""
        told = StartedRun.of(request, run, new)
        if asks_for_json(request):
            return JsonResponse(told.model_dump(), status=status)
        level = messages.SUCCESS if new else messages.INFO
        messages.add_message(request, level, " ".join(part for part in (words, told.waits_for) if part))
        return HttpResponseRedirect(run.get_absolute_url())


class RunSchedule(RunView):
    """Run a schedule now, enabled or not; while one of its runs is active, that one is the answer."""

    permission = "scheduling.run_schedule"

    def post(self, request: HttpRequest, schedule_id: int) -> HttpResponse:
        """Commit the run."""
        schedule = get_object_or_404(Schedule, pk=schedule_id)
        key = request_key(_body(request))
        run, new = schedule.run_now(by=self.user, cause=Cause.MANUAL, request_key=key)
        words = _("%(run)s was started.") if new else _("%(run)s is already on its way.")
        return self.answer(request, run, new, words % {"run": run})


class StartRun(RunView):
    """Run a job with parameters, without a schedule.

    A form gives `job`, `request_key` and the fields of the job's form (or `parameters` as JSON); a JSON body gives
    `{"job", "parameters", "request_key"}`.
    """

    permission = "scheduling.start_run"

    def post(self, request: HttpRequest) -> HttpResponse:
        """Commit the run; raises `ValidationError` that names the job or the parameters that are wrong."""
        body = _body(request)
        job = body.get("job")
        if not isinstance(job, str) or not job:
            raise ValidationError({"job": [_("Name the job.")]})
        run, new = Run.objects.start(
            job=job,
            parameters=_parameters(request, job, body),
            cause=Cause.MANUAL,
            by=self.user,
            request_key=request_key(body),
        )
        words = _("%(run)s was started.") if new else _("%(run)s was already asked for.")
        return self.answer(request, run, new, words % {"run": run})


class CancelRun(RunView):
    """End a run: a queued one at once, a running one by asking its process."""

    permission = "scheduling.cancel_run"

    def post(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """Cancel; raises `Conflict` when the run has already ended."""
        run = get_object_or_404(Run, pk=run_id)
        if not run.cancel(by=self.user) and not run.is_active:
            raise Conflict(
                _("%(run)s has already ended: %(status)s.") % {"run": run, "status": RunStatus(run.status).label}
            )
        words = _("%(run)s was asked to stop.") if run.is_active else _("%(run)s was cancelled.")
        return self.answer(request, run, False, words % {"run": run})


def asks_for_json(request: HttpRequest) -> bool:
    """Tell whether the asking side prefers JSON to a page."""
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"


def request_key(body: dict[str, Any]) -> str | None:
    """Return the key that makes the same request twice one run, None when there is none; raises `ValidationError`."""
    key = body.get("request_key") or None
    if key is not None and (not isinstance(key, str) or len(key) > KEY_LENGTH or "\0" in key):
        raise ValidationError(
            {"request_key": [_("Give a text of at most %(length)d characters.") % {"length": KEY_LENGTH}]}
        )
    return key


def _body(request: HttpRequest) -> dict[str, Any]:
    """Return the fields of a form or of a JSON object; raises `BadRequest` or `ValidationError` for anything else."""
    if request.content_type != "application/json":
        return request.POST.dict()
    data = parse(request.body or b"{}")
    if not isinstance(data, dict):
        raise ValidationError(_("The body must be a JSON object."))
    known = ("job", "parameters", "request_key")
    if unknown := [key for key in data if key not in known]:
        raise ValidationError({key: [_("Unknown key.")] for key in unknown})
    return data


def _parameters(request: HttpRequest, job: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a job as given, whatever way; raises `ValidationError`."""
    given = body.get("parameters") or {}
    if isinstance(given, str):
        given = parse(given)
    if not isinstance(given, dict):
        raise ValidationError({"parameters": [_("Give an object with the fields of the job's form.")]})
    if request.content_type == "application/json":
        return given
    fields = registry.get(job).form.base_fields
    from_form = {
        name: field.widget.value_from_datadict(request.POST, request.FILES, name)
        for name, field in fields.items()
        if name in request.POST
    }
    unknown = {name: value for name, value in request.POST.items() if name not in (*fields, *ENVELOPE)}
    return {**given, **from_form, **unknown}


def _back(request: HttpRequest) -> str:
    """Return where a browser came from, if that is here, else the first page of the admin."""
    for address in (request.POST.get("next", ""), request.headers.get("Referer", "")):
        if address and url_has_allowed_host_and_scheme(
            address, {request.get_host()}, require_https=request.is_secure()
        ):
            return address
    return reverse("admin:index")


def _sentence(error: ValidationError | Conflict) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    if hasattr(error, "error_dict"):
        return " ".join(f"{field}: {' '.join(messages)}" for field, messages in error.message_dict.items())
    return " ".join(error.messages)
