"""A database that is away: what to catch, and how to tell it in a line."""

from django.db import Error

DatabaseAway = Error
"""The base of Django's `DatabaseError` and `InterfaceError`: a connection may fail with either."""


def one_line(error: Exception) -> str:
    """Return an error's message in one line; PostgreSQL's have several."""
    return " ".join(str(error).split())
