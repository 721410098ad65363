"""Ctrl-C, SIGTERM and SIGHUP: a run stops between two windows, where its tables say the same of everybody.

Batch systems send SIGTERM, a terminal that is closed SIGHUP; all three end a run in the same way, and what was made is
kept. Whoever handles one of these signals already goes on handling it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Final, Literal

BY_THE_USER: Final = "interrupted by the user"
_REASONS: Final[dict[int, str]] = {
    signal.SIGINT: BY_THE_USER,
    signal.SIGTERM: "stopped by SIGTERM",
    signal.SIGHUP: "stopped by SIGHUP, as when a terminal is closed",
}
_MISSED: Final[list[Stopped]] = []
"""What came too late to stop a run that was ending; see `heed`."""
_AT_ONCE: Final = 2
"""So many signals in vain, and the next one ends the process."""


class Stopped(KeyboardInterrupt):
    """What ends a run early: a signal, or (`number` 0) something without which it cannot go on."""

    def __init__(self, number: int, reason: str = "") -> None:
        self.number, self.reason = number, reason or _REASONS[number]
        super().__init__(self.reason)

    @property
    def code(self) -> int:
        """The exit code of a program that ends for this."""
        return 128 + self.number if self.number else 2

    @classmethod
    def of(cls, error: BaseException) -> Stopped:
        """The same for a plain `KeyboardInterrupt`, which is Ctrl-C."""
        return error if isinstance(error, Stopped) else cls(signal.SIGINT)

    @classmethod
    def told(cls, run: Mapping[str, Any]) -> Stopped:
        """What ended a run that this process has just made, from its run.json."""
        return cls(int(run.get("signal", signal.SIGINT)))


class Interruptions:
    """Decides when a signal stops a run; for the length of a `with` block, in a program's main thread.

    At first it is felt at once. Inside `deferred` it waits for the next `point`, unless a second one insists. Once it
    has been felt no other is, so that what has to be put away can be. Elsewhere, and where somebody else handles the
    signal, nothing is changed.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._state: Literal["open", "deferred", "asked", "felt"] = "open"
        self._before: dict[int, Any] = {}
        self._why: Stopped | None = None
        self._raised = False
        self._in_vain = 0
        self._at_a_point = False
        self.waits_for: Callable[[], str] = lambda: "after this step"
        """When a run will stop that has been asked to, in words."""
        self.put_away: Callable[[Stopped], object] = lambda stopped: None
        """Called before the process is ended because something at a `point` swallows every signal."""

    def __enter__(self) -> Interruptions:
        if threading.current_thread() is threading.main_thread():
            for number in tuple(_REASONS):
                if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL, _stop):
                    self._before[number] = signal.signal(number, self._asked)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        if self._why is not None and not self._raised:
            _MISSED[:] = [self._why]

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let a signal wait for a `point`; one that comes after the last of them is not felt here, but by `heed`."""
        self._state = "deferred"
        try:
            yield
        finally:
            self._state = "felt"

    @contextmanager
    def point(self) -> Iterator[None]:
        """A moment inside `deferred` at which a signal is felt: one that waits, or one that comes now.

        What runs in it may be a stranger's: a signal that it swallows is felt when it returns.
        """
        if self._state == "asked":
            self._feel()
        before, self._state, self._at_a_point = self._state, "open", True
        try:
            yield
        finally:
            self._at_a_point = False
        if self._why is not None:
            self._feel()
        self._state = before

    def stop(self, reason: str) -> None:
        """End the run at once, from any thread: what it needs is gone."""
        if signal.SIGINT in self._before and self._state != "felt":
            self._why = Stopped(0, reason) if self._why is None else self._why
            self._state = "open"
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def stopped(self, error: BaseException) -> Stopped | None:
        """What stopped a run that ended with `error`; None when nobody asked for it.

        A signal to a whole group of processes may break what the run needs before the run feels it.
        """
        return self._why if self._why is not None or isinstance(error, Exception) else Stopped.of(error)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self._why is None:
            self._why = Stopped(number)
        if self._state == "deferred":
            self._state = "asked"
            self._say(f"Stopping {self.waits_for()}; Ctrl-C again stops at once")
        elif self._state != "felt":
            self._feel()
        elif self._at_a_point:
            self._insist()

    def _feel(self) -> None:
        self._state, self._raised = "felt", True
        assert self._why is not None
        raise self._why

    def _insist(self) -> None:
        """A signal was raised at a `point`, and what runs there has gone on."""
        assert self._why is not None
        self._in_vain += 1
        if self._in_vain > _AT_ONCE:
            self.put_away(self._why)
            os._exit(self._why.code)
        if self._in_vain == _AT_ONCE:
            self._say("What runs now swallows interrupts; Ctrl-C again ends this process")
        raise self._why


def heed() -> None:
    """Raise `Stopped` for a signal that came when the last run was ending, too late to stop that.

    Of one run alone there is nothing left to stop; who makes many asks after each.
    """
    if _MISSED:
        raise _MISSED.pop()


@contextmanager
def felt() -> Iterator[None]:
    """Raise `Stopped` for SIGTERM and SIGHUP too, at once, where they would end the process without a word."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for heard in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(heard) is signal.SIG_DFL:
                before[heard] = signal.signal(heard, _stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def afterwards(say: Callable[[str], None] = lambda text: None, until: str = "") -> Iterator[None]:
    """Let signals wait until the block is done: for what would be left half made. Only in the main thread.

    `say` is told `until` when one comes. Handlers that the block installs are put back.
    """
    asked: list[int] = []

    def wait(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        say(f"Stopping {until}")

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.getsignal(number) for number in _REASONS}
        before = {number: handler for number, handler in handlers.items() if callable(handler)}
        for number in before:
            signal.signal(number, wait)
    try:
        yield
    except (Exception, SystemExit):
        _put_back(before)
        if asked:  # a signal to a whole group may have ended what the block was starting
            signal.raise_signal(asked[0])
        raise
    finally:
        _put_back(before)
    if asked:
        signal.raise_signal(asked[0])


def _put_back(handlers: Mapping[int, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)
