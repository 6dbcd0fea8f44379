"""What a source remembers for its polling: pace, back-off, pause, moves and health.

The rules stand in `scrapers.polling` and `scrapers.health`; here they are applied to rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from scheduling.zones import zone_names
from scrapers import conf, health, polling
from scrapers.database import update_rows
from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.health import Finding, Trouble

if TYPE_CHECKING:
    from django.contrib.auth.models import User

DAY_MINUTES = 24 * 60


def validate_zone(value: str) -> None:
    """Accept the name of a time zone; raises `ValidationError`."""
    if value not in zone_names():
        raise ValidationError(_("There is no time zone of this name; one is Europe/Zurich, say."))


@dataclass
class Facts:
    """What a poll that was answered showed; durations in seconds.

    `unmatched` is None where nothing was read (the answer had not changed).
    """

    seen: int = 0
    known: int = 0
    ttl: float | None = None
    fresh_for: float = 0.0
    moved_to: str = ""
    body_hash: str = ""
    unmatched: list[str] | None = None
    finding: Finding = field(default_factory=Finding)

    @property
    def unchanged(self) -> bool:
        """Tell whether there was nothing to read."""
        return self.unmatched is None


class PolledSource(models.Model):
    """The part of a source that says when it is polled, and how that goes."""

    pace = models.CharField(
        _("polled"),
        max_length=10,
        choices=polling.Pace.choices,
        default=polling.Pace.EACH_RUN,
        help_text=_("By scheduled runs; started by hand, a run polls at once. Adaptive: often enough to miss nothing."),
    )
    interval_minutes = models.PositiveIntegerField(
        _("interval (minutes)"),
        default=60,
        validators=[MinValueValidator(1), MaxValueValidator(30 * DAY_MINUTES)],
        help_text=_("With an interval: at most one poll in this time. Adaptive: where to begin."),
    )
    heed_ttl = models.BooleanField(
        _("as seldom as it asks"),
        default=True,
        help_text=_("Never sooner than feed and server say that something new may be there (ttl, Cache-Control …)."),
    )
    active_from = models.TimeField(
        _("active from"),
        null=True,
        blank=True,
        help_text=_("Scheduled runs poll it only in these hours. Empty: always."),
    )
    active_until = models.TimeField(_("active until"), null=True, blank=True)
    active_zone = models.CharField(
        _("zone of these hours"),
        max_length=50,
        blank=True,
        validators=[validate_zone],
        help_text=_("Europe/Zurich, say. Empty: the zone of this installation."),
    )
    forbidden_is_busy = models.BooleanField(
        _("403 means too many requests"),
        default=False,
        help_text=_("Some servers answer so instead of 429: then it is left alone for a while."),
    )

    next_poll_at = models.DateTimeField(_("due"), null=True, blank=True, editable=False)
    not_before = models.DateTimeField(_("asked to be left alone until"), null=True, blank=True, editable=False)
    adaptive_seconds = models.FloatField(_("adaptive interval"), null=True, blank=True, editable=False)
    ttl_seconds = models.FloatField(_("asks for a pause of"), default=0.0, editable=False)
    failure_score = models.FloatField(_("weighted failures"), default=0.0, editable=False)
    body_hash = models.CharField(max_length=64, blank=True, editable=False)
    moving_to = models.CharField(_("moving to"), max_length=1000, blank=True, editable=False)
    moving_seen = models.PositiveSmallIntegerField(_("polls that said so"), default=0, editable=False)

    paused_at = models.DateTimeField(_("paused since"), null=True, blank=True, editable=False)
    paused_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("paused by"),
        null=True,
        blank=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    paused_until = models.DateTimeField(
        _("paused until"), null=True, blank=True, editable=False, help_text=_("Empty: until somebody resumes it.")
    )
    pause_reason = models.CharField(_("reason of the pause"), max_length=200, blank=True, editable=False)

    trouble = models.CharField(_("trouble"), max_length=10, blank=True, choices=Trouble.choices, editable=False)
    trouble_detail = models.TextField(_("what was found"), blank=True, editable=False)
    last_new_at = models.DateTimeField(_("last something new"), null=True, blank=True, editable=False)
    habit_seconds = models.FloatField(_("usual pause between news"), null=True, blank=True, editable=False)
    never_matched = models.JSONField(null=True, blank=True, editable=False)

    class Meta:
        abstract = True

    if TYPE_CHECKING:
        pk: Any
        url: str
        last_polled_at: datetime | None
        last_success_at: datetime | None
        consecutive_failures: int
        last_failure_class: str
        last_error: str

    # -- When it is due -----------------------------------------------------------------------------------------------

    @property
    def active_hours(self) -> polling.Hours | None:
        """Return the hours of the day in which scheduled runs poll it; None: always."""
        if self.active_from is None or self.active_until is None:
            return None
        zone = ZoneInfo(self.active_zone) if self.active_zone else timezone.get_default_timezone()
        return polling.Hours(self.active_from, self.active_until, ZoneInfo(str(zone)))

    def clean_polling(self) -> None:
        """Check what belongs together; raises `ValidationError`."""
        if (self.active_from is None) != (self.active_until is None):
            empty = "active_from" if self.active_from is None else "active_until"
            raise ValidationError({empty: _("Give both hours, or none.")})

    def is_due(self, now: datetime | None = None) -> bool:
        """Tell whether a scheduled run polls it now, or takes it up and waits for a moment (`until_due`)."""
        now = now or timezone.now()
        hours = self.active_hours
        due = self.next_poll_at
        if due is not None and polling.early(self.last_polled_at, due) < due - now <= polling.FURTHEST:
            return False
        return hours is None or hours.hold(now)

    def until_due(self, now: datetime | None = None) -> timedelta:
        """Return how long it is until its next poll; nothing where that is due."""
        now = now or timezone.now()
        ahead = max(timedelta(0), (self.next_poll_at or now) - now)
        return ahead if ahead <= polling.FURTHEST else timedelta(0)

    def begin_poll(self, now: datetime | None = None) -> None:
        """Note the next poll before the request of this one is made (`begin_polls`); raises `CollectError`."""
        for error in filter(None, self.begin_polls([self], now)):
            raise error

    @classmethod
    def begin_polls(cls, sources: Sequence[Self], now: datetime | None = None) -> list[CollectError | None]:
        """Note the next polls before the requests of these are made: whatever becomes of one, none follows too soon.

        One statement for all. Returns for each None, or the `CollectError` (not counted) for one whose server asked to
        be left alone, which nobody passes.
        """
        now = now or timezone.now()
        held: list[CollectError | None] = []
        begun: dict[int, dict[str, Any]] = {}
        for source in sources:
            try:
                source.check_held(now)
            except CollectError as error:
                held.append(error)
                continue
            held.append(None)
            source.next_poll_at = source._next_poll(now)
            begun[source.pk] = {"next_poll_at": source.next_poll_at}
        update_rows(cls, begun)
        return held

    def check_held(self, now: datetime | None = None) -> None:
        """Raise `CollectError` (not counted) if the server asked to be left alone until later."""
        now = now or timezone.now()
        if self.not_before is not None and now < self.not_before <= now + polling.FURTHEST_HELD:
            until = timezone.localtime(self.not_before).strftime("%Y-%m-%d %H:%M:%S")
            sentence = _t("Its server asked to be left alone until %(time)s.") % {"time": until}
            raise CollectError(FailureClass.RATE_LIMITED, sentence, retry_after=self.not_before - now, counted=False)

    def hold_off(self, pause: timedelta, now: datetime | None = None) -> None:
        """Leave it alone for a while, by its server's wish; no failure is counted."""
        now = now or timezone.now()
        before = self.not_before
        self.not_before = max(before if before and before <= now + polling.FURTHEST_HELD else now, now + pause)
        self._store(not_before=self.not_before, next_poll_at=self._next_poll(now))

    def _next_poll(self, now: datetime) -> datetime:
        settings_ = conf.polling()
        interval = self.interval_minutes * 60.0
        if self.pace == polling.Pace.ADAPTIVE:
            interval = self.adaptive_seconds or interval
        back = polling.back_off(self.failure_score, settings_.back_off_step, settings_.failing_after, self.pk)
        ttl = self.ttl_seconds if self.heed_ttl else 0.0
        seconds = polling.wait(polling.Pace(self.pace), interval, ttl, back, self.pk)
        return polling.next_poll(now, seconds, self.not_before, self.active_hours)

    # -- How a poll went ----------------------------------------------------------------------------------------------

    def note_facts(self, facts: Facts, now: datetime) -> dict[str, Any]:
        """Set what a poll that was answered says for the next ones; return the fields to be stored."""
        first = self.last_success_at is None
        self.failure_score, self.not_before = 0.0, None
        self.ttl_seconds = max(facts.fresh_for, self.ttl_seconds if facts.unchanged else facts.ttl or 0.0)
        if self.pace == polling.Pace.ADAPTIVE and not first:
            seen, known = (1, 1) if facts.unchanged else (facts.seen, facts.known)
            before = self.adaptive_seconds or self.interval_minutes * 60.0
            limits = conf.polling()
            self.adaptive_seconds = polling.adapted(before, seen, known, limits.adaptive_min, limits.adaptive_max)
        if facts.body_hash or not facts.unchanged:
            self.body_hash = facts.body_hash
        self._note_news(facts, now)
        finding = self._finding(facts, now)
        self.trouble, self.trouble_detail = finding.trouble, finding.detail
        if facts.unmatched is not None:
            before_that = facts.unmatched if self.never_matched is None else self.never_matched
            self.never_matched = [name for name in before_that if name in facts.unmatched]
        self.moving_seen = (self.moving_seen + 1 if facts.moved_to == self.moving_to else 1) if facts.moved_to else 0
        self.moving_to = facts.moved_to
        self.next_poll_at = self._next_poll(now)
        return {name: getattr(self, name) for name in _NOTED}

    def _note_news(self, facts: Facts, now: datetime) -> None:
        if facts.unchanged or facts.seen <= facts.known or facts.finding.trouble == Trouble.LOOKS_NEW:
            return
        if self.last_new_at is not None:
            self.habit_seconds = health.habit(self.habit_seconds, (now - self.last_new_at).total_seconds())
        self.last_new_at = now

    def _finding(self, facts: Facts, now: datetime) -> Finding:
        """Return the state of health after a poll, by the rules of `scrapers.health`."""
        if facts.unmatched is not None:
            if lost := health.lost_selectors(facts.unmatched, self.never_matched):
                words = _t("It used to find something and finds nothing now: %(names)s")
                return Finding(Trouble.SELECTOR, words % {"names": ", ".join(lost)})
            if not facts.seen and self.last_new_at is not None:
                return Finding(Trouble.EMPTY, _t("It was read without an error, but there is not one item in it."))
            if facts.finding.trouble:
                return facts.finding
        elif self.trouble and self.trouble != Trouble.SILENT:
            return Finding(Trouble(self.trouble), self.trouble_detail)
        if health.is_silent(self.last_new_at, self.habit_seconds, now):
            assert self.last_new_at is not None
            values = {"days": (now - self.last_new_at).days, "usual": round((self.habit_seconds or 0) / 3600, 1)}
            return Finding(Trouble.SILENT, _t("Nothing new for %(days)d days; usual are %(usual)s hours.") % values)
        return Finding()

    def note_failure(self, error: CollectError, now: datetime) -> dict[str, Any]:
        """Set what a poll that failed says for the next ones; return the fields to be stored.

        410 pauses the source: it is gone for good, says the server, and a person decides.
        """
        pause = error.retry_after
        weight = error.failure.weight
        refused = error.failure is FailureClass.FORBIDDEN
        busy = error.failure is FailureClass.RATE_LIMITED and error.http_status == 403
        if self.forbidden_is_busy and (refused or busy):
            weight, pause = FailureClass.RATE_LIMITED.weight, pause or timedelta(seconds=conf.polling().back_off_step)
        self.failure_score += weight
        if pause:
            self.not_before = now + pause
        self.next_poll_at = self._next_poll(now)
        values = {name: getattr(self, name) for name in ("failure_score", "not_before", "next_poll_at")}
        if error.failure is FailureClass.GONE and not self.is_paused(now):
            self.paused_at, self.paused_until = now, None
            self.pause_reason = _t("Its server says that it is gone for good (410).")
            values |= {"paused_at": now, "paused_until": None, "pause_reason": self.pause_reason}
        return values

    @property
    def is_failing_for_long(self) -> bool:
        """Tell whether it failed so often that it is polled once a day."""
        return self.failure_score >= conf.polling().failing_after

    # -- Pausing ------------------------------------------------------------------------------------------------------

    def is_paused(self, now: datetime | None = None) -> bool:
        """Tell whether no run may poll it: held by somebody or something, and no end of that has passed."""
        ended = self.paused_until is not None and self.paused_until <= (now or timezone.now())
        return self.paused_at is not None and not ended

    def pause(
        self, reason: str, by: User | None = None, until: datetime | None = None, now: datetime | None = None
    ) -> None:
        """Let no run poll it until a time, or until somebody resumes it."""
        self._store(
            paused_at=now or timezone.now(), paused_by=by, paused_until=until, pause_reason=reason.strip()[:200]
        )

    def resume(self) -> None:
        """Poll it again as if it had never failed; only a wish of its server (Retry-After) still holds."""
        type(self)._default_manager.filter(pk=self.pk).resume()  # type: ignore[attr-defined]
        self.refresh_from_db()

    def _store(self, **values: Any) -> None:
        """Store some fields by UPDATE, of what a poll may change only: a person may edit or delete it meanwhile."""
        for name, value in values.items():
            setattr(self, name, value)
        type(self)._default_manager.filter(pk=self.pk).update(**values)


_NOTED = (
    "failure_score",
    "not_before",
    "ttl_seconds",
    "adaptive_seconds",
    "body_hash",
    "last_new_at",
    "habit_seconds",
    "trouble",
    "trouble_detail",
    "never_matched",
    "moving_seen",
    "moving_to",
    "next_poll_at",
)
RESUMED: dict[str, Any] = {
    "paused_at": None,
    "paused_by": None,
    "paused_until": None,
    "pause_reason": "",
    "failure_score": 0.0,
    "next_poll_at": None,
}
"""What resuming a source sets."""
