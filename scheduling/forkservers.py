"""A forkserver without its seconds of imports: forked from a process that has imported all that its children need.

`multiprocessing` starts a forkserver as a fresh interpreter, also in a process that was itself forked from one. Here a
process stands ready and becomes the forkserver when one is asked for: it executes the same command, with the same
descriptors under the same numbers. `executors/child.py` calls it for the runs of jobs that start processes of their
own; the tests do for their schedulers.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Callable, Sequence
from multiprocessing import util
from typing import Any, cast

HIGH = 500
"""Descriptors from here on are free in a process that has just begun."""


def stand_ready() -> Callable[[], None]:
    """Fork the process that becomes the first forkserver of this one; call it before there is a thread or a connection.

    Returns the function that lets it end, if it was not needed; it also ends when this process has. A few milliseconds.
    """
    asks, hears = socket.socketpair()
    if (pid := os.fork()) == 0:
        asks.close()
        try:
            _become(hears)
        finally:
            os._exit(0)
    hears.close()
    afresh: Any = util.spawnv_passfds

    def start(path: str, arguments: Sequence[str], descriptors: Sequence[int]) -> Any:
        command = arguments[-1]
        if "multiprocessing.forkserver" not in command:
            return afresh(path, arguments, descriptors)
        # The next one, should this one die, is started afresh.
        util.spawnv_passfds = afresh
        with asks:
            try:
                socket.send_fds(asks, [json.dumps([*descriptors, command]).encode()], descriptors)
            except OSError:
                # Whoever stood ready has been killed.
                return afresh(path, arguments, descriptors)
        return pid

    def dismiss() -> None:
        if asks.fileno() != -1:
            asks.close()
            os.waitpid(pid, 0)

    util.spawnv_passfds = cast(Any, start)
    return dismiss


def _become(hears: socket.socket) -> None:
    """Wait for a command and execute it with the descriptors that came along."""
    message, received, _flags, _address = socket.recv_fds(hears, 65_536, 8)
    if not message:
        return
    *numbers, command = json.loads(message)
    # A number may be taken here by what was received for another.
    kept = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, HIGH) for descriptor in received]
    hears.close()
    for descriptor in received:
        os.close(descriptor)
    for descriptor, number in zip(kept, numbers, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    exec(command, {})  # noqa: S102  the command of multiprocessing, from the process that forked this one
