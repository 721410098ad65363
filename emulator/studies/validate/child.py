"""The child's end of its talk with the study: frames on standard input and output; it ends when its parent does."""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from layerlift.models.errors import sentence, words_of
from layerlift.models.loading import frames

MOST_BYTES = 1 << 40
"""Of what the parent sends: it is believed."""
Answer = Callable[[Mapping[str, Any], list[np.ndarray]], Mapping[str, Any] | None]


class Control:
    """Reads requests from standard input. Whatever else is printed goes nowhere."""

    def __init__(self) -> None:
        self._sink = os.dup(1)
        self._lock = threading.Lock()
        os.dup2(2, 1)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def tell(self, head: Mapping[str, Any]) -> None:
        """Answer the parent; without one, end."""
        left = memoryview(frames.pack(head))
        with self._lock:
            try:
                while left:
                    left = left[os.write(self._sink, left) :]
            except OSError:
                os._exit(1)

    def fail(self, error: BaseException) -> None:
        """Tell the parent what went wrong, and end: whatever thread it went wrong in."""
        self.tell({"error": sentence(words_of(error))})
        os._exit(1)

    def serve(self, answer: Answer) -> None:
        """Answer requests; None means that the answer comes later. Ends the process with the parent's end."""
        while True:
            try:
                head, blobs = frames.unpack(lambda room: os.readv(0, [room]), MOST_BYTES)
            except (EOFError, OSError, frames.FrameError):
                os._exit(0)
            told = answer(head, blobs)
            if told is not None:
                self.tell(told)


def live(main: Callable[[Control], Answer]) -> None:
    """Be a child: `main` gives what answers requests. The process never outlives its parent."""
    control = Control()
    # Ctrl-C and the like are for whoever asked; this one ends when its standard input does.
    try:
        control.serve(main(control))
    except Exception as error:
        control.fail(error)


def end_after(seconds: float) -> None:
    """End this process after so many seconds, whatever it waits for then."""

    def wait() -> None:
        time.sleep(seconds)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
