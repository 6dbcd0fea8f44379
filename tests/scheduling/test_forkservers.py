"""A process that stands ready to become a forkserver: its children find imported what its parent had; and what becomes
of it when it is not there, or not needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.scheduling.conftest import lives, wait_until

pytestmark = pytest.mark.anydb

ROOT = Path(__file__).resolve().parents[2]

BEGIN = """
import fractions  # what no forkserver imports by itself
import multiprocessing, os, signal, sys
from multiprocessing import forkserver
from scheduling.forkservers import stand_ready

def fork():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([])
    code = "import os, sys; os._exit(7 if 'fractions' in sys.modules else 8)"
    process = context.Process(target=exec, args=(code,))
    process.start()
    process.join()
    return process.exitcode

def kill_the_forkserver():
    pid = forkserver._forkserver._forkserver_pid
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

dismiss = stand_ready()
ready = int(open(f"/proc/self/task/{os.getpid()}/children").read())
"""


def run(code: str) -> str:
    command = [sys.executable, "-c", BEGIN + code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip() or done.stderr


def test_its_children_find_imported_what_its_parent_had_imported() -> None:
    assert run("print(fork(), forkserver._forkserver._forkserver_pid == ready)") == "7 True"


def test_where_it_was_killed_before_one_begins_afresh() -> None:
    assert run("os.kill(ready, signal.SIGKILL)\nprint(fork())") == "8"


def test_when_it_dies_the_next_one_begins_afresh() -> None:
    assert run("print(fork())\nkill_the_forkserver()\nprint(fork())") == "7\n8"


def test_one_that_is_dismissed_is_gone() -> None:
    assert run("dismiss()\nprint(os.path.exists(f'/proc/{ready}'))") == "False"


def test_to_dismiss_one_that_became_the_forkserver_does_nothing() -> None:
    assert run("fork()\ndismiss()\nprint(fork())") == "7"


def test_one_that_nobody_asks_for_ends_with_its_parent() -> None:
    ready = int(run("print(ready)"))
    wait_until(lambda: not psutil.pid_exists(ready) or not lives(psutil.Process(ready)), what="its end")
