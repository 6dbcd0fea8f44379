"""Jobs that tests schedule: each shows one way in which a job may behave."""

from __future__ import annotations

import os
import signal
import subprocess
import time

from django import forms

from scheduling.jobs import JobError, JobForm, JobResult, RunContext, job


class SleepForm(JobForm):
    seconds = forms.FloatField(min_value=0, initial=0.0)


class TextForm(JobForm):
    text = forms.CharField(required=False, initial="")


@job("noop", label="Nothing")
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


@job("stubborn", label="Stubborn")
def stubborn(context: RunContext) -> JobResult:
    """Ignore every request to stop, and keep a process of its own."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "600"])
    context.log(f"child {child.pid}")
    time.sleep(600)
    return JobResult()
