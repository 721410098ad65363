"""Who writes a run: a small file beside run.json while somebody does, so that a reader knows when nobody does any more.

The file names the process, its machine and when it began; its modification time is the last sign of life. It is
removed at the end of a run, so that one that is there when the process is gone means: killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from layerlift.models.files import read_regular

HEARTBEAT_FILE: Final = ".writing"
RESERVE_FILE: Final = ".reserve"
SILENT_S: Final = 60.0
"""A process of another machine that has not written for so long (seconds) is taken for dead."""
_RESERVE_BYTES: Final = 65_536
_MOST_BYTES: Final = 4096
"""What `HEARTBEAT_FILE` may hold; it comes from a stranger like the rest of a run."""


class Writer(NamedTuple):
    """Who writes a run, or did."""

    alive: bool
    words: str
    """Which process it is, and when it was last heard of; of one whose file is gone: that nobody is known."""


def begin(directory: Path, record_bytes: int) -> None:
    """Say that this process writes the run in `directory`, and set aside what its last `record_bytes` need on a disk
    that fills up. Raises `OSError`.
    """
    told = {"process": os.getpid(), "began": _began(os.getpid()), "machine": _machine()}
    (directory / HEARTBEAT_FILE).write_text(json.dumps(told) + "\n", encoding="utf-8")
    with (directory / RESERVE_FILE).open("wb") as reserve:
        os.posix_fallocate(reserve.fileno(), 0, 2 * record_bytes + _RESERVE_BYTES)


def beat(directory: Path) -> None:
    """Give a sign of life."""
    with contextlib.suppress(OSError):
        os.utime(directory / HEARTBEAT_FILE)


def give_back(directory: Path) -> None:
    """Give back what was set aside."""
    with contextlib.suppress(OSError):
        (directory / RESERVE_FILE).unlink(missing_ok=True)


def end(directory: Path) -> None:
    """Say that nobody writes any more."""
    give_back(directory)
    with contextlib.suppress(OSError):
        (directory / HEARTBEAT_FILE).unlink(missing_ok=True)


def writer_of(directory: Path) -> Writer:
    """Who writes the run in `directory`; never raises, whatever the file holds."""
    file = directory / HEARTBEAT_FILE
    try:
        heard_s, told = file.stat().st_mtime, json.loads(read_regular(file, _MOST_BYTES))
        process, began, machine = int(told["process"]), str(told["began"]), str(told["machine"])[:80]
        last = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(heard_s))
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return Writer(False, "no process says that it writes here")
    host = "".join(c if c.isprintable() else "?" for c in machine.partition(" ")[0])
    if machine == _machine():
        alive = began == _began(process)
    else:
        alive = time.time() - heard_s < SILENT_S
    if alive:
        return Writer(True, f"process {process} on {host} writes here")
    return Writer(False, f"process {process} on {host} is no more, last heard of at {last}")


def _machine() -> str:
    """The name of the machine and of its space of processes: containers of one machine do not see each other's."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = "?"
    return f"{socket.gethostname()} {space}"


def _began(process: int) -> str:
    """When a process began, in ticks since the machine did: numbers of processes come again. Empty: there is none."""
    try:
        fields: list[Any] = (
            Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
        return "" if fields[0] in ("Z", "X") else str(fields[19])
    except (OSError, IndexError):
        return ""
