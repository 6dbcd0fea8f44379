"""Filters of lists that can be turned round, and what the bar above a list says of those that are chosen.

`not=cause__exact,tag` in the address turns the filters round whose first parameters it names: the list then shows what
they would leave out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Exists, Model, OuterRef, QuerySet
from django.http import HttpRequest, QueryDict
from django.utils.functional import cached_property
from unfold.views import ChangeList as UnfoldChangeList

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList
else:
    ChangeList = UnfoldChangeList

TURNED = "not"
"""The parameter of the address that names the filters to turn round."""
PAGE, RESET = "p", "reset"


@dataclass(frozen=True)
class Chosen:
    """A filter that is chosen: title, choice in words, and where its links lead (the first nowhere: no reverse)."""

    title: Any
    words: Any
    turned: bool
    turn_url: str
    remove_url: str


class TurnableChangeList(ChangeList):
    """A list whose filters can be turned round, but for those that say `turnable = False`."""

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        """Return the parameters of filters; which of them are turned round is no filter."""
        found: dict[str, Any] = super().get_filters_params(params)
        return {name: value for name, value in found.items() if name != TURNED}

    def get_filters(self, request: HttpRequest) -> Any:
        """Return the filters, those turned round that the address names."""
        specs, *others = super().get_filters(request)
        for spec in specs:
            if _key(spec) in self._turned and getattr(spec, "turnable", True) and self._values(spec):
                _turn(spec, self.model)
        return (specs, *others)

    def get_query_string(self, new_params: Any = None, remove: Any = None) -> str:
        """Return the address with these parameters; a filter that is not in it any more is not turned round either."""
        address: str = super().get_query_string(new_params, remove)
        changed = new_params or {}
        drops = bool(remove) or TURNED in changed or None in changed.values()
        if TURNED not in address or not drops:
            return address
        query = QueryDict(address.removeprefix("?"), mutable=True)
        parameters = self._parameters if hasattr(self, "filter_specs") else {}
        turned = [name for name in _names(query.get(TURNED)) if any(one in query for one in parameters.get(name, ()))]
        query[TURNED] = ",".join(turned)
        if not turned:
            del query[TURNED]
        return f"?{query.urlencode()}"

    @cached_property
    def chosen(self) -> list[Chosen]:
        """Return the filters that are chosen, in the order in which they are offered."""
        return [self._chosen(spec) for spec in self.filter_specs if self._values(spec)]

    @property
    def reset_url(self) -> str:
        """Return the address of the list without search and filters, which forgets them too."""
        return f"?{RESET}=1"

    @cached_property
    def _parameters(self) -> dict[str, list[str | None]]:
        """Return the parameters of each filter by what names it; each link of the page asks for them."""
        return {_key(spec): list(spec.expected_parameters()) for spec in self.filter_specs}

    @cached_property
    def _turned(self) -> list[str]:
        return _names(self.params.get(TURNED))

    def _values(self, spec: Any) -> list[str]:
        """Return what the address says of a filter."""
        return [str(self.params[name]) for name in spec.expected_parameters() if self.params.get(name, "") != ""]

    def _chosen(self, spec: Any) -> Chosen:
        key, turned = _key(spec), _key(spec) in self._turned
        others = [name for name in self._turned if name != key]
        switched = ",".join(others if turned else [*others, key])
        turnable = getattr(spec, "turnable", True)
        return Chosen(
            title=spec.title,
            words=_in_words(spec, self) or ", ".join(self._values(spec)),
            turned=turned,
            turn_url=self.get_query_string({TURNED: switched}) if turnable else "",
            remove_url=self.get_query_string(dict.fromkeys(spec.expected_parameters())),
        )


def _names(text: str | None) -> list[str]:
    return [name for name in (text or "").split(",") if name]


def _key(spec: Any) -> str:
    """Return what names a filter in the address."""
    return str(next(iter(spec.expected_parameters()), ""))


def _turn(spec: Any, model: type[Model]) -> None:
    """Let a filter keep what it would leave out.

    "There is no such row among those that fit" is one look-up by primary key for each row that is read, so the newest
    page of millions is found without looking at the others; `NOT IN` would first collect all that fit.
    """
    keep = spec.queryset

    def leave_out(request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any] | None:
        fitting: QuerySet[Any] | None = keep(request, model._default_manager.all())
        return None if fitting is None else rows.filter(~Exists(fitting.filter(pk=OuterRef("pk"))))

    spec.queryset = leave_out


def _in_words(spec: Any, changelist: Any) -> Any:
    """Return the choice as the filter words it; unfold's filters offer a form instead of choices."""
    for choice in spec.choices(changelist):
        if choice.get("selected") and "display" in choice:
            return choice["display"]
    value = str(spec.value()) if hasattr(spec, "value") else ""
    return next((words for known, words in _offered(spec) if str(known) == value), "")


def _offered(spec: Any) -> Iterator[tuple[Any, Any]]:
    field = getattr(spec, "field", None)
    choices: Iterable[Any] = getattr(spec, "lookup_choices", None) or getattr(field, "flatchoices", None) or ()
    yield from choices
