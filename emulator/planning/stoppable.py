"""Planning with a limit: in a process of its own, which is ended when the planner does not return in time.

Questions and answers are pickles with their length before them. The planner itself travels, so that whatever made it
(a name, `module:Class`, a class that a program registered) need not be known there.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import subprocess
import sys
import time
from typing import IO, Any, Final

from layerlift.emulator.planning.answer import Answered, stayed_local
from layerlift.emulator.planning.job import PlanJob
from layerlift.models.errors import words_of
from layerlift.planners import Planner

BEGUN: Final = "begun"
_LENGTH_BYTES: Final = 8
_MOST_S: Final = 3600.0
"""The system waits for so long at a time; limits may be longer."""
_START_S: Final = 120.0
"""How long such a process may take to start and to import what the planner is made of."""


class CannotBeSentError(Exception):
    """A planner that no other process can have, and why."""


class Stoppable:
    """Asks planners in a process that is started when it is first needed, and again after it was ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, planner: Planner, job: PlanJob, seed: int, timeout_s: float) -> Answered:
        """`answer`, but for what has not come after `timeout_s` of wall clock: then the job's users stay local.

        Raises `CannotBeSentError` for a planner that must run where it was made.
        """
        try:
            question = pickle.dumps((planner, job, seed), pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # whatever a stranger's `__reduce__` raises
            raise CannotBeSentError(words_of(error)) from None
        going_on = False
        try:
            found = self._asked(self._started(), question, job, timeout_s)
            going_on = not found.stopped
            return found
        finally:
            if not going_on:
                self.close()

    def close(self) -> None:
        """End the process, and what it may have started."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
            process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            paths = [path or os.getcwd() for path in sys.path]
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "layerlift.emulator.planning.child", str(os.getpid())],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # what ends it ends all that the planner started; Ctrl-C is not for it
            )
        return self._process

    @staticmethod
    def _asked(process: subprocess.Popen[bytes], question: bytes, job: PlanJob, timeout_s: float) -> Answered:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            send(process.stdin, question)
            first = _heard(process.stdout, _START_S)
        except (OSError, EOFError):
            raise CannotBeSentError(f"its process ended ({process.wait()})") from None
        if first != BEGUN:
            raise CannotBeSentError("its process does not start" if first is None else str(first))
        began = time.perf_counter()
        try:
            found: Answered | None = _heard(process.stdout, timeout_s)
        except (OSError, EOFError):
            why = f"{job.planner} ended its process ({process.wait()})"
            return stayed_local(job, why, time.perf_counter() - began)
        if found is None:
            return stayed_local(job, late(timeout_s), timeout_s)
        if found.took_s > timeout_s:  # it was there when this process came to look
            return stayed_local(job, late(timeout_s), found.took_s)
        return found


def late(timeout_s: float) -> str:
    """Why a plan was not waited for: the same words whatever the clock said."""
    return f"late: no plan within {timeout_s:g} s"


def send(stream: IO[bytes], message: bytes) -> None:
    """Write a message."""
    stream.write(len(message).to_bytes(_LENGTH_BYTES, "little") + message)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes | None:
    """Read a message; None when there will be no more."""
    length = stream.read(_LENGTH_BYTES)
    return stream.read(int.from_bytes(length, "little")) if len(length) == _LENGTH_BYTES else None


def _heard(stream: IO[bytes], timeout_s: float) -> Any:
    """What the process says within `timeout_s`; None when that is nothing. Raises `EOFError` when it has ended."""
    ends = time.monotonic() + timeout_s
    heard, wanted = b"", _LENGTH_BYTES
    while len(heard) < wanted:
        left_s = ends - time.monotonic()
        ready, _, _ = select.select([stream.fileno()], [], [], min(max(0.0, left_s), _MOST_S))
        if not ready:
            if left_s <= _MOST_S:
                return None
            continue
        more = os.read(stream.fileno(), wanted - len(heard))
        if not more:
            raise EOFError
        heard += more
        if len(heard) == _LENGTH_BYTES and wanted == _LENGTH_BYTES:
            wanted += int.from_bytes(heard, "little")
    return pickle.loads(heard[_LENGTH_BYTES:])
