"""The endpoint that starts collecting by hand."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router, Schema
from ninja.responses import Status
from pydantic import ConfigDict, Field

from scheduling.api.access import permitted
from scheduling.api.answers import StartedRun
from scheduling.api.errors import ERRORS
from scheduling.api.fields import IdOrName, Positive, RequestKey
from scheduling.models import Cause, Run

router = Router(tags=["collecting"])
JOB = "run_all_scrapers"


class Search(Schema):
    """What is to be collected; with neither sources nor tags: all sources that are enabled."""

    model_config = ConfigDict(extra="forbid")

    sources: list[IdOrName] | None = Field(None, description="By number or name.")
    tags: list[IdOrName] | None = Field(None, description="Also the enabled sources with one of these tags.")
    query: str | None = Field(None, max_length=500, description='Words, "a phrase", -not, OR.')
    limit: Positive | None = Field(None, description="New articles from each source at most.")
    request_key: RequestKey | None = None


@router.post("/search/start", response={202: StartedRun, **ERRORS}, summary="Collect now", operation_id="search_start")
def start_search(request: HttpRequest, payload: Search) -> Status[StartedRun]:
    """Commit a run that collects news, for the scheduler to execute. Needs the permission scheduling.start_run."""
    user = permitted(request, "scheduling.start_run")
    parameters = payload.model_dump(exclude={"request_key"}, exclude_none=True)
    run, new = Run.objects.start(
        job=JOB, parameters=parameters, cause=Cause.API, by=user, request_key=payload.request_key
    )
    return Status(202, StartedRun.of(request, run, new))
