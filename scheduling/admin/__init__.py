"""The admin of scheduling: one file for each model; importing this package registers them."""

from scheduling.admin import backfills, instances, runs, schedules, tags

__all__ = ["backfills", "instances", "runs", "schedules", "tags"]
