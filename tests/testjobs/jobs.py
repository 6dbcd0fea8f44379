"""Jobs that tests schedule: each shows one way in which a job may behave."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from django import forms

from scheduling.jobs import JobError, JobForm, JobResult, RunContext, job


class SleepForm(JobForm):
    seconds = forms.FloatField(min_value=0, initial=0.0)


class TextForm(JobForm):
    text = forms.CharField(required=False, initial="")


@job("noop", label="Nothing", preload=("tests.testjobs.slow_import",))
def noop(context: RunContext) -> JobResult:
    return JobResult("Done.", summary={"done": 1})


@job("sleep", label="Sleep", form=SleepForm)
def sleep(context: RunContext, seconds: float) -> JobResult:
    context.log("going to sleep")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        context.progress(round((seconds - (end - time.monotonic())) * 10), round(seconds * 10), "sleeping")
        context.check_cancelled()
        context.wait(0.05)
    return JobResult("Slept well.")


@job("echo", label="Echo", form=TextForm)
def echo(context: RunContext, text: str) -> JobResult:
    context.log(text)
    return JobResult(text)


@job("refuse", label="Refuse")
def refuse(context: RunContext) -> JobResult:
    raise JobError("The coffee is out.")


@job("refuse_for_good", label="Refuse for good")
def refuse_for_good(context: RunContext) -> JobResult:
    raise JobError("There is no such coffee.", retry=False)


@job("raise", label="Raise")
def raise_error(context: RunContext) -> JobResult:
    raise LookupError("no such thing")


@job("half", label="Half")
def half(context: RunContext) -> JobResult:
    return JobResult("1 of 2 failed.", partial=True, summary={"failed": 1})


@job("crash", label="Crash")
def crash(context: RunContext) -> JobResult:
    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError("unreachable")


class EatForm(JobForm):
    megabytes = forms.IntegerField()
    at_once = forms.BooleanField(required=False, initial=False)


@job("eat", label="Eat memory", form=EatForm)
def eat(context: RunContext, megabytes: int, at_once: bool) -> JobResult:
    """Take so much memory and hold it for a while, bit by bit or at once."""
    context.log("begins to eat")
    piece = megabytes if at_once else 5
    eaten = []
    for _ in range(megabytes // piece):
        eaten.append(b"x" * (piece << 20))
        context.wait(0.02)
    context.wait(0.5)
    return JobResult(f"Held {sum(map(len, eaten)) >> 20} MB.")


@job("exit", label="Exit")
def leave(context: RunContext) -> JobResult:
    raise SystemExit(3)


@job("stubborn", label="Stubborn")
def stubborn(context: RunContext) -> JobResult:
    """Ignore every request to stop, and keep processes of its own, one of them in another session."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    children = [subprocess.Popen(["sleep", "600"], start_new_session=apart) for apart in (False, True)]
    context.log(f"children {' '.join(str(child.pid) for child in children)}")
    time.sleep(600)
    return JobResult()


@job("idle", label="Idle")
def idle(context: RunContext) -> JobResult:
    return JobResult("Nothing due.", nothing_due=True)


@job("nest", label="Nest", starts_processes=True)
def nest(context: RunContext) -> JobResult:
    """Start a process, and tell whether everything was imported there."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("forkserver")) as pool:
        return JobResult("Imported." if pool.submit(_has_all_imported).result() else "Begun afresh.")


def _has_all_imported() -> bool:
    return "scheduling.preload" in sys.modules
