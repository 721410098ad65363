"""A run that may take only so many CPU seconds: whoever plans for ever does not end a study."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TooSlow(BaseException):
    """Raised within a run whose time is up; no planner that catches every `Exception` catches it."""


@contextmanager
def limited(cpu_s: float) -> Iterator[None]:
    """Raise `TooSlow` in this thread once the process has used so many CPU seconds more.

    Signals reach a process's first thread only: in any other, and where there is no such timer, nothing is limited.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGPROF, _late)
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)


def _late(number: int, frame: FrameType | None) -> None:
    raise TooSlow
