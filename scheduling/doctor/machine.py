"""Examinations of the machine and the settings: disk, time zone data, executors, Django's system checks."""

from __future__ import annotations

import importlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from datetime import datetime
from importlib import metadata
from pathlib import Path
from zoneinfo import TZPATH

from django.conf import settings
from django.core import checks
from django.utils.translation import gettext as _

from scheduling import database
from scheduling.doctor.findings import Finding, error, examination, warning
from scheduling.jobs import registry
from scheduling.zones import zone_names

LITTLE_SPACE_MB = 500
NO_SPACE_MB = 50
ZONE_DATA_YEARS = 2
"""Zone data older than this many years has missed changes; several countries change their rules each year."""


@examination
def disk(now: datetime) -> Iterator[Finding]:
    """Find folders that are nearly full: the database's, if it is a file, and the one for temporary files."""
    folders = {Path(tempfile.gettempdir())}
    if (folder := database.folder()) is not None:
        folders.add(folder)
    for path in sorted(folders):
        free = shutil.disk_usage(path).free // 1_000_000
        if free < LITTLE_SPACE_MB:
            make = error if free < NO_SPACE_MB else warning
            yield make(
                "doctor.E060" if free < NO_SPACE_MB else "doctor.W061",
                _("%(path)s has %(free)d MB free.") % {"path": path, "free": free},
                _("Make room. Housekeeping keeps less with lower NEWSS_KEEP_… settings."),
            )


@examination
def zone_data(now: datetime) -> Iterator[Finding]:
    """Find that there is no data of time zones, or that it is old."""
    if settings.TIME_ZONE not in zone_names():
        yield error(
            "doctor.E062",
            _("There is no data for the time zone %(zone)s.") % {"zone": settings.TIME_ZONE},
            "pip install --upgrade tzdata",
        )
    version = zone_data_version()
    if version is None:
        yield warning("doctor.W063", _("The age of the time zone data is unknown."), "pip install --upgrade tzdata")
    elif int(version[:4]) < now.year - ZONE_DATA_YEARS:
        yield warning(
            "doctor.W064",
            _("The time zone data is of version %(version)s.") % {"version": version},
            _("Upgrade the system's package tzdata; where the system has none: pip install --upgrade tzdata"),
        )


def zone_data_version() -> str | None:
    """Return the version of the zone data that `zoneinfo` uses, e.g. "2026b": the system's first, else PyPI's."""
    for folder in TZPATH:
        source = Path(folder) / "tzdata.zi"
        if source.is_file():
            with source.open() as lines:
                match = re.match(r"# version (\d{4}\w*)", next(lines, ""))
            return match[1] if match else None
        if (Path(folder) / "UTC").exists():
            # Zones without the file that tells their version: FreeBSD's and Alpine's, for instance.
            return None
    try:
        version = metadata.version("tzdata")
    except metadata.PackageNotFoundError:
        return None
    year, _dot, release = version.partition(".")
    return f"{year}{chr(ord('a') + int(release) - 1)}" if release.isdigit() else version


@examination
def executors(now: datetime) -> Iterator[Finding]:
    """Find modules that jobs want in every child process and that cannot be imported."""
    for name in registry.preload():
        try:
            importlib.import_module(name)
        except ImportError as failure:
            yield error(
                "doctor.E065",
                _("A job needs the module %(name)s, which cannot be imported: %(error)s")
                % {"name": name, "error": failure},
                "pip install -r requirements.txt -c constraints.txt",
            )


@examination
def system_checks(now: datetime) -> Iterator[Finding]:
    """Pass on what Django's system checks say of the settings, ours among them."""
    for message in checks.run_checks():
        if message.is_silenced() or message.level < checks.WARNING:
            continue
        make, id_ = (error, "doctor.E066") if message.level >= checks.ERROR else (warning, "doctor.W067")
        yield make(id_, f"{message.id}: {message.msg}", message.hint or _("See Django's documentation of this check."))
