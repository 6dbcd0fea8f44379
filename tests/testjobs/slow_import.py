"""A module that a job wants preloaded: its import waits for a file, where a test names one."""

import os
import time
from pathlib import Path

if name := os.environ.get("NEWSS_TEST_IMPORT_WAITS_FOR"):
    deadline = time.monotonic() + 120
    while not Path(name).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
