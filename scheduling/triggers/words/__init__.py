"""Triggers in words, for lists and forms."""

from scheduling.triggers.words.combined import all_of_words, any_of_words, blackout_words, calendar_words
from scheduling.triggers.words.crontab import crontab_words
from scheduling.triggers.words.date import date_words
from scheduling.triggers.words.interval import UNITS, interval_words

__all__ = [
    "UNITS",
    "all_of_words",
    "any_of_words",
    "blackout_words",
    "calendar_words",
    "crontab_words",
    "date_words",
    "interval_words",
]
