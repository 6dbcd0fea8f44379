"""The registry of jobs: what can be scheduled, with which parameters, and what pages show of it.

`scheduling` knows no job by name; each app registers its own in `jobs.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from django.core.exceptions import ValidationError
from django.forms import CharField, Field
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from scheduling.jobs.forms import JobForm

if TYPE_CHECKING:
    from scheduling.models import Run


class UnknownJob(ValidationError):
    """There is no job of this name."""


class JobError(Exception):
    """The job cannot do its work, for a reason that its message tells a person; no traceback is kept.

    `retry=False` says that another attempt would end in the same way (a wrong setting, say): then there is none.
    `error_class` is the kind of error in a word, by which runs are found; the exception's own name by default.
    """

    def __init__(self, message: str, *, retry: bool = True, error_class: str = "") -> None:
        super().__init__(message)
        self.retry = retry
        self.error_class = error_class or type(self).__name__


@dataclass(frozen=True)
class JobResult:
    """What a job function returns: how it went in a sentence, whether a part failed, and its counts by name.

    `error_class` is the kind of error of the part that failed; `nothing_due` says that it looked and had nothing to do:
    such runs are folded in the list.
    """

    outcome: str = ""
    partial: bool = False
    summary: dict[str, Any] = field(default_factory=dict)
    error_class: str = ""
    nothing_due: bool = False


JobFunction = Callable[..., JobResult | None]
F = TypeVar("F", bound=JobFunction)


@dataclass(frozen=True)
class Job:
    """A registered job.

    `describe(parameters)` says in words what would run, and `describe_all` the same for many at once where that saves
    queries; `panel(run)` returns the HTML of its results on the run's page; `preload` names modules that the parent of
    all child processes imports once; `failed_only(run)` returns the parameters that would do again only what failed in
    a run, or None if there is nothing of that kind; `search(text, rows)` tells for each of many parameters whether a
    person who types the text looks for it; `starts_processes` says that its runs start processes of their own by a
    forkserver of `multiprocessing`: these too then find `preload` imported.
    """

    name: str
    label: Any
    function: JobFunction
    form: type[JobForm] = JobForm
    describe: Callable[[dict[str, Any]], str] | None = None
    panel: Callable[[Run], SafeString] | None = None
    executor: str = "processes"
    preload: tuple[str, ...] = ()
    describe_all: Callable[[Sequence[dict[str, Any]]], list[str]] | None = None
    failed_only: Callable[[Run], dict[str, Any] | None] | None = None
    search: Callable[[str, Sequence[dict[str, Any]]], list[bool]] | None = None
    starts_processes: bool = False

    def complete(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return stored parameters with the defaults of those that are missing (the form grew since).

        Raises `ValidationError` naming the keys that the form does not have. Values are not judged again: what they
        name may have been deleted since, and the job tells that better.
        """
        check_object(parameters)
        if unknown := self._unknown(parameters):
            raise ValidationError(unknown)
        return {**{name: field.initial for name, field in self.form.base_fields.items()}, **parameters}

    def clean(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return parameters as they are stored, checked by the form, with defaults filled in.

        Raises `ValidationError` with a message dict that names each unknown or wrong key.
        """
        check_object(parameters)
        unknown = self._unknown(parameters) | self._not_text(parameters)
        defaults = {name: field.initial for name, field in self.form.base_fields.items() if field.initial is not None}
        form = self.form(data={**defaults, **parameters})
        if not form.is_valid() or unknown:
            raise ValidationError({**{key: list(messages) for key, messages in form.errors.items()}, **unknown})
        return form.to_parameters()

    def _not_text(self, parameters: dict[str, Any]) -> dict[str, list[str]]:
        """Refuse what a text field would turn into Python's words for it."""
        fields = self.form.base_fields
        return {
            key: [_("Give a text.")]
            for key, value in parameters.items()
            if type(fields.get(key)) is CharField and value is not None and not isinstance(value, str)
        }

    def _unknown(self, parameters: dict[str, Any]) -> dict[str, list[str]]:
        unknown = [key for key in parameters if key not in self.form.base_fields]
        if not unknown:
            return {}
        known = ", ".join(self.form.base_fields) or _("none")
        message = _("Unknown parameter; the known ones are: %(known)s.") % {"known": known}
        return {key: [message] for key in unknown}


def check_object(parameters: Any) -> None:
    """Raise a `ValidationError` for parameters that are no object, as only plain SQL can store them."""
    if not isinstance(parameters, dict):
        raise ValidationError(_("The parameters are no object with a value for each name."))


class Registry:
    """The jobs by name."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    def add(self, definition: Job) -> None:
        """Register a job; raises `ValueError` if another function already has the name."""
        known = self._jobs.get(definition.name)
        if known is not None and known.function is not definition.function:
            raise ValueError(f"two jobs are named {definition.name!r}: {known.function} and {definition.function}")
        self._jobs[definition.name] = definition

    def remove(self, name: str) -> None:
        """Forget a job."""
        del self._jobs[name]

    def get(self, name: str) -> Job:
        """Return a job; raises `UnknownJob` with the names that exist."""
        if name not in self._jobs:
            raise UnknownJob(
                {
                    "job": [
                        _("There is no job “%(job)s”; the registered ones are: %(known)s.")
                        % {"job": name, "known": ", ".join(sorted(self._jobs))}
                    ]
                }
            )
        return self._jobs[name]

    def __contains__(self, name: object) -> bool:
        return name in self._jobs

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs.values())

    def names(self) -> list[str]:
        """Return the names of all jobs."""
        return list(self._jobs)

    def choices(self) -> list[tuple[str, Any]]:
        """Return (name, label) of all jobs for a form field."""
        return [(definition.name, definition.label) for definition in self]

    def label(self, name: str) -> str:
        """Return a job's label, or its name if it is not registered (any more)."""
        return str(self._jobs[name].label) if name in self._jobs else name

    def form_fields(self, name: str) -> Mapping[str, Field]:
        """Return the fields of a job's form; none for one that is not registered (any more)."""
        return self._jobs[name].form.base_fields if name in self._jobs else {}

    def describe(self, name: str, parameters: Any) -> str:
        """Return in words what a job would do with these parameters; as they are, where they are no object."""
        if not isinstance(parameters, dict):
            return str(parameters)
        definition = self._jobs.get(name)
        if definition is None or definition.describe is None:
            return ", ".join(f"{key}: {value}" for key, value in parameters.items() if value not in (None, "", []))
        return definition.describe(parameters)

    def describe_all(self, rows: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
        """Return the words of many (job, parameters), in order; a job that can describes its own all at once."""
        words: dict[int, str] = {}
        for name in {name for name, _parameters in rows}:
            mine = [index for index, row in enumerate(rows) if row[0] == name]
            definition = self._jobs.get(name)
            are_objects = all(isinstance(rows[index][1], dict) for index in mine)
            if definition is not None and definition.describe_all is not None and are_objects:
                words |= dict(zip(mine, definition.describe_all([rows[index][1] for index in mine]), strict=True))
            else:
                words |= {index: self.describe(*rows[index]) for index in mine}
        return [words[index] for index in range(len(rows))]

    def search(self, text: str, rows: Sequence[tuple[str, dict[str, Any]]]) -> list[bool]:
        """Tell for each of many (job, parameters), in order, whether it is what the text looks for.

        That is a job whose label has the text in it, or parameters in which the job itself finds it; where a job brings
        no search along, the words that it describes them with are searched.
        """
        found: dict[int, bool] = {}
        for name in {name for name, _parameters in rows}:
            mine = [index for index, row in enumerate(rows) if row[0] == name]
            definition = self._jobs.get(name)
            if text.casefold() in self.label(name).casefold():
                found |= dict.fromkeys(mine, True)
            elif (
                definition is not None
                and definition.search is not None
                and all(isinstance(rows[index][1], dict) for index in mine)
            ):
                found |= dict(zip(mine, definition.search(text, [rows[index][1] for index in mine]), strict=True))
            else:
                words = self.describe_all([rows[index] for index in mine])
                found |= {index: text.casefold() in line.casefold() for index, line in zip(mine, words, strict=True)}
        return [found[index] for index in range(len(rows))]

    def panel(self, run: Run) -> SafeString:
        """Return the HTML that a run's job brings along for the run's page."""
        definition = self._jobs.get(run.job)
        return definition.panel(run) if definition and definition.panel else SafeString("")

    def failed_only(self, run: Run) -> dict[str, Any] | None:
        """Return the parameters that would do again only what failed in a run; None where that means nothing."""
        definition = self._jobs.get(run.job)
        return definition.failed_only(run) if definition and definition.failed_only else None

    def preload(self) -> list[str]:
        """Return the modules that child processes should find already imported."""
        return sorted({module for definition in self for module in definition.preload})


registry = Registry()


def job(
    name: str,
    *,
    label: Any,
    form: type[JobForm] = JobForm,
    describe: Callable[[dict[str, Any]], str] | None = None,
    panel: Callable[[Run], SafeString] | None = None,
    executor: str = "processes",
    preload: tuple[str, ...] = (),
    describe_all: Callable[[Sequence[dict[str, Any]]], list[str]] | None = None,
    failed_only: Callable[[Run], dict[str, Any] | None] | None = None,
    search: Callable[[str, Sequence[dict[str, Any]]], list[bool]] | None = None,
    starts_processes: bool = False,
) -> Callable[[F], F]:
    """Register the decorated function as a job; it is called as `function(context, **parameters)`."""

    def register(function: F) -> F:
        registry.add(
            Job(
                name,
                label,
                function,
                form,
                describe,
                panel,
                executor,
                preload,
                describe_all,
                failed_only,
                search,
                starts_processes,
            )
        )
        return function

    return register
