"""From a foreign callable or task to a registered job and its parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from scheduling.jobs import Job, registry


class Refused(ValueError):
    """There can be no schedule; the message says why."""


def job_for(name: str, mapping: Mapping[str, str]) -> Job:
    """Return the job that a callable ("module:function") or task ("module.function") is to become.

    That is the one named by `mapping`, else the one whose function it is, else the one of the same name; raises
    `Refused`.
    """
    if name in mapping:
        if mapping[name] not in registry:
            raise Refused(
                _("there is no job “%(job)s”; the registered ones are %(known)s")
                % {"job": mapping[name], "known": ", ".join(sorted(registry.names()))}
            )
        return registry.get(mapping[name])
    for definition in registry:
        function = f"{definition.function.__module__}.{definition.function.__qualname__}"
        if name.replace(":", ".") in (function, definition.name):
            return definition
    raise Refused(
        _("no registered job is “%(name)s”; register it with @job, or name one: --map %(name)s=JOB") % {"name": name}
    )


def parameters(definition: Job, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job's parameters from a call's arguments: those by position are its form's fields in order."""
    names = list(definition.form.base_fields)
    if len(args) > len(names):
        raise Refused(
            _("it is called with %(count)d arguments; the job “%(job)s” has %(known)d parameters")
            % {"count": len(args), "job": definition.name, "known": len(names)}
        )
    return {**dict(zip(names, args, strict=False)), **kwargs}
