"""A small process that outlives a driver, and ends what its private Ray has left: run by path.

It waits for its standard input to end. Then whatever bears the mark of that Ray in its environment is killed: at once
if the driver was, after a while if it ended in order and said so. Ray's own processes follow a dead driver for the
most part, but two helpers of the raylet wait for minutes, now and then even after Ray was shut down while it started.
These write their title over their environment, the mark now and then included, so that what bears the mark while Ray
starts is remembered. It imports nothing of ours, so that it starts in no time.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time

MARK = "LAYERLIFT_PRIVATE_RAY"
DONE = b"done"
_GRACE_S = 1.0
_GRACE_IN_ORDER_S = 5.0
_PATIENCE_S = 30.0
_STARTING_S = 60.0
"""How long marked processes are looked for while the driver lives: what comes later bears the mark to its end."""
_LOOK_S = 0.25
Known = dict[int, str]
"""When processes began, by number: a number may be given again."""


def main(mark: str) -> None:
    """Wait for the driver, and end what is left of a Ray that it did not end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it is the driver that is to hear them
    known: Known = {}
    if not _heard(mark, known).endswith(DONE):
        time.sleep(_GRACE_S)
    elif os.fork():  # the driver waits for this process, but need not for the other
        return
    else:
        ends = time.monotonic() + _GRACE_IN_ORDER_S
        while time.monotonic() < ends and _left(mark, known):
            time.sleep(0.2)
    ends = time.monotonic() + _PATIENCE_S
    while time.monotonic() < ends and (left := _left(mark, known)):
        for process in left:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.2)


def _heard(mark: str, known: Known) -> bytes:
    """What the driver says until it ends; processes that bear the mark meanwhile become known."""
    said, ends = b"", time.monotonic() + _STARTING_S
    while True:
        starting = time.monotonic() < ends
        if select.select([0], [], [], _LOOK_S if starting else None)[0]:
            if not (some := os.read(0, 4096)):
                return said
            said += some
        if starting:
            known.update({process: _begun(process) for process in marked(mark) if process not in known})


def _left(mark: str, known: Known) -> set[int]:
    """Processes that bear the mark, or once did."""
    return {*marked(mark), *(process for process, begun in known.items() if begun and _begun(process) == begun)}


def _begun(process: int) -> str:
    """When a process began, in ticks; nothing for one that has ended."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


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
