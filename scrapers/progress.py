"""How one source goes in one run: its counters, its cost, what of it failed, and what becomes of that at its end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from django.utils.translation import gettext as _t
from django.utils.translation import ngettext

from scrapers import ingest
from scrapers.fetch.answers import Tally
from scrapers.fetch.failures import CollectError
from scrapers.health import Finding, Trouble
from scrapers.ingest import Outcome
from scrapers.kinds import Poll
from scrapers.models import Facts, ResultStatus, Source, SourceResult
from scrapers.source_settings.plan import Plan


@dataclass
class Progress:
    """How one source goes: its counters, its cost, and what of it failed."""

    source: Source
    plan: Plan = field(init=False)
    counts: Counter[str] = field(default_factory=Counter)
    tally: Tally = field(default_factory=Tally)
    failures: list[CollectError] = field(default_factory=list)
    http_status: int | None = None
    cut_short: bool = False
    ttl: float = 0.0
    lost: list[str] = field(default_factory=list)
    pages: int = 0
    looks_new: int = 0
    caught_up: bool = False
    #: Items that a first import let through or left out, and selectors that found nothing on pages.
    ranked: int = 0
    unmatched: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.tally.forbidden_is_busy = self.source.forbidden_is_busy

    def found_nothing(self) -> list[str]:
        """Return the selectors that found nothing: in no item of a listing, or on no page."""
        return [*self.lost, *(name for name, count in self.unmatched.items() if count == self.pages)]

    def complete(self) -> bool:
        """Tell whether every item was dealt with for good, so that nothing is left for the next poll."""
        transient = any(not error.failure.is_permanent for error in self.failures)
        return not transient and not self.cut_short and not self.counts[Outcome.OVER_LIMIT]

    def all_failed(self) -> CollectError | None:
        """Return why not one of the items could be had, if so."""
        if not self.counts[Outcome.FAILED] or self.counts[Outcome.FAILED] < self.counts.total():
            return None
        failure, count = Counter(error.failure for error in self.failures).most_common(1)[0]
        first = next(error for error in self.failures if error.failure == failure)
        total = self.counts.total()
        sentence = ngettext(
            "Its only article could not be fetched: %(why)s",
            "None of its %(count)s articles could be fetched; %(share)s of them: %(why)s",
            total,
        )
        values = {"count": total, "share": count, "why": first.sentence}
        return CollectError(failure, sentence % values, http_status=self.http_status)


def facts_of(progress: Progress, poll: Poll, *, unchanged: bool) -> Facts:
    """Return what a poll showed for the next ones."""
    facts = Facts(
        seen=progress.counts.total(),
        known=progress.counts[Outcome.KNOWN],
        ttl=progress.ttl,
        fresh_for=poll.answer.fresh_for.total_seconds() if poll.answer else 0.0,
        moved_to=poll.answer.moved_to if poll.answer and poll.first_covers_all else "",
        body_hash=poll.body_hash if poll.first_covers_all and progress.complete() else "",
        unmatched=None if unchanged else progress.found_nothing(),
    )
    if progress.looks_new:
        words = _t(
            "%(new)d of its %(all)d items look new at once; those with titles that are known were not read again."
        )
        facts.finding = Finding(Trouble.LOOKS_NEW, words % {"new": progress.looks_new, "all": facts.seen})
    return facts


def totals(counts: Counter[str]) -> dict[str, int]:
    """Return the counts that a run shows: those that a person always wants, and the others where there are any."""
    always = ("found", Outcome.NEW, Outcome.UPDATED, Outcome.KNOWN)
    others = [name for name in SourceResult.COUNTERS if name not in always and counts[name]]
    return {str(name): counts[name] for name in (*always, *others)}


def result_of(progress: Progress, status: ResultStatus, error: CollectError | None, run_id: int) -> SourceResult:
    """Return the row that says how a source went in a run (not saved); `error` is why the whole source failed."""
    error_or_last = error or (progress.failures[-1] if progress.failures else None)
    http_status = error.http_status if error and error.http_status else progress.http_status
    return SourceResult(
        run_id=run_id,
        source=progress.source,
        source_name=progress.source.name,
        status=status,
        http_status=http_status,
        failure_class=error_or_last.failure if error_or_last else "",
        error=ingest.clean(error_or_last.sentence) if error_or_last else "",
        seen=progress.counts.total(),
        requests=progress.tally.requests,
        bytes_received=progress.tally.bytes_received,
        **{name: progress.counts[name] for name in SourceResult.COUNTERS},
    )
