"""Sources: the places that news comes from, and how each last went."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.health import Trouble
from scrapers.models.polled import RESUMED, Facts, PolledSource
from scrapers.models.source_health import SourceHealth

QUERY = "{query}"
"""What stands in an address for the query of a run."""


def validate_source_url(value: str) -> None:
    """Accept an http or https address without a name and password in it; raises `ValidationError`."""
    URLValidator(schemes=["http", "https"], message=_("Enter a full address that begins with http:// or https://."))(
        value
    )
    if "@" in value.split("/", 3)[2]:
        raise ValidationError(_("Leave name and password out of the address; everybody who sees it could read them."))


def validate_source_kind(value: str) -> None:
    """Accept a registered kind of source; raises `ValidationError`."""
    from scrapers.kinds import registry

    registry.get(value)


class SourceQuerySet(models.QuerySet["Source"]):
    """Conditions on sources."""

    def enabled(self) -> SourceQuerySet:
        """Keep those that a person wants polled."""
        return self.filter(enabled=True)

    def tagged(self, tags: Iterable[Any]) -> SourceQuerySet:
        """Keep those that carry at least one of these tags (rows or primary keys)."""
        return self.filter(pk__in=Source.tags.through.objects.filter(tag__in=list(tags)).values("source"))

    def pollable(self) -> SourceQuerySet:
        """Keep those that runs may poll: enabled and not paused."""
        return self.enabled().filter(Q(paused_at__isnull=True) | Q(paused_until__lte=timezone.now()))

    def paused(self) -> SourceQuerySet:
        """Keep those that a person wants polled and that are held."""
        held = Q(paused_until__isnull=True) | Q(paused_until__gt=timezone.now())
        return self.enabled().filter(held, paused_at__isnull=False)

    def failing(self) -> SourceQuerySet:
        """Keep those whose last poll failed."""
        return self.pollable().filter(consecutive_failures__gt=0)

    def troubled(self, trouble: Trouble | str) -> SourceQuerySet:
        """Keep those whose last poll went well, and said this of their health (nothing: all is well)."""
        return self.pollable().filter(consecutive_failures=0, last_polled_at__isnull=False, trouble=trouble)

    def healthy(self) -> SourceQuerySet:
        """Keep those whose last poll went well, with nothing to remark."""
        return self.troubled(Trouble.NONE)

    def resume(self) -> int:
        """Poll them again as if they had never failed; Retry-After still holds. Return their number."""
        return self.update(**RESUMED)

    @transaction.atomic
    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete the sources; their articles stay, and those who copy on are told that these are no longer in them."""
        from scrapers.models.article import Article

        Article.objects.seen_in_any(self).note_change()
        return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]

    def never_polled(self) -> SourceQuerySet:
        """Keep those that were never polled."""
        return self.filter(last_polled_at__isnull=True)

    def in_health(self, health: SourceHealth) -> SourceQuerySet:
        """Keep those of which `Source.health` is this."""
        return {
            SourceHealth.HEALTHY: self.healthy(),
            SourceHealth.FAILING: self.failing(),
            SourceHealth.NEW: self.pollable().never_polled().filter(consecutive_failures=0),
            SourceHealth.PAUSED: self.paused(),
            **{SourceHealth(name): self.troubled(name) for name in Trouble.values if name},
            SourceHealth.DISABLED: self.filter(enabled=False),
        }[health]


class Source(PolledSource):
    """One place news comes from."""

    name = models.CharField(_("name"), max_length=200, unique=True)
    kind = models.CharField(_("kind"), max_length=60, default="feed", validators=[validate_source_kind])
    url = models.CharField(
        _("address"),
        max_length=1000,
        unique=True,
        validators=[validate_source_url],
        error_messages={"unique": _("There is already a source with this address.")},
        help_text=_(
            "The address of a feed, a sitemap, a page that lists articles, or an API; {query} for a run's query."
        ),
    )
    options = models.JSONField(
        _("options"),
        default=dict,
        blank=True,
        help_text=_("What the kind wants to know, as its form has it."),
    )
    settings = models.JSONField(
        _("settings"), default=dict, blank=True, help_text=_("What is set for this source alone, by name.")
    )
    enabled = models.BooleanField(_("enabled"), default=True, help_text=_("Off: no run polls it."))
    tags = models.ManyToManyField("scheduling.Tag", verbose_name=_("tags"), blank=True, related_name="sources")

    etag = models.CharField(_("ETag"), max_length=500, blank=True, editable=False)
    last_modified = models.CharField(_("Last-Modified"), max_length=100, blank=True, editable=False)
    validators_key = models.CharField(
        max_length=64,
        blank=True,
        editable=False,
        help_text=_("Under which address and query everything of the validated answer was dealt with."),
    )
    page_validators = models.JSONField(
        default=dict,
        blank=True,
        editable=False,
        help_text=_("ETag and Last-Modified of further addresses, under the same key."),
    )
    last_polled_at = models.DateTimeField(_("last polled"), null=True, blank=True, editable=False)
    last_success_at = models.DateTimeField(_("last success"), null=True, blank=True, editable=False)
    last_read_at = models.DateTimeField(
        _("last read in full"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("When an answer last listed all that it has; “not modified” does not count."),
    )
    failing_since = models.DateTimeField(_("failing since"), null=True, blank=True, editable=False)
    consecutive_failures = models.PositiveIntegerField(_("failures in a row"), default=0, editable=False)
    last_failure_class = models.CharField(
        _("failure"), max_length=20, blank=True, choices=FailureClass.choices, editable=False
    )
    last_error = models.TextField(_("last error"), blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    objects: ClassVar[SourceQuerySet] = SourceQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("source")
        verbose_name_plural = _("sources")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="source_name_not_empty"),
            models.CheckConstraint(
                condition=Q(url__startswith="http://") | Q(url__startswith="https://"), name="source_url_http"
            ),
            models.CheckConstraint(
                condition=Q(last_failure_class="") | Q(last_failure_class__in=FailureClass.values),
                name="source_failure_class_legal",
            ),
            models.CheckConstraint(
                condition=Q(consecutive_failures=0) | ~Q(last_failure_class=""), name="source_failing_has_class"
            ),
            models.CheckConstraint(condition=Q(interval_minutes__gte=1), name="source_interval_positive"),
            models.CheckConstraint(condition=Q(failure_score__gte=0), name="source_failure_score_not_negative"),
            models.CheckConstraint(
                condition=Q(active_from__isnull=True, active_until__isnull=True)
                | Q(active_from__isnull=False, active_until__isnull=False),
                name="source_active_hours_whole",
            ),
            models.CheckConstraint(
                condition=Q(paused_at__isnull=False) | Q(paused_by__isnull=True, pause_reason=""),
                name="source_pause_whole",
            ),
        ]
        indexes = [
            # The list of sources by health, and what needs attention on the dashboard.
            models.Index(fields=["enabled", "-consecutive_failures"], name="source_failing"),
            # The list sorted by the last poll.
            models.Index(fields=["-last_polled_at"], name="source_last_polled"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Take the spaces off that pasting an address brings along, and judge options and settings."""
        from scrapers.kinds import registry
        from scrapers.secrets import MASK, encrypted_in
        from scrapers.source_settings import clean_settings

        self.take_tokens()
        before = Source.objects.filter(pk=self.pk).values("url", "settings", "options").first() if self.pk else None
        try:
            self.settings = clean_settings(self.settings, before and before["settings"])
        except ValidationError as error:
            raise ValidationError({"settings": _listed(error)}) from error
        if before and _host(before["url"]) != _host(self.url):
            # Who may edit a source may not read its secrets; sent to a host of their choice they could.
            stored = encrypted_in([before["settings"], before["options"]])
            if encrypted_in([self.settings, self.options]) & stored or MASK in json.dumps(
                self.options, ensure_ascii=False, default=str
            ):
                words = _("The address leads to another host: type its passwords, tokens and cookies anew.")
                raise ValidationError({"url": words})
        self.clean_polling()
        try:
            kind = registry.get(self.kind)
        except ValidationError:
            return  # Told at its own field.
        try:
            self.options = kind.clean_options(self.options, before and before["options"])
        except ValidationError as error:
            raise ValidationError({"options": _listed(error)}) from error
        if QUERY in self.url and not kind.takes_query:
            words = _("Sources of this kind take no {query} in their address.")
            raise ValidationError({"url": words})

    def take_tokens(self) -> None:
        """Move what is secret in the address to the settings: everybody sees the address."""
        from scrapers.secrets import HIDDEN_NAME, hidden_places, without_tokens

        typed, first = self.url.strip(), 1
        self.url, tokens = without_tokens(typed)
        while hidden_places(self.url) and Source.objects.exclude(pk=self.pk).filter(url=self.url).exists():
            # The same but for what is hidden: the place gets another name.
            first += 1
            address, tokens = without_tokens(typed, first)
            if address == self.url:
                break
            self.url = address
        known = self.settings.get("parameters")
        known = known if isinstance(known, dict) else {}
        gone = {name for name in known if HIDDEN_NAME.fullmatch(name)} - set(hidden_places(self.url))
        if tokens or gone:
            kept = {name: value for name, value in known.items() if name not in gone}
            self.settings = {**self.settings, "parameters": {**kept, **tokens}}

    def address_for(self, query: str) -> str:
        """Return the address to ask, with a query in it where it wants one.

        Raises `CollectError` (`NO_QUERY`) if it wants one and there is none.
        """
        if QUERY not in self.url:
            return self.url
        if not query.strip():
            raise CollectError(
                FailureClass.NO_QUERY, _t("The address of the source needs a query, and this run has none.")
            )
        return self.url.replace(QUERY, quote(query.strip(), safe=""))

    @transaction.atomic
    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the source; those who copy its articles on are told of a new name, which is exported with them."""
        from scrapers.models.article import Article

        renamed = not self._state.adding and not Source.objects.filter(pk=self.pk, name=self.name).exists()
        super().save(*args, **kwargs)
        if renamed:
            Article.objects.seen_in(self).note_change()

    @transaction.atomic
    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete the source; its articles stay, and those who copy on are told that these are no longer in it."""
        from scrapers.models.article import Article

        Article.objects.seen_in(self).note_change()
        return super().delete(*args, **kwargs)

    @property
    def link(self) -> str:
        """Return the address where a person can open it; empty where a run fills in a hidden part or its query."""
        from scrapers.secrets import hidden_places

        return "" if QUERY in self.url or hidden_places(self.url) else self.url

    @property
    def health(self) -> SourceHealth:
        """Return how the source is doing."""
        if not self.enabled:
            return SourceHealth.DISABLED
        if self.is_paused():
            return SourceHealth.PAUSED
        if self.consecutive_failures:
            return SourceHealth.FAILING
        if not self.last_polled_at:
            return SourceHealth.NEW
        return SourceHealth(self.trouble) if self.trouble else SourceHealth.HEALTHY

    def validators(self, scope: str = "", basis: str = "") -> tuple[str, str]:
        """Return (ETag, Last-Modified) to ask with, or two empty strings.

        They are given only if everything of the answer they stand for was dealt with, under the same address, options
        and `basis` (whatever else decides what an answer holds) and under no query or the same `scope` (a query);
        otherwise "not modified" would hide what was left out.
        """
        return (self.etag, self.last_modified) if self.is_caught_up(scope, basis) else ("", "")

    def is_caught_up(self, scope: str = "", basis: str = "") -> bool:
        """Tell whether the last poll under this `scope` and `basis` dealt with everything there was."""
        return self.validators_key in (self._validators_key("", basis), self._validators_key(scope, basis))

    def begin_pages(self) -> None:
        """Note that several listings are on their way: until `polled`, nothing of the source counts as dealt with."""
        if self.validators_key:
            self.etag, self.last_modified, self.validators_key = "", "", ""
            Source.objects.filter(pk=self.pk).update(etag="", last_modified="", validators_key="")

    def polled(self, **how: Any) -> None:
        """Note a poll that was answered in full (`note_polled`)."""
        self._store(**self.note_polled(**how))

    def not_modified(self, facts: Facts | None = None) -> None:
        """Note a poll that brought nothing new."""
        self._store(**self.note_not_modified(facts))

    def note_polled(
        self,
        *,
        etag: str,
        last_modified: str,
        scope: str = "",
        basis: str = "",
        complete: bool = True,
        pages: Mapping[str, Sequence[str]] | None = None,
        facts: Facts | None = None,
    ) -> dict[str, Any]:
        """Set what a poll that was answered in full changes; return the fields to be stored.

        Without `complete` the next one asks unconditionally.
        """
        from scrapers.kinds import registry

        fits = complete and len(etag) <= 500 and len(last_modified) <= 100
        self.etag, self.last_modified = (etag, last_modified) if fits else ("", "")
        self.validators_key = self._validators_key(scope, basis) if fits else ""
        self.page_validators = dict(pages or {}) if fits else {}
        if QUERY not in self.url and (kind := registry.find(self.kind)) and kind.lists_all:
            self.last_read_at = timezone.now()
        noted = ("etag", "last_modified", "validators_key", "page_validators", "last_read_at")
        return self._succeeded(facts or Facts(unmatched=[]), *noted)

    def note_not_modified(self, facts: Facts | None = None) -> dict[str, Any]:
        """Set what a poll that brought nothing new changes; return the fields to be stored."""
        return self._succeeded(facts or Facts())

    def failed(self, error: CollectError, at: datetime | None = None) -> None:
        """Note a poll that failed, and when the next one is due."""
        now = at or timezone.now()
        values = {
            **self.note_failure(error, now),
            "last_polled_at": now,
            "failing_since": self.failing_since or now,
            "last_failure_class": error.failure,
            "last_error": error.sentence,
        }
        self._store(**values)
        Source.objects.filter(pk=self.pk).update(consecutive_failures=F("consecutive_failures") + 1)

    def _succeeded(self, facts: Facts, *fields: str) -> dict[str, Any]:
        now = timezone.now()
        noted = self.note_facts(facts, now)
        self.last_polled_at = self.last_success_at = now
        self.consecutive_failures, self.failing_since = 0, None
        self.last_failure_class, self.last_error = "", ""
        return noted | {name: getattr(self, name) for name in (*fields, *_SUCCEEDED)}

    def _validators_key(self, scope: str, basis: str) -> str:
        """Return what a poll depends on: where that changes, everything is to be looked at again."""
        parts = (self.kind, self.url, json.dumps(self.options, sort_keys=True), basis, scope)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


_SUCCEEDED = (
    "last_polled_at",
    "last_success_at",
    "consecutive_failures",
    "failing_since",
    "last_failure_class",
    "last_error",
)


def _listed(error: ValidationError) -> list[str]:
    """Return the messages of a form's fields as lines, each with the name of its field."""
    return [f"{name}: {' '.join(texts)}" for name, texts in error.message_dict.items()]


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""
