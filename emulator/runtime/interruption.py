"""Ctrl-C: a run stops between two windows, where its tables say the same of everybody, and tells what is in them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Final, Literal

BY_THE_USER: Final = "interrupted by the user"


class Interruptions:
    """Decides when a Ctrl-C stops a run; for the length of a `with` block, in a program's main thread.

    At first it is felt at once. Inside `deferred` it waits for the next `point`, unless a second one insists. Once it
    has been felt no other is, so that what has to be put away can be. Elsewhere, and where somebody else handles the
    signal, nothing is changed.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._state: Literal["open", "deferred", "asked", "felt"] = "open"
        self._before: Any = None

    def __enter__(self) -> Interruptions:
        here = threading.current_thread() is threading.main_thread()
        if here and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._asked)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let a Ctrl-C wait for a `point`; one that comes after the last of them is not felt."""
        self._state = "deferred"
        try:
            yield
        finally:
            self._state = "felt"

    @contextmanager
    def point(self) -> Iterator[None]:
        """A moment inside `deferred` at which a Ctrl-C may be felt: one that waits, or one that comes now."""
        if self._state == "asked":
            self._feel()
        before, self._state = self._state, "open"
        yield
        self._state = before

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self._state == "deferred":
            self._state = "asked"
            self._say("Stopping after this step; Ctrl-C again stops at once")
        elif self._state != "felt":
            self._feel()

    def _feel(self) -> None:
        self._state = "felt"
        raise KeyboardInterrupt


@contextmanager
def afterwards() -> Iterator[None]:
    """Let a Ctrl-C wait until the block is done: for what would be left half made. Only in the main thread."""
    asked: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    signal.signal(signal.SIGINT, lambda number, _: asked.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if asked:
        signal.raise_signal(signal.SIGINT)
