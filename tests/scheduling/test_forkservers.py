"""A process that stands ready to become a forkserver: what becomes of it when it is not there, or not needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.anydb

BEGIN = """
import multiprocessing, os, signal, sys
from scheduling.forkservers import stand_ready

def fork():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([])
    process = context.Process(target=os._exit, args=(7,))
    process.start()
    process.join()
    return process.exitcode

dismiss = stand_ready()
ready = int(open(f"/proc/self/task/{os.getpid()}/children").read())
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", BEGIN + code], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip() or done.stderr


def test_the_process_that_stands_ready_becomes_the_forkserver() -> None:
    code = "print(fork(), multiprocessing.forkserver._forkserver._forkserver_pid == ready)"
    assert run("import multiprocessing.forkserver\n" + code) == "7 True"


def test_where_it_was_killed_one_begins_afresh() -> None:
    assert run("os.kill(ready, signal.SIGKILL)\nprint(fork())") == "7"


def test_one_that_is_dismissed_is_gone() -> None:
    assert run("dismiss()\nprint(os.path.exists(f'/proc/{ready}'))") == "False"


def test_to_dismiss_one_that_became_the_forkserver_does_nothing() -> None:
    assert run("fork()\ndismiss()\nprint(fork())") == "7"
