"""A forkserver without its seconds of imports: forked from a process that has imported all that its children need.

`multiprocessing` starts a forkserver as a fresh interpreter. That costs a processor two seconds for each scheduler
that a test starts, more than most of these tests take. Here a process stands ready and becomes the forkserver when
one is asked for: it executes the same command, with the same descriptors under the same numbers. (The schedulers of
the demo and of `make chaos` start theirs afresh.)
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Sequence
from multiprocessing import util

HIGH = 500
"""Descriptors from here on are free in a process that has just begun."""


def stand_ready() -> None:
    """Fork the process that becomes the first forkserver of this one; call it while nothing is open yet.

    It ends when this process has ended without asking for a forkserver.
    """
    asks, hears = socket.socketpair()
    if (pid := os.fork()) == 0:
        asks.close()
        try:
            _become(hears)
        finally:
            os._exit(0)
    hears.close()
    afresh = util.spawnv_passfds

    def start(path: str, arguments: Sequence[str], descriptors: Sequence[int]) -> int:
        command = arguments[-1]
        if "multiprocessing.forkserver" not in command:
            return afresh(path, arguments, descriptors)
        # The next one, should this one die, and those of runs that start their own, are started afresh.
        util.spawnv_passfds = afresh
        socket.send_fds(asks, [json.dumps([*descriptors, command]).encode()], descriptors)
        asks.close()
        return pid

    util.spawnv_passfds = start


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
    exec(command, {})
