#!/usr/bin/env python
"""The command line of NEWSS; `python manage.py help` lists the commands."""

import os
import sys


def main() -> None:
    """Run one management command; a wrong setting ends it with one line and exit code 2."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "newss_project.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"newss: {error}")


if __name__ == "__main__":
    main()
