"""Hosts: what is known of a server's wishes, and the lanes through which all runs and processes ask it.

How a lane is taken and given back stands in `scrapers.fetch.slots`; nothing else writes to lanes.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from scrapers.fetch.failures import FailureClass
from scrapers.polling import FURTHEST_HELD


class HostGroup(models.Model):
    """Hosts that share their lanes and cool-downs: one host alone, or those of a registrable domain."""

    name = models.CharField(_("name"), max_length=300, unique=True)

    class Meta:
        verbose_name = _("group of hosts")
        verbose_name_plural = _("groups of hosts")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class HostQuerySet(models.QuerySet["Host"]):
    """Conditions on hosts."""

    def cooling(self, now: datetime | None = None) -> HostQuerySet:
        """Keep those that asked to be left alone for a while."""
        now = now or timezone.now()
        return self.filter(cool_down_until__gt=now, cool_down_until__lte=now + FURTHEST_HELD)


class Host(models.Model):
    """One server (scheme, host and port) and how it wants to be asked."""

    scheme = models.CharField(_("scheme"), max_length=5, choices=[("http", "http"), ("https", "https")])
    host = models.CharField(_("host"), max_length=255)
    group = models.ForeignKey(
        HostGroup,
        verbose_name=_("group"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="hosts",
        help_text=_("With which it shares slots and cool-downs; empty until it is asked again."),
    )
    chosen_group = models.CharField(
        _("chosen group"),
        max_length=300,
        null=True,
        blank=True,
        help_text=_(
            "Hosts with the same name here are asked as if they were one, with their delays and pauses: the name of a "
            "group, a domain, or the address of another host. Empty: as the installation has it. Runs under way go on "
            "as they began."
        ),
    )
    port = models.PositiveIntegerField(_("port"))
    robots_txt = models.TextField(_("robots.txt"), blank=True)
    robots_status = models.PositiveSmallIntegerField(
        _("status of robots.txt"), null=True, blank=True, help_text=_("Of HTTP; empty when there was no answer.")
    )
    robots_failure = models.CharField(
        _("failure of robots.txt"), max_length=20, blank=True, choices=FailureClass.choices
    )
    robots_error = models.TextField(_("error of robots.txt"), blank=True)
    robots_fetched_at = models.DateTimeField(_("robots.txt fetched"), null=True, blank=True)
    robots_expires_at = models.DateTimeField(_("robots.txt valid until"), null=True, blank=True)
    crawl_delay = models.FloatField(
        _("crawl delay"), null=True, blank=True, help_text=_("In seconds, as robots.txt asks for; empty: it does not.")
    )
    cool_down_until = models.DateTimeField(
        _("left alone until"), null=True, blank=True, help_text=_("It answered 429 or 503 and said when to come back.")
    )

    objects: ClassVar[HostQuerySet] = HostQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("host")
        verbose_name_plural = _("hosts")
        ordering = ["host", "port", "scheme"]
        constraints = [
            models.UniqueConstraint(fields=["host", "port", "scheme"], name="host_unique"),
            models.CheckConstraint(condition=Q(scheme__in=["http", "https"]), name="host_scheme_legal"),
            models.CheckConstraint(condition=Q(port__gte=1, port__lte=65535), name="host_port_legal"),
            models.CheckConstraint(
                condition=Q(crawl_delay__isnull=True) | Q(crawl_delay__gte=0), name="host_crawl_delay_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(robots_failure="") | Q(robots_failure__in=FailureClass.values),
                name="host_robots_failure_legal",
            ),
        ]

    def __str__(self) -> str:
        return self.origin

    @property
    def origin(self) -> str:
        """Return scheme, host and port as an address, the scheme's own port left out."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        usual = {"http": 80, "https": 443}[self.scheme]
        return f"{self.scheme}://{shown}" + ("" if self.port == usual else f":{self.port}")

    def join(self, name: str) -> HostGroup:
        """Belong to the group of this name from now on, and heed what its hosts asked for; return the group."""
        if self.group is not None and self.group.name == name:
            return self.group
        self.group, _made = HostGroup.objects.get_or_create(name=name)
        Host.objects.filter(pk=self.pk).update(group=self.group)
        cooling = Host.objects.cooling().filter(group=self.group).aggregate(until=models.Max("cool_down_until"))
        if cooling["until"]:
            self.cool_down(cooling["until"])
        return self.group

    def cool_down(self, until: datetime) -> None:
        """Leave it and its group alone until then, or for as long as it asked before; all processes see that."""
        wrong = timezone.now() + FURTHEST_HELD
        if self.cool_down_until is None or not until <= self.cool_down_until <= wrong:
            self.cool_down_until = until
        ours = Q(pk=self.pk) if self.group_id is None else Q(group=self.group_id)
        sooner = Q(cool_down_until=None) | Q(cool_down_until__lt=until) | Q(cool_down_until__gt=wrong)
        Host.objects.filter(ours & sooner).update(cool_down_until=until)

    def robots_are_fresh(self, now: datetime | None = None) -> bool:
        """Tell whether what is known of robots.txt is still valid."""
        now = now or timezone.now()
        return self.robots_expires_at is not None and now < self.robots_expires_at <= now + FURTHEST_HELD


class HostLane(models.Model):
    """One of the requests that may be under way at a group of hosts at once, leased by a process for some seconds.

    Times are seconds since 1970 by the database's clock, which all processes share. A lane whose lease has passed is
    free again, so a process that died holds nothing for long.
    """

    group = models.ForeignKey(HostGroup, verbose_name=_("group"), on_delete=models.CASCADE, related_name="lanes")
    number = models.PositiveSmallIntegerField(_("number"))
    holder = models.CharField(_("holder"), max_length=32, blank=True)
    leased_until = models.FloatField(_("leased until"), default=0.0)
    next_slot_at = models.FloatField(_("next request not before"), default=0.0)
    wanted_until = models.FloatField(_("wanted by others until"), default=0.0)

    class Meta:
        verbose_name = _("lane")
        verbose_name_plural = _("lanes")
        ordering = ["group", "number"]
        constraints = [models.UniqueConstraint(fields=["group", "number"], name="hostlane_unique")]
        indexes = [
            # The renewal of all leases of one process.
            models.Index(fields=["holder"], condition=~Q(holder=""), name="hostlane_held")
        ]

    def __str__(self) -> str:
        return f"{self.group_id}/{self.number}"
