"""A crontab file, of a user or of the system, becomes schedules of the job `run_command`.

The meaning of lines is that of crontab(5): comments, assignments that hold for the lines below, `@daily` and its like,
`%` as line break with the standard input behind the first, `CRON_TZ` as in cronie.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.utils.translation import gettext as _

from scheduling.imports.lines import Line
from scheduling.imports.mapping import Refused
from scheduling.models import TriggerKind

ASSIGNMENT = re.compile(r"""\s*("[^"]*"|'[^']*'|[A-Za-z_]\w*)\s*=\s*(.*?)\s*$""")
FIELDS = 5
NICKNAMES = {"@annually": "@yearly", "@midnight": "@daily"}
SHELL_SIGNS = set("|&;<>()$`*?[]#~{}!\n\\")
"""What only a shell understands; quotes and blanks are understood without one."""
CRON_NAMES = ("MAILTO", "MAILFROM", "CONTENT_TYPE", "CONTENT_TRANSFER_ENCODING", "CRON_TZ", "RANDOM_DELAY", "SHELL")
"""Variables that speak to cron, not to the command."""
DEFAULT_SHELL = "/bin/sh"
BUILT_IN = {".", ":", "cd", "eval", "exec", "exit", "export", "set", "source", "trap", "umask", "unset", "wait"}
"""Words that are no programs but the shell's own."""


@dataclass
class Crontab:
    """How a file is read: by which name it goes, in which zone lines without CRON_TZ are, whether lines name users."""

    name: str
    zone: str
    system: bool = False
    user: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    def lines(self, text: str) -> Iterator[Line]:
        """Yield what becomes of each line that is a job, and of what cannot be read."""
        for number, raw in enumerate(text.split("\n"), start=1):
            stripped = raw.strip()
            if not stripped or stripped.startswith("#"):
                continue
            if (assignment := ASSIGNMENT.match(raw)) and not _begins_like_a_job(stripped):
                self.environment[_unquoted(assignment[1])] = _unquoted(assignment[2])
                continue
            line = Line(_("line %(number)d") % {"number": number}, stripped)
            try:
                line.values = self._values(stripped, number, line.notes)
            except Refused as refusal:
                line.refused = str(refusal)
            yield line

    def _values(self, text: str, number: int, notes: list[str]) -> dict[str, object]:
        expression, rest = _split_expression(text)
        if self.system:
            # Debian's own /etc/crontab parts the two by a tab.
            user, *rests = rest.split(maxsplit=1)
            if not rests:
                raise Refused(_("a line of a system crontab names a user before the command"))
            rest = rests[0]
            if user != self.user:
                notes.append(
                    _("ran as %(user)s; here it runs as %(me)s, the scheduler's user") % {"user": user, "me": self.user}
                )
        command, stdin = split_percent(rest.strip())
        if not command:
            raise Refused(_("there is no command"))
        if "MAILTO" in self.environment:
            notes.append(_("MAILTO is not used: output is the run's log, alerts tell of failures"))
        if "RANDOM_DELAY" in self.environment:
            notes.append(_("RANDOM_DELAY is not used: give the schedule a jitter"))
        environment = {name: value for name, value in self.environment.items() if name not in CRON_NAMES}
        return {
            "name": f"{self.name}:{number} {command}"[:200],
            "description": _("From %(file)s, line %(number)d:\n%(line)s")
            % {"file": self.name, "number": number, "line": text},
            "trigger_kind": TriggerKind.CRONTAB,
            "crontab": expression,
            "timezone": self.environment.get("CRON_TZ") or self.zone,
            "job": "run_command",
            "parameters": {
                **_by_shell(command, self.environment.get("SHELL", DEFAULT_SHELL)),
                "directory": environment.get("HOME", ""),
                "environment": environment,
                "stdin": stdin,
            },
        }


def split_percent(text: str) -> tuple[str, str]:
    r"""Return command and standard input: the first `%` divides them, others are line breaks, `\%` is a percent."""
    pieces = [piece.replace(r"\%", "%") for piece in re.split(r"(?<!\\)%", text)]
    stdin = "\n".join(pieces[1:])
    return pieces[0].strip(), f"{stdin}\n" if len(pieces) > 1 else ""


def _split_expression(text: str) -> tuple[str, str]:
    if text.startswith("@"):
        nickname, _blank, rest = text.replace("\t", " ").partition(" ")
        if nickname.lower() == "@reboot":
            raise Refused(_("@reboot is no time; let the machine's service manager start it"))
        return NICKNAMES.get(nickname.lower(), nickname.lower()), rest.strip()
    pieces = text.split(maxsplit=FIELDS)
    if len(pieces) <= FIELDS:
        raise Refused(_("it has no five fields and a command"))
    return " ".join(pieces[:FIELDS]), pieces[FIELDS]


def _begins_like_a_job(text: str) -> bool:
    """Tell lines such as `0 5 * * * A=1 command` from assignments."""
    return text[0] in "@*" or text[0].isdigit()


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _by_shell(command: str, shell: str) -> dict[str, object]:
    """Return how a command is executed: directly where that is the same, else by /bin/sh or what SHELL names."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    needs_shell = not words or bool(SHELL_SIGNS & set(command)) or "=" in words[0] or words[0] in BUILT_IN
    if needs_shell and shell != DEFAULT_SHELL:
        return {"command": shlex.join([shell, "-c", command]), "shell": False}
    return {"command": command, "shell": needs_shell}
