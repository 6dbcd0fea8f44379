"""Template tags for moments, durations and statuses; they only call `scheduling.display`."""

from __future__ import annotations

from django import template

from scheduling import display

register = template.Library()

register.filter("moment", display.moment_html)
register.filter("clock", display.clock_html)
register.filter("duration", display.duration_words)
register.filter("seconds_words", display.seconds_words)
register.filter("run_status", display.status_html)
register.simple_tag(display.badge_html, name="badge")
