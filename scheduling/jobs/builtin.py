"""Jobs that scheduling brings itself: `run_command`, off unless an installation sets `NEWSS_ALLOW_COMMANDS=on`.

Whoever may edit schedules can then execute programs as the scheduler's user; that is why it is a setting and no
permission.
"""

from __future__ import annotations

import multiprocessing
import os
import pwd
import shlex
import signal
import subprocess
import threading
import time
from typing import IO, Any

import psutil
from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from scheduling.jobs.context import RunContext
from scheduling.jobs.forms import JobForm
from scheduling.jobs.registry import JobError, JobResult, job

STOP_SECONDS = 5.0
"""Seconds between asking a cancelled command to stop and killing it; a child process of a run has 8 in all."""
POLL_SECONDS = 0.1
DRAIN_SECONDS = 2.0
"""How long output is still read once the command has ended: something it left behind may hold the pipe open."""
MOST_LINES = 10_000
"""Lines of output that a run keeps."""
LONGEST_LINE = 5_000
"""Characters of a line; longer ones are cut into several."""
OFF = gettext_lazy("Commands are switched off in this installation; NEWSS_ALLOW_COMMANDS=on switches them on.")


class CommandForm(JobForm):
    """The parameters of `run_command`."""

    command = forms.CharField(
        label=gettext_lazy("command"), help_text=gettext_lazy("A program and its arguments, quoted as in a shell.")
    )
    shell = forms.BooleanField(
        label=gettext_lazy("by a shell"),
        required=False,
        initial=False,
        help_text=gettext_lazy("Executed by /bin/sh -c: for pipes, redirections, variables and several commands."),
    )
    directory = forms.CharField(
        label=gettext_lazy("directory"),
        required=False,
        initial="",
        help_text=gettext_lazy("Where it is executed; empty: the home directory of the scheduler's user."),
    )
    environment = forms.JSONField(
        label=gettext_lazy("environment"),
        required=False,
        initial={},
        help_text=gettext_lazy("Variables as a JSON object, beside PATH, HOME, USER, SHELL, LANG and TZ."),
    )
    stdin = forms.CharField(
        label=gettext_lazy("standard input"), required=False, initial="", strip=False, widget=forms.Textarea
    )

    def clean_environment(self) -> dict[str, str]:
        """Refuse anything but an object of texts."""
        given = self.cleaned_data["environment"] or {}
        if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
            raise ValidationError(_('Give a JSON object of texts, e.g. {"LEVEL": "2"}.'))
        if wrong := [name for name in given if not name or "=" in name or "\0" in name]:
            raise ValidationError(_("No variable can be named %(names)s.") % {"names": ", ".join(map(repr, wrong))})
        return given

    def clean(self) -> dict[str, Any]:
        """Refuse a command that cannot be split without a shell, and everything while commands are switched off."""
        if not settings.NEWSS_ALLOW_COMMANDS:
            raise ValidationError(str(OFF))
        cleaned = self.cleaned_data
        if cleaned.get("command") and not cleaned.get("shell"):
            try:
                if not shlex.split(cleaned["command"]):
                    self.add_error("command", _("Name a program."))
            except ValueError as error:
                self.add_error("command", _("The quotes do not match: %(error)s") % {"error": error})
        return cleaned


def describe(parameters: dict[str, Any]) -> str:
    """Return in words what would be executed."""
    command = str(parameters.get("command", ""))
    return f"/bin/sh -c {shlex.quote(command)}" if parameters.get("shell") else command


@job("run_command", label=gettext_lazy("Run a command"), form=CommandForm, describe=describe)
def run_command(
    context: RunContext, *, command: str, shell: bool, directory: str, environment: dict[str, str], stdin: str
) -> JobResult:
    """Execute a program; its output becomes the run's log line by line, its exit code decides.

    1. It runs in the process group of the run's own child process, so that nothing of it outlives the run: a kill of
       the run, the end of the scheduler or the end of the run takes all that is left of the group.
    2. When the run is asked to stop, the program and all its children are: by SIGTERM, after 5 seconds by SIGKILL.
    3. It sees a small environment of its own: the scheduler's holds secrets.
    """
    if not settings.NEWSS_ALLOW_COMMANDS:
        raise JobError(str(OFF), retry=False)
    if multiprocessing.parent_process() is None:
        raise JobError(_("A command can only be run in a child process; choose the executor “processes”."), retry=False)
    arguments = ["/bin/sh", "-c", command] if shell else shlex.split(command)
    me = pwd.getpwuid(os.getuid())
    try:
        process = subprocess.Popen(  # noqa: S603  that is what it is for, once switched on
            arguments,
            cwd=directory or me.pw_dir,
            env=_environment(me) | environment,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except FileNotFoundError as error:
        raise JobError(_("There is no such program or directory: %(name)s") % {"name": error.filename}) from error
    except OSError as error:
        raise JobError(_("It cannot be executed: %(error)s") % {"error": error}) from error
    output = _Output(context, process.stdout)
    feeder = threading.Thread(target=_feed, args=(process, stdin), name="command-input", daemon=True)
    for thread in (output, feeder):
        thread.start()
    while process.poll() is None:
        if context.wait(POLL_SECONDS):
            _stop(process.pid)
            process.wait()
    output.join(DRAIN_SECONDS)
    context.check_cancelled()
    return _result(process.returncode, output)


class _Output(threading.Thread):
    """Reads what a command prints and logs it, at most `MOST_LINES` lines."""

    def __init__(self, context: RunContext, pipe: IO[str] | None) -> None:
        super().__init__(name="command-output", daemon=True)
        self._context = context
        self._pipe = pipe
        self.count = 0
        self.last = ""

    def run(self) -> None:
        """Read until the other end is closed, by the command and all that it left behind."""
        assert self._pipe is not None
        while piece := self._pipe.readline(LONGEST_LINE):
            text = piece.rstrip("\n")
            self.count += 1
            if self.count <= MOST_LINES:
                self._context.log(text)
            elif self.count == MOST_LINES + 1:
                self._context.log(_("What it printed further is not kept."))
            self.last = text or self.last


def _feed(process: subprocess.Popen[str], stdin: str) -> None:
    if process.stdin is None:
        return
    try:
        process.stdin.write(stdin)
        process.stdin.close()
    except BrokenPipeError:
        # It need not read what it is given.
        return


def _environment(me: pwd.struct_passwd) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TZ") if name in os.environ}
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        **kept,
        "HOME": me.pw_dir,
        "USER": me.pw_name,
        "LOGNAME": me.pw_name,
        "SHELL": "/bin/sh",
    }


def _stop(pid: int) -> None:
    """End a process and all below it, first kindly."""
    try:
        top = psutil.Process(pid)
        tree = [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    deadline = time.monotonic() + STOP_SECONDS
    for process in tree:
        _signal(process, signal.SIGTERM)
    _gone, alive = psutil.wait_procs(tree, timeout=max(0.0, deadline - time.monotonic()))
    for process in alive:
        _signal(process, signal.SIGKILL)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _result(code: int, output: _Output) -> JobResult:
    """Return the result of a command that ended by itself; raises `JobError` unless its exit code is 0."""
    if code == 0:
        return JobResult(_("Exit code 0."), summary={"exit_code": 0, "lines": output.count})
    if code < 0:
        how = _("It was killed by signal %(number)d (%(name)s).") % {
            "number": -code,
            "name": signal.Signals(-code).name if -code in set(signal.Signals) else "?",
        }
    else:
        how = _("Exit code %(code)d.") % {"code": code}
    last = " " + _("It last printed: %(line)s") % {"line": output.last[:200]} if output.last else ""
    raise JobError(f"{how}{last}")
