"""The process that opens a stranger's files: `python -P -m layerlift.models.loading.child`, started by `opener`.

It reads requests from its standard input and answers each on what was its standard output (see `frames`). A request has
a `kind` and what `answers` says under it; to let another question about a file be answered here, add a kind there. The
answer is `{"error": sentence}`, or what the kind says. An idle one ends by itself, so that none is left behind.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from layerlift.models.errors import LayerliftError, Undecided, sentence, words_of
from layerlift.models.loading import answers, frames

IDLE: Final = 75
"""How a process ends that nobody has asked anything for a while."""
IDLE_S: Final = 20.0
_GROWN_BYTES: Final = 512 << 20
"""One that has grown by so much answers, and ends: the system has its memory back."""


def serve(source: int, sink: int) -> int:
    """Answer requests from the file descriptor `source` until it ends; returns how the process ends."""
    before = _mapped_bytes()
    while True:
        poll = select.poll()
        poll.register(source, select.POLLIN)
        if not poll.poll(IDLE_S * 1000):
            return IDLE
        try:
            request, _ = frames.unpack(lambda room: os.readv(source, [room]), 0)
        except EOFError:
            return 0
        memory_spent = _answer(sink, request)
        if memory_spent or _mapped_bytes() - before > _GROWN_BYTES:
            return IDLE


def _answer(sink: int, request: Mapping[str, Any]) -> bool:
    """Answer one request; whether it took all the memory it might."""
    spent = False
    blobs: answers.Blobs = []
    _limit_time(float(request["seconds"]))
    limit_memory(int(request["memory_bytes"]))
    try:
        head, blobs = answers.KINDS[request["kind"]](request, limit_memory)
    except Undecided as error:
        head = {"undecided": {"what": error.what, "option": error.option, "example": error.example}}
    except LayerliftError as error:
        head = {"error": sentence(str(error))}
    except MemoryError:
        head, spent = {"exhausted": True}, True
    except Exception as error:
        # What fails here is what a file holds, in code that nobody foresaw would meet it: it is refused like the rest.
        head = {"error": sentence(f"{request['path']} is not a network that can be cut ({words_of(error)})")}
    limit_memory(None)
    with open(sink, "wb", closefd=False) as stream:
        stream.write(frames.pack(head, [len(blob) for blob in blobs]))
        for blob in blobs:
            stream.write(blob)
    return spent


def limit_memory(more_bytes: int | None) -> None:
    """Allow this process `more_bytes` beyond what it has mapped; None takes the limit away."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    most = resource.RLIM_INFINITY if more_bytes is None else _mapped_bytes() + more_bytes
    if hard != resource.RLIM_INFINITY:
        most = hard if most == resource.RLIM_INFINITY else min(most, hard)
    # Some systems know the limit and do not let it be set: there only time bounds what a file takes.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def _limit_time(seconds: float) -> None:
    """Allow this process `seconds` more of processor time; the system ends it after that."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    most = int(spent.ru_utime + spent.ru_stime + seconds) + 1
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (most, hard))


def _mapped_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        # Without /proc there is no such number; what an interpreter with its libraries maps is below this.
        return 2 << 30


def main() -> int:
    """Serve; what anybody else prints goes nowhere, for only answers may be on the way back."""
    sink = os.dup(1)
    os.dup2(2, 1)
    # A core file of a stranger's doing would be left in the working directory.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with open(sink, "wb", closefd=False) as stream:
        stream.write(frames.pack({"ready": True}))
    try:
        return serve(0, sink)
    except (BrokenPipeError, frames.FrameError):
        return 0


if __name__ == "__main__":
    sys.exit(main())
