"""The parent's side of opening a stranger's file: it asks a process of its own, and waits for so long and no longer."""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from layerlift.models.errors import ModelError, Undecided, sentence
from layerlift.models.loading import frames
from layerlift.models.running import limits

_MODULE: Final = "layerlift.models.loading.child"
_IDLE: Final = 75
"""As `child.IDLE`, which is not imported here: that module is a program."""
_START_S: Final = 120.0
_END_S: Final = 5.0
_PATIENCE: Final = 5.0
"""The limit is of processor time, which the process is held to by itself; on a busy machine that takes longer."""


class _Overdue(Exception):
    """The time is over."""


class _Process:
    """One process that opens files. It serves requests one by one."""

    def __init__(self) -> None:
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-P", "-m", _MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd="/",
                env=environment(),
                # Ctrl-C is for whoever asked: this one ends when its standard input does.
                start_new_session=True,
            )
        except OSError as error:
            raise ModelError(f"no process can be started to open model files ({error.strerror or error})") from None
        try:
            self.receive(_START_S, 0)
        except (EOFError, frames.FrameError, _Overdue, OSError):
            raise ModelError(
                f"the process that opens model files does not start ({self.end()}); "
                f"run {Path(sys.executable).name} -m {_MODULE} to see why"
            ) from None

    def send(self, request: Mapping[str, Any]) -> None:
        """Ask; `OSError` when the process has gone."""
        assert self._popen.stdin is not None
        left = memoryview(frames.pack(request))
        while left:
            left = left[self._popen.stdin.write(left) :]

    def receive(self, seconds: float, most_bytes: int) -> tuple[dict[str, Any], list[np.ndarray]]:
        """The next frame; raises what `frames.unpack` does, and `_Overdue` after `seconds`."""
        assert self._popen.stdout is not None
        source, due = self._popen.stdout.fileno(), time.monotonic() + seconds
        poll = select.poll()
        poll.register(source, select.POLLIN)

        def read(room: memoryview) -> int:
            left = due - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise _Overdue
            return os.readv(source, [room])

        return frames.unpack(read, most_bytes)

    def end(self) -> str:
        """End the process, and say how it ended when it did so by itself."""
        try:
            # What has died a moment ago may not be known to be dead yet.
            code: int | None = self._popen.wait(0.2)
        except subprocess.TimeoutExpired:
            code = None
            self._popen.kill()
            self._popen.wait(_END_S)
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                pipe.close()
        self.was_idle = code == _IDLE
        if code is None:
            return "no answer"
        return signal.Signals(-code).name if -code in set(signal.Signals) else f"exit code {code}"

    was_idle = False
    """Whether it had ended because nobody asked."""


class Opener:
    """Asks one process after another; a process serves until it has died, grown or been idle. Safe among threads."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew, without a process."""
        self._lock = threading.Lock()
        self._process: _Process | None = None

    def close(self) -> None:
        """End the process, if there is one; the next question starts another."""
        with self._lock:
            self._end()

    def ask(
        self, kind: str, path: Path, file_bytes: int, most_bytes: int, **more: Any
    ) -> tuple[dict[str, Any], list[np.ndarray]]:
        """The answer to a request of `kind` (see `answers.KINDS`) about the file at `path`: its head and its blobs.

        `file_bytes` gives the limits; `most_bytes` is the most that may come back. Raises `ModelError`, in one
        sentence, whatever the file does to the process.
        """
        allowed = limits.opening(file_bytes)
        request = {
            "kind": kind,
            "path": str(path),
            "seconds": allowed.seconds,
            "memory_bytes": allowed.memory_bytes,
            **more,
        }
        with self._lock:
            while True:
                answer = self._try(request, allowed, most_bytes)
                if answer is not None:
                    break
        if "undecided" in answer[0]:
            raise _undecided(path, answer[0]["undecided"])
        if "error" in answer[0]:
            raise ModelError(sentence(str(answer[0]["error"])))
        if "exhausted" in answer[0]:
            raise ModelError(_too_large(path, allowed))
        return answer

    def _try(
        self, request: Mapping[str, Any], allowed: limits.Limits, most_bytes: int
    ) -> tuple[dict[str, Any], list[np.ndarray]] | None:
        """The answer; None when the process had ended before it was asked, and another has to be."""
        process = self._process = self._process or _Process()
        path = Path(str(request["path"]))
        try:
            process.send(request)
            return process.receive(_PATIENCE * allowed.seconds, most_bytes)
        except _Overdue:
            self._end()
            raise ModelError(_too_slow(path, allowed)) from None
        except frames.FrameError as error:
            self._end()
            raise ModelError(_died(path, str(error))) from None
        except (EOFError, OSError):
            how = self._end()
            if process.was_idle:
                return None
            if how == signal.SIGXCPU.name:
                raise ModelError(_too_slow(path, allowed)) from None
            raise ModelError(_died(path, how)) from None
        except BaseException:
            # What it may still answer would be taken for the answer to the next question.
            self._end()
            raise

    def _end(self) -> str:
        process, self._process = self._process, None
        return process.end() if process is not None else ""


def environment() -> dict[str, str]:
    """The environment of the process: it finds what this one found, and nothing in the working directory."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONINSPECT", "PYTHONSTARTUP")}
    places = [place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    # A working directory that has been removed has no name, and nothing in it can be found.
    with contextlib.suppress(OSError):
        places = [os.path.abspath(place) for place in places]
    package = Path(__file__).parents[2]
    if package.name == "layerlift":
        places = list(dict.fromkeys([*places, str(package.parent)]))
    # A thread of a linear algebra library maps memory that would be counted, and has nothing to do.
    env.update({"PYTHONPATH": os.pathsep.join(places), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})
    return env


def answered_badly(path: Path) -> ModelError:
    """What to raise when an answer about the file at `path` is none."""
    return ModelError(_died(path, "its answer is none"))


def _undecided(path: Path, told: Any) -> ModelError:
    try:
        example = {str(name): int(value) for name, value in told["example"].items()}
        return Undecided(str(told["what"]), str(told["option"]), example)
    except (KeyError, TypeError, ValueError, AttributeError):
        return answered_badly(path)


def _died(path: Path, how: str) -> str:
    return sentence(
        f"{path} ends the process that opens it ({how}): it is damaged or hostile; export it again, or leave it alone"
    )


def _too_slow(path: Path, allowed: limits.Limits) -> str:
    return sentence(
        f"{path} takes more than the {allowed.seconds:.0f} s that opening and one run of it may take; simplify it, "
        f"or set {limits.OPEN_SECONDS}"
    )


def _too_large(path: Path, allowed: limits.Limits) -> str:
    return sentence(
        f"{path} needs more than the {allowed.memory_bytes / 1e9:.1f} GB that opening it may take; simplify it, or set "
        f"{limits.OPEN_MEMORY}"
    )


OPENER: Final = Opener()
"""The one of this process."""
atexit.register(OPENER.close)
# A process that is forked off must not speak into its parent's pipes, nor wait for a lock that nobody there holds.
os.register_at_fork(after_in_child=OPENER.forget)
