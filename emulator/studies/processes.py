"""Jobs in processes of their own on this machine: what many runs take where no cluster is asked for.

A process is a fresh Python that imports nothing of the program that asks, so that a script needs no guard around what
it does. It is started when there is work for it, dies with who started it, and Ctrl-C is not for it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any, Final

from layerlift.emulator.planning.stoppable import receive, send
from layerlift.models.errors import RunError

MOST: Final = 256


def workers_of(given: int | None) -> int:
    """How many processes: None is one for each CPU. Raises `RunError` for what is no number of them."""
    if given is None:
        return min(len(os.sched_getaffinity(0)), MOST)
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= MOST:
        raise RunError(f"workers is {given!r}, expected a whole number from 1 (one run after the other) to {MOST}")
    return given


def in_processes(call: Callable[[Any], Any], jobs: Sequence[Any], workers: int) -> Iterator[tuple[int, Any]]:
    """Yield (number, answer) of each job as it ends; `call` is a module's own function, jobs can be pickled.

    What was lost with its process is answered by a `RunError`, what `call` raised of ours as it is. What has not ended
    when the generator is closed is dropped, with its processes.
    """
    with Processes(min(workers, len(jobs))) as processes:
        yield from processes.each(call, jobs)


class Processes:
    """Processes for several such lots of jobs, one lot after the other, for the length of a `with` block."""

    def __init__(self, workers: int) -> None:
        self._crew, self._threads = _Crew(), ThreadPoolExecutor(workers, "study")

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *raised: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._crew.close()
        self._threads.shutdown()
        self._crew.put_away()

    def each(self, call: Callable[[Any], Any], jobs: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """See `in_processes`; who stops half-way ends the block, too."""
        numbers = {self._threads.submit(self._crew.ask, call, job): number for number, job in enumerate(jobs)}
        while numbers:
            for done in wait(numbers, return_when=FIRST_COMPLETED).done:
                yield numbers.pop(done), done.result()


class _Crew:
    """A process for each thread that asks."""

    def __init__(self) -> None:
        self._own = threading.local()
        self._lock, self._processes, self._closed = threading.Lock(), list[subprocess.Popen[bytes]](), False

    def ask(self, call: Callable[[Any], Any], job: Any) -> Any:
        """What `call` makes of the job, in the process of this thread; an error of ours for what it does not."""
        process = self._process()
        if process is None:
            return RunError("the study was stopped")
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            send(process.stdin, pickle.dumps((call, job), pickle.HIGHEST_PROTOCOL))
            answer = receive(process.stdout)
        except (OSError, ValueError):  # it has ended, or was closed from the main thread
            answer = None
        if answer is None:
            self._own.process = None
            return RunError(f"its process ended ({process.wait()}): was there enough memory?")
        return pickle.loads(answer)

    def close(self) -> None:
        """End all processes, whatever they are at, and what they may have started."""
        with self._lock:
            self._closed = True
        for process in self._processes:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def put_away(self) -> None:
        """Close what is left of the processes, once nobody asks any more."""
        for process in self._processes:
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()

    def _process(self) -> subprocess.Popen[bytes] | None:
        if getattr(self._own, "process", None) is None:
            with self._lock:
                if self._closed:
                    return None
                self._own.process = _started()
                self._processes.append(self._own.process)
        process: subprocess.Popen[bytes] = self._own.process
        return process


def _started() -> subprocess.Popen[bytes]:
    paths = [path or os.getcwd() for path in sys.path]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "layerlift.emulator.studies.child", str(os.getpid())],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # what ends it ends all that it started; Ctrl-C is not for it
    )
