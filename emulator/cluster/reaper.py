"""A small process that outlives a driver, and ends what its private Ray has left: run by path.

It waits for its standard input to end. Then whatever bears the mark of that Ray in its environment is killed: at once
if the driver was, after a while if it ended in order and said so. Ray's own processes follow a dead driver for the
most part, but two helpers of the raylet wait for minutes, now and then even after Ray was shut down while it started.
It imports nothing of ours, so that it starts in no time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

MARK = "LAYERLIFT_PRIVATE_RAY"
DONE = b"done"
_GRACE_S = 1.0
_GRACE_IN_ORDER_S = 5.0
_PATIENCE_S = 30.0


def main(mark: str) -> None:
    """Wait for the driver, and end what is left of a Ray that it did not end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it is the driver that is to hear them
    if not sys.stdin.buffer.read().endswith(DONE):
        time.sleep(_GRACE_S)
    elif os.fork():  # the driver waits for this process, but need not for the other
        return
    else:
        ends = time.monotonic() + _GRACE_IN_ORDER_S
        while time.monotonic() < ends and marked(mark):
            time.sleep(0.2)
    ends = time.monotonic() + _PATIENCE_S
    while time.monotonic() < ends and (left := marked(mark)):
        for process in left:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.2)


def marked(mark: str) -> list[int]:
    """Processes that bear a mark in their environment, but for this one."""
    wanted, found = f"{MARK}={mark}".encode(), []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as environ:
                if wanted in environ.read().split(b"\0"):
                    found.append(int(name))
    return found


if __name__ == "__main__":
    main(sys.argv[1])
