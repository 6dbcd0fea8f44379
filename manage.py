#!/usr/bin/env python
"""The command line of NEWSS; `python manage.py help` lists the commands."""

import os
import sys

PIPE_CLOSED = 128 + 13
"""The exit code of a program that wrote to what nobody reads any more, as shells tell it (SIGPIPE)."""


def main() -> None:
    """Run one management command; a wrong setting ends it with one line and exit code 2."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "newss_project.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
        sys.stdout.flush()
    except ImproperlyConfigured as error:
        sys.exit(f"newss: {error}")
    except BrokenPipeError:
        # Whoever reads has enough (head, say). What is still to be written goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(PIPE_CLOSED)


if __name__ == "__main__":
    main()
