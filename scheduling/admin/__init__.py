"""The admin of scheduling: one file for each model; importing this package registers them."""

from scheduling.admin import instances, runs, schedules, tags

__all__ = ["instances", "runs", "schedules", "tags"]
