"""`manage.py scrape URL|SOURCE`: collect from one source in the terminal, no scheduler needed."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Generator, Iterable
from contextlib import closing
from typing import Any, cast

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from scheduling.jobs import run_here
from scheduling.models import Run, RunStatus
from scrapers.discovery import discover, with_scheme
from scrapers.drafts import Draft
from scrapers.fetch.failures import CollectError
from scrapers.kinds import registry
from scrapers.models import Article, Source
from scrapers.models.source import validate_source_url
from scrapers.polled_by import JOB
from scrapers.query import QueryError, parse
from scrapers.secrets import without_tokens
from scrapers.tryout import rehearse


class Command(BaseCommand):
    """Collect from one source, or from an address whose kind is found out, and print what came."""

    help = (
        "Collects from one source (its name, number or address), or from any other address: the feed, sitemap or "
        "listing there is found and becomes a source. --dry-run stores nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the arguments."""
        parser.add_argument("target", metavar="URL|SOURCE", help="An address, or the name or number of a source.")
        parser.add_argument("--query", default="", help="Keep only articles with these words.")
        parser.add_argument("--limit", type=int, metavar="N", help="New articles at most.")
        parser.add_argument("--dry-run", action="store_true", help="Store nothing; articles known are shown as well.")
        parser.add_argument("--json", action="store_true", help="One article a line as JSON, and nothing else.")

    def handle(
        self, *args: Any, target: str, query: str, limit: int | None, dry_run: bool, json: bool, **options: Any
    ) -> None:
        """Collect; the progress goes to standard error, articles to standard output."""
        if limit is not None and limit < 1:
            raise CommandError(_("--limit must be 1 or more."))
        try:
            parse(query)  # before anything is asked or stored for nothing
        except QueryError as error:
            raise CommandError(str(error)) from error
        self._as_json = json
        console = Console(file=sys.stderr)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task(_("Looking at %s") % target, total=None)
            try:
                source = self._source(target)
                bar.update(task, description=source.name, total=limit)
                collect = self._rehearse if dry_run else self._store
                sentence = collect(source, query, limit, bar, task)
            except CollectError as error:
                raise CommandError(str(error)) from error
            except ValidationError as error:
                raise CommandError(" ".join(error.messages)) from error
            except KeyboardInterrupt as error:
                raise CommandError(_("Interrupted."), returncode=130) from error
        if not json:
            self.stdout.write(sentence)

    def _source(self, target: str) -> Source:
        """Return the source that is meant, one that is not saved for an address that is none yet."""
        found = Source.objects.filter(Q(name=target) | Q(url=without_tokens(target)[0])).first()
        if found is None and target.isdecimal():
            found = Source.objects.filter(pk=int(target)).first()
        if found is not None:
            return found
        if "://" not in target and ("." not in target.strip("./") or " " in target.strip()):
            raise CommandError(_("There is no source “%s”, and it is no address.") % target)
        if "@" in target:
            validate_source_url(with_scheme(target))
        discovery = discover(target)
        usable = [candidate for candidate in discovery.candidates if candidate.guess.count]
        if not usable:
            sentence = _("Nothing to collect from was found at %s.") % target
            raise CommandError(" ".join([sentence, *discovery.notes[:1]]))
        best = usable[0]
        url, _tokens = without_tokens(best.url)
        count = ngettext("%d item", "%d items", best.guess.count) % best.guess.count
        kind = dict(registry.choices()).get(best.guess.kind, best.guess.kind)
        self.stderr.write(f"{url}: {kind}, {count} ({best.found_by})")
        return Source.objects.filter(url=url).first() or best.source()

    def _rehearse(self, source: Source, query: str, limit: int | None, bar: Progress, task: TaskID) -> str:
        """Print each article as it comes; return how it went."""

        closed: list[BrokenPipeError] = []

        def show(draft: Draft) -> bool:
            try:
                self._print([Article(url=draft.url, **draft.fields())], source)
            except BrokenPipeError as error:
                # Whoever reads has enough (head, say): nothing more is fetched.
                closed.append(error)
            bar.advance(task)
            return not closed

        def say(line: str) -> None:
            bar.console.print(line, markup=False, highlight=False)

        trial = rehearse(source, query=query, limit=limit, most=None, seconds=None, on_draft=show, on_progress=say)
        if closed:
            raise closed[0]
        if trial.failed:
            raise CommandError(trial.result.sentence())
        values = {"source": source.name, "how": trial.result.sentence()}
        return _("%(source)s: %(how)s. Nothing was stored.") % values

    def _store(self, source: Source, query: str, limit: int | None, bar: Progress, task: TaskID) -> str:
        """Collect by a run in this process, then print its articles; return how it went."""
        if source._state.adding:
            source.full_clean()
            source.save()
            self.stderr.write(_("The source “%s” is new.") % source.name)
        elif not source.enabled:
            raise CommandError(_("The source “%s” is off; --dry-run shows what it would bring.") % source.name)

        def look(run: Run) -> None:
            new, found = run.summary.get("new", 0), run.summary.get("found", 0)
            values = {"source": source.name, "found": found, "new": new}
            bar.update(task, description=_("%(source)s: %(found)s found, %(new)s new") % values, completed=new)

        run = run_here(JOB, {"sources": [source.pk], "query": query, "limit": limit}, look)
        if run is None:
            raise CommandError(_("The run was taken away from this process; see its page in the admin."))
        began = run.started_at or run.queued_at
        found = Article.objects.filter(Q(first_run=run) | Q(sources=source, updated_at__gte=began)).distinct()
        articles = cast(Generator[Article, None, None], found.order_by("pk").iterator(chunk_size=200))
        with closing(articles):
            self._print(articles, source)
        if run.status not in RunStatus.good():
            raise CommandError(run.outcome or str(run.get_status_display()))
        return run.outcome

    def _print(self, articles: Iterable[Article], source: Source) -> None:
        for article in articles:
            if self._as_json:
                self.stdout.write(json.dumps(as_object(article, source), ensure_ascii=False))
            else:
                when = f"{article.published_local:%Y-%m-%d %H:%M}" if article.published_local else _("no date")
                self.stdout.write(f"{when}  {article.title}\n                  {article.url}")
        self.stdout.flush()


def as_object(article: Article, source: Source) -> dict[str, Any]:
    """Return an article as `--json` prints it; `published` is ISO 8601 with a zone, or null."""
    return {
        "url": article.url,
        "title": article.title,
        "text": article.text,
        "published": article.published_local.isoformat() if article.published_local else None,
        "authors": article.authors,
        "language": article.language,
        "source": source.name,
    }
