"""Tags group schedules and sources."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Tag(models.Model):
    """A word that groups schedules and sources."""

    name = models.CharField(_("name"), max_length=60, unique=True)

    class Meta:
        verbose_name = _("tag")
        verbose_name_plural = _("tags")
        ordering = ["name"]
        constraints = [models.CheckConstraint(condition=~models.Q(name=""), name="tag_name_not_empty")]

    def __str__(self) -> str:
        return self.name
