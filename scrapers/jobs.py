"""The jobs of this app: collect news, and (`scrapers.retention`) delete old articles. `scheduling` finds them here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.template.loader import render_to_string
from django.utils.datastructures import MultiValueDict
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from scheduling.jobs import JobError, JobForm, JobResult, RunContext, job
from scheduling.models import Cause, Run, Tag
from scrapers import housekeeping  # noqa: F401  registers what it removes
from scrapers import query as queries
from scrapers.collect import collect
from scrapers.models import ResultStatus, Source, SourceResult
from scrapers.polled_by import JOB
from scrapers.progress import totals

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

    _ModelMultipleChoiceField = forms.ModelMultipleChoiceField[Any]
else:
    _ModelMultipleChoiceField = forms.ModelMultipleChoiceField

WAITS_UNTIL_DUE = frozenset({Cause.SCHEDULE, Cause.FOLLOW_UP, Cause.BACKFILL})
"""Runs of these causes poll the sources that are due (`to_poll`); those that a person brought about poll at once."""
NAMES_SHOWN = 3
"""How many names a sentence lists before it says "and N more"."""


class NamesField(_ModelMultipleChoiceField):
    """Chooses rows by primary key or, where the values are JSON, by name.

    What a browser posts is the key of a row that was shown, also where another row has that number for a name.
    """

    by_name = False

    def get_bound_field(self, form: forms.BaseForm, field_name: str) -> forms.BoundField:
        """Note whether the form holds what a browser posted, or JSON, whose texts are names."""
        self.by_name = not isinstance(form.data, MultiValueDict)
        return super().get_bound_field(form, field_name)

    def clean(self, value: Any) -> Any:
        """Return the rows; raises `ValidationError` that names each that does not exist."""
        if self.by_name and isinstance(value, list | tuple):
            value = self._keys(value)
        return super().clean(value)

    def _keys(self, items: Sequence[Any]) -> list[Any]:
        """Return the primary keys of what is given by name; anything else stays as it is."""
        names = [item for item in items if isinstance(item, str)]
        assert self.queryset is not None
        known = dict(self.queryset.filter(name__in=names).values_list("name", "pk")) if names else {}
        # A name of digits is a name first.
        unknown = [name for name in names if name not in known and not name.strip().isdecimal()]
        if unknown:
            raise ValidationError(
                [
                    ValidationError(_t("There is no “%(name)s” here."), code="invalid_choice", params={"name": name})
                    for name in unknown
                ]
            )
        return [
            item.pk if isinstance(item, Model) else known.get(item, item) if isinstance(item, str) else item
            for item in items
        ]


class CollectForm(JobForm):
    """What is to be collected."""

    sources = NamesField(
        queryset=Source.objects.all(),
        required=False,
        label=_("Sources"),
        help_text=_("With neither sources nor tags: all sources that are enabled."),
    )
    tags = NamesField(
        queryset=Tag.objects.all(),
        required=False,
        label=_("Tags"),
        help_text=_("Also the enabled sources that carry one of these tags."),
    )
    query = forms.CharField(
        required=False,
        max_length=500,
        label=_("Query"),
        help_text=_(
            "Keep only articles with these words; “a phrase” in quotation marks, -not, OR, title:, source:, lang:en."
            " Empty: all."
        ),
    )
    limit = forms.IntegerField(
        required=False, min_value=1, label=_("Limit"), help_text=_("New articles from each source at most. Empty: all.")
    )

    def clean_query(self) -> str:
        """Refuse a query that cannot be understood."""
        text = str(self.cleaned_data["query"]).strip()
        try:
            queries.parse(text)
        except queries.QueryError as error:
            raise ValidationError(str(error)) from error
        return text


def describe(parameters: dict[str, Any]) -> str:
    """Return in words what would be collected."""
    return describe_all([parameters])[0]


def describe_all(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return in words what would be collected for many parameters, with one look-up of names for all."""
    sources = _names(Source, {key for row in rows for key in row.get("sources") or []})
    tags = _names(Tag, {key for row in rows for key in row.get("tags") or []})
    return [_words(row, sources, tags) for row in rows]


def _names(model: type[Source] | type[Tag], keys: set[int]) -> dict[int, str]:
    return dict(model._default_manager.filter(pk__in=keys).order_by("name").values_list("pk", "name")) if keys else {}


def _words(parameters: dict[str, Any], source_names: dict[int, str], tag_names: dict[int, str]) -> str:
    parts = []
    sources, tags = parameters.get("sources") or [], parameters.get("tags") or []
    if sources:
        names = [name for key, name in source_names.items() if key in sources]
        number = ngettext("%d source", "%d sources", len(sources)) % len(sources)
        parts.append(f"{number}: {_listed(names)}" if names else number)
    if tags:
        names = [name for key, name in tag_names.items() if key in tags]
        parts.append(ngettext("tag %(names)s", "tags %(names)s", len(tags)) % {"names": _listed(names)})
    if not parts:
        parts.append(_t("all enabled sources"))
    if parameters.get("query"):
        parts.append(_t("query “%s”") % parameters["query"])
    if parameters.get("limit"):
        parts.append(_t("at most %d new from each") % parameters["limit"])
    return "; ".join(parts)


def search(text: str, rows: Sequence[dict[str, Any]]) -> list[bool]:
    """Tell for each of many parameters whether its query, or a source or tag that it names, has the text in it.

    A source also counts where a tag that it carries is chosen.
    """
    sources = set(Source.objects.filter(Q(name__icontains=text) | Q(url__icontains=text)).values_list("pk", flat=True))
    found = Q(name__icontains=text) | Q(sources__name__icontains=text) | Q(sources__url__icontains=text)
    tags = set(Tag.objects.filter(found).values_list("pk", flat=True))
    return [
        not sources.isdisjoint(row.get("sources") or [])
        or not tags.isdisjoint(row.get("tags") or [])
        or text.casefold() in str(row.get("query") or "").casefold()
        for row in rows
    ]


def panel(run: Run) -> SafeString:
    """Return the table of how each source went, for the page of a run."""
    results = list(run.source_results.all())
    return render_to_string("scrapers/run_panel.html", {"results": results, "run": run})


def failed_only(run: Run) -> dict[str, Any] | None:
    """Return the parameters that poll only the sources that failed in a run and still exist; None without any."""
    failed = run.source_results.failed().exclude(source=None).values_list("source_id", flat=True)
    keys = sorted(set(failed))
    return {**run.parameters, "sources": keys, "tags": []} if keys else None


@job(
    JOB,
    label=_("Collect news"),
    form=CollectForm,
    describe=describe,
    describe_all=describe_all,
    search=search,
    panel=panel,
    failed_only=failed_only,
    preload=("aiohttp", "lxml.html", "trafilatura", "feedparser", "scrapers.collect", "scrapers.pool"),
    starts_processes=True,
)
def run_all_scrapers(
    context: RunContext,
    sources: Sequence[int] | None = None,
    tags: Sequence[int] | None = None,
    query: str = "",
    limit: int | None = None,
) -> JobResult:
    """Collect from the given sources and those with the given tags (primary keys), or from all that are enabled.

    Raises `JobError` when every source failed; when some did, the result is partial and says which and why.
    """
    chosen = list(chosen_sources(sources or [], tags or []))
    if not chosen:
        return JobResult(_t("There is no enabled source to collect from."))
    chosen = to_poll(context, chosen)
    if not chosen:
        if context.cause == Cause.RECOVERY:
            return JobResult(_t("Nothing left to do: the run that was lost had read all sources."))
        return JobResult(_t("Nothing due: none of the sources is to be polled yet."), nothing_due=True)
    results = collect(context, chosen, queries.parse(query or ""), limit, waits=waits_until_due(context))
    failed = [result for result in results if result.status == ResultStatus.FAILED]
    if failed and len(failed) == len(chosen):
        raise JobError(_all_failed(failed), error_class=_usual_class(failed))
    return JobResult(
        _outcome(results, failed),
        partial=bool(failed),
        summary=_summary(results),
        error_class=_usual_class(failed) if failed else "",
    )


def poll_now(
    sources: QuerySet[Source], *, by: User | AnonymousUser | None, cause: Cause, request_key: str | None = None
) -> Run:
    """Commit a run that polls these sources as soon as it can start; the same `request_key` twice is one run.

    Raises `ValidationError` if there is none among them.
    """
    keys = list(sources.values_list("pk", flat=True))
    if not keys:
        raise ValidationError(_t("There is no enabled source to collect from."))
    run, _new = Run.objects.start(
        job=JOB,
        parameters={"sources": keys},
        cause=cause,
        by=by if by and by.is_authenticated else None,
        request_key=request_key,
    )
    return run


def chosen_sources(sources: Sequence[int], tags: Sequence[int]) -> QuerySet[Source]:
    """Return the sources that may be polled among those named and tagged, or all of them if neither is given."""
    pollable = Source.objects.pollable()
    if not sources and not tags:
        return pollable
    return pollable.filter(Q(pk__in=sources) | Q(pk__in=Source.objects.tagged(tags).values("pk")))


def waits_until_due(context: RunContext) -> bool:
    """Tell whether a run polls its sources only when they are due: one of a schedule, and its retry."""
    return context.cause in WAITS_UNTIL_DUE or (context.cause == Cause.RETRY and context.scheduled_for is not None)


def to_poll(context: RunContext, sources: Sequence[Source]) -> list[Source]:
    """Return which of its sources a run polls.

    1. One of a schedule: those that are due.
    2. The retry of such a run: besides them those that the attempt before did not read, though their next poll is due
       later. It is no reason to ask the others sooner than they allow.
    3. One in place of a lost run, of which nobody knows what it had begun: all that it had not read to the end.
    4. Any other, by hand: all.
    """
    if context.cause == Cause.RECOVERY:
        read = set(
            SourceResult.objects.succeeded().filter(run__in=_lost(context.run_id)).values_list("source", flat=True)
        )
        return [source for source in sources if source.pk not in read]
    if not waits_until_due(context):
        return list(sources)
    again: set[int | None] = set()
    if context.cause == Cause.RETRY:
        before = Run.objects.filter(pk=context.run_id).values("parent")
        again = set(SourceResult.objects.unread().filter(run__in=before).values_list("source_id", flat=True))
    return [source for source in sources if source.pk in again or source.is_due()]


def _lost(run_id: int) -> list[int]:
    """Return the runs that were lost one after another before the one that now does their work."""
    lost: list[int] = []
    before = Run.objects.filter(pk=run_id, cause=Cause.RECOVERY).values_list("parent_id", flat=True)
    while (key := before.first()) is not None:
        lost.append(key)
        before = Run.objects.filter(pk=key, cause=Cause.RECOVERY).values_list("parent_id", flat=True)
    return lost


def _usual_class(failed: Sequence[SourceResult]) -> str:
    """Return the class of failure that most of the sources have."""
    return str(Counter(result.failure_class for result in failed).most_common(1)[0][0])


def _summary(results: Iterable[SourceResult]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for result in results:
        counts["found"] += result.seen
        counts.update({name: getattr(result, name) for name in SourceResult.COUNTERS})
    return totals(counts)


def _outcome(results: Sequence[SourceResult], failed: Sequence[SourceResult]) -> str:
    new = sum(result.new for result in results)
    read = len(results) - len(failed)
    values = {
        "articles": ngettext("%d new article", "%d new articles", new) % new if new else _t("Nothing new"),
        "sources": ngettext("%d source", "%d sources", read) % read,
    }
    words = [_t("%(articles)s from %(sources)s.") % values]
    if updated := sum(result.updated for result in results):
        words.append(ngettext("%d article updated.", "%d articles updated.", updated) % updated)
    if lost := sum(result.failed for result in results if result.status != ResultStatus.FAILED):
        words.append(ngettext("%d article could not be fetched.", "%d articles could not be fetched.", lost) % lost)
    if failed:
        begin = ngettext("%(failed)d of %(all)d source failed:", "%(failed)d of %(all)d sources failed:", len(results))
        words.insert(0, f"{begin % {'failed': len(failed), 'all': len(results)}} {_reasons(failed)}")
    return " ".join(words)


def _all_failed(failed: Sequence[SourceResult]) -> str:
    if len(failed) == 1:
        return _reasons(failed)
    begin = _t("All %d sources failed:") % len(failed)
    return f"{begin} {_reasons(failed)}"


def _reasons(failed: Sequence[SourceResult]) -> str:
    shown = [f"{result.source_name}: {result.error}" for result in failed[:NAMES_SHOWN]]
    more = len(failed) - len(shown)
    return " ".join([*shown, *([_t("And %d more.") % more] if more else [])])


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMES_SHOWN])
    more = len(names) - NAMES_SHOWN
    return _t("%(names)s and %(number)d more") % {"names": shown, "number": more} if more > 0 else shown


# The job registered first is the one that the form of a new schedule begins with: never one that deletes.
from scrapers import retention  # noqa: E402, F401  registers its job
