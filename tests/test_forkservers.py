"""A forkserver that stood ready has imported what its parent had; there is one only, and it ends with its parent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.scheduling.conftest import lives, wait_until

pytestmark = pytest.mark.anydb

BEGIN = """
import os, fractions  # what no forkserver imports by itself
from multiprocessing import forkserver, get_context
import psutil
from tests.forkservers import stand_ready

stand_ready()
"""
ASK = """
def ask():
    code = "import sys; print('fractions' in sys.modules, flush=True)"
    child = get_context("forkserver").Process(target=exec, args=(code,))
    child.start()
    child.join()

ask()
"""
KILL = """
pid = forkserver._forkserver._forkserver_pid
os.kill(pid, 9)
os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
ask()
"""


def printed(*code: str) -> list[str]:
    command = [sys.executable, "-c", "".join(code)]
    root = Path(__file__).resolve().parents[1]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.split()


def test_its_children_find_imported_what_its_parent_had_imported() -> None:
    assert printed(BEGIN, ASK) == ["True"]


def test_when_it_dies_the_next_one_is_started_afresh() -> None:
    assert printed(BEGIN, ASK, KILL) == ["True", "False"]


def test_one_that_nobody_asks_for_ends_with_its_parent() -> None:
    (pid,) = printed(BEGIN, "print(psutil.Process().children()[0].pid)")
    wait_until(lambda: not psutil.pid_exists(int(pid)) or not lives(psutil.Process(int(pid))), what="its end")
