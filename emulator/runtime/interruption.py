"""Ctrl-C: a run stops between two windows, where its tables say the same of everybody, and tells what is in them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Final, Literal

from layerlift.emulator.report.formatting import count, seconds
from layerlift.emulator.results.reader import RunResult

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


def left_behind(result: RunResult) -> str:
    """What is in the tables of a run that was cut short, in one or two sentences."""
    totals, users = result.summary["totals"], result.summary["users"]
    told: Mapping[str, Mapping[str, int]] = result.run.get("tables", {})
    asked = sum(bool(user["answered"] or user["failed"]) for user in users)
    who = count(len(users), "user") if asked == len(users) else f"{asked:,} of {count(len(users), 'user')}"
    where = f"in {result.directory}" if result.directory is not None else "in memory"
    reason = str(result.run.get("reason") or result.run["status"])
    rows = sum(table["rows"] for table in told.values())
    counted = f" ({count(rows, 'row')} in all)" if told else ""
    ended = totals["answered"] + totals["failed"]
    at = seconds(totals["virtual_s"])
    return (
        f"{reason[:1].upper()}{reason[1:]} at {at} of virtual time: {count(ended, 'query')} of {who} "
        f"{'is' if ended == 1 else 'are'} {where}{counted}. What was under way then is not."
    )
