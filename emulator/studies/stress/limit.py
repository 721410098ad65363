"""A run that may take only so many CPU seconds: whoever plans for ever does not end a study."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

IDLE_S: float = 60.0
"""Seconds of wall clock in which a run that does nothing is given up: it waits for what does not come."""
_NOTHING: Final = 0.001
"""Of that time, what a busy machine leaves to the thread of the run if it has something to do, and more than it takes
asleep."""
_LITTLE: Final = 0.05
"""The same of all other threads: those of Ray take 0.003 while nothing happens, and 0.001 once it was shut down."""


class TooSlow(BaseException):
    """Raised within a run whose time is up; no planner that catches every `Exception` catches it."""


@contextmanager
def limited(cpu_s: float) -> Iterator[None]:
    """Raise `TooSlow`, with the reason, in this thread once the process has used so many CPU seconds more, or sleeps.

    Signals reach a process's first thread only: in any other, and where there is no such timer, nothing is limited.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen_s, all_s = time.thread_time(), time.process_time()

    def late(number: int, frame: FrameType | None) -> None:
        raise TooSlow(f"it took more than {cpu_s:g} CPU seconds")

    def look(number: int, frame: FrameType | None) -> None:
        nonlocal seen_s, all_s
        before_s, seen_s = seen_s, time.thread_time()
        all_before_s, all_s = all_s, time.process_time()
        own_s = seen_s - before_s
        if own_s < _NOTHING * IDLE_S and all_s - all_before_s - own_s < _LITTLE * IDLE_S:
            raise TooSlow(f"it did nothing for {IDLE_S:g} seconds")

    before = [(each, signal.signal(each, heard)) for each, heard in ((signal.SIGPROF, late), (signal.SIGALRM, look))]
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    signal.setitimer(signal.ITIMER_REAL, IDLE_S, IDLE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in before:
            signal.signal(number, handler)
