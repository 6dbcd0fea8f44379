"""`manage.py runapscheduler`: the scheduler process."""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import DatabaseError
from django.utils.translation import gettext as _

from scheduling.engine import Engine

logger = logging.getLogger("scheduling")


class Command(BaseCommand):
    """Fire schedules and execute runs until SIGTERM or Ctrl-C."""

    help = (
        "Fires schedules and executes runs. Start as many as you like: one works, the others stand by. "
        "SIGTERM or Ctrl-C ends it in order; a second one at once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument(
            "--grace",
            type=float,
            default=None,
            metavar="SECONDS",
            help="How long running runs may take to end at a stop (default: NEWSS_GRACE_SECONDS, 20).",
        )
        parser.add_argument(
            "--adopt",
            action="store_true",
            help="Make a database that was moved, renamed or restored this installation's own, and fire on it. Only "
            "when no scheduler works on the one that it came from.",
        )

    def handle(self, *args: Any, grace: float | None, adopt: bool, **options: Any) -> None:
        """Run the engine until told to stop."""
        if grace is not None and not 0 <= grace < math.inf:
            raise CommandError(_("--grace must be 0 or more seconds, got: %g") % grace)
        self._check_migrations()
        engine = Engine(grace, adopt=adopt)
        stops: list[int] = []

        def stop(number: int, _frame: Any) -> None:
            stops.append(number)
            if len(stops) > 1:
                # The second signal: the children's lifelines close with this process, and they end with it.
                os._exit(128 + number)
            engine.stop()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        engine.run()
        sys.stdout.flush()
        if any(thread.name.startswith("run") for thread in threading.enumerate()):
            # A job in a thread that does not end would keep the process alive; its run was handed back.
            logging.shutdown()
            os._exit(0)

    def _check_migrations(self) -> None:
        """Refuse to start on tables that are not there yet; a database that is away is the engine's to wait for."""
        try:
            executor = MigrationExecutor(connection)
            missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        except DatabaseError as error:
            logger.warning("The migrations cannot be checked now: %s", error)
            return
        if missing:
            raise CommandError(
                _("%(count)d migration(s) are not applied. Run: python manage.py migrate") % {"count": len(missing)}
            )
