"""Template tags for moments, durations, statuses and stored sentences; they only call what says them elsewhere."""

from __future__ import annotations

from django import template

from scheduling import display
from scheduling.said import said

register = template.Library()

register.filter("moment", display.moment_html)
register.filter("clock", display.clock_html)
register.filter("moment_over_clock", display.moment_over_clock_html)
register.filter("duration", display.duration_words)
register.filter("seconds_words", display.seconds_words)
register.filter("said", said)
register.filter("run_status", display.status_html)
register.simple_tag(display.badge_html, name="badge")
