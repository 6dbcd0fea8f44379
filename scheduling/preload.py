"""Imported once by the forkserver, the parent of all child processes, so that a child starts in milliseconds.

The forkserver swallows an ImportError; what went wrong is kept in `FAILED` and told by the first child. This process
must own no thread and no database connection: children forked from it would hang.
"""

import gc
import importlib
import signal

import django

# Process managers (honcho, systemd) send SIGTERM to the whole group. The forkserver must outlive its children, since
# it alone can tell how they ended; it ends by itself when the scheduler and all children are gone.
signal.signal(signal.SIGTERM, signal.SIG_IGN)

FAILED: dict[str, str] = {}

django.setup()

from scheduling.jobs import registry  # noqa: E402  needs the apps

for _name in registry.preload():
    try:
        importlib.import_module(_name)
    except ImportError as _error:
        FAILED[_name] = str(_error)

# What was imported stays: no child's garbage collector is to look through it, which would also copy its memory.
gc.collect()
gc.freeze()
