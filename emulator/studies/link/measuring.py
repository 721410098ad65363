"""The measuring side: what a link does to messages alone, beside an upload, and after idleness, in twenty seconds."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Final, Literal

from layerlift.emulator.studies.link import wire
from layerlift.emulator.studies.link.estimate import LARGE, SMALL, Seen, cold_size, round_trip_s
from layerlift.models.errors import RunError

SECONDS: Final = 20.0
_ANSWER: Final = 16
"""Bytes that the other way has: next to nothing."""
_ALONE, _BESIDE, _WARM_UP = 0.12, 0.24, 0.04
"""Shares of the time: a long transfer by itself, the same with messages beside it, and what of it is not counted."""
_IDLE_S: Final = 1.0
_PAUSE_S: Final = 0.05
_MOST: Final = 200
"""Messages of one kind at most."""

Way = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class Measured:
    """Both ways of a link, seen from the client."""

    up: Seen
    down: Seen | None
    congestion: str
    """This machine's congestion control, which is that of the way up."""
    seconds: float


class Measurement:
    """One measurement with the server at an address; `progress` is told what is done, in words."""

    def __init__(
        self, host: str, port: int, token: str, progress: Callable[[str], object], congestion: str = ""
    ) -> None:
        """With `congestion` the way up has this congestion control of TCP; else it has the system's."""
        self._host, self._port, self._token, self._progress = host, port, token, progress
        self._congestion = congestion
        self._room = memoryview(bytearray(wire.CHUNK))

    def run(self, seconds: float = SECONDS, both: bool = True) -> Measured:
        """Measure; raises `RunError` when the other end cannot be reached, is another, or goes."""
        begun = time.monotonic()
        try:
            with self._open("M") as messages:
                congestion = _congestion(messages)
                up = self._way("up", messages, seconds)
                down = self._way("down", messages, seconds) if both else None
            with self._open("E"):
                pass
        except wire.Closed as error:
            raise RunError(f"{self._name}: {error}; is its token the one that was given?") from None
        except OSError as error:
            raise RunError(f"{self._name}: {error.strerror or error}; start `layerlift link --serve` there") from None
        return Measured(up, down, congestion, time.monotonic() - begun)

    @property
    def _name(self) -> str:
        return f"{self._host}:{self._port}"

    @contextmanager
    def _open(self, kind: wire.Kind, number: int = 0) -> Iterator[socket.socket]:
        with closing(socket.create_connection((self._host, self._port), timeout=5.0)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._congestion:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, self._congestion.encode())
            wire.greet(connection, wire.Greeting(self._token, kind, number))
            yield connection

    def _way(self, way: Way, messages: socket.socket, seconds: float) -> Seen:
        self._progress(f"{way}: messages alone")
        small_s = self._ask(messages, way, SMALL, 0.02 * seconds)
        large_s = self._ask(messages, way, LARGE, 0.06 * seconds)
        self._progress(f"{way}: a long transfer, then messages beside it")
        goodput, small_beside_s, large_beside_s = self._beside(way, messages, seconds)
        size = cold_size(round_trip_s(small_s, goodput), goodput)
        warm_s: list[float] = []
        cold_s: list[float] = []
        if size and way == "up":
            self._progress(f"{way}: messages after a second of idleness")
            time.sleep(0.05 * seconds)  # what the long transfer has left in the link goes first
            warm_s = self._ask(messages, way, size, 0.02 * seconds)[1:]
            for _ in range(3):
                time.sleep(_IDLE_S)
                cold_s += self._ask(messages, way, size, 0.0)
        return Seen(goodput, small_s, large_s, small_beside_s, large_beside_s, warm_s, cold_s, size if warm_s else 0)

    def _ask(self, messages: socket.socket, way: Way, size: int, for_s: float) -> list[float]:
        """Messages of a size one way, one after the other, for so long; at least one, and three where time is given."""
        there, back = (size, _ANSWER) if way == "up" else (_ANSWER, size)
        deadline, found = wire.Deadline(for_s), list[float]()
        while not found or (for_s and len(found) < 3) or (deadline.left_s > 0.0 and len(found) < _MOST):
            found.append(wire.ask(messages, there, back, self._room))
        return found

    def _beside(self, way: Way, messages: socket.socket, seconds: float) -> tuple[float, list[float], list[float]]:
        """Goodput of a long transfer alone, and messages beside it."""
        alone_s, beside_s = _ALONE * seconds, _BESIDE * seconds
        long = _Long(self, way, alone_s + 4.0 * beside_s)
        small_s: list[float] = []
        large_s: list[float] = []
        try:
            time.sleep(alone_s)
            small_s = self._ask(messages, way, SMALL, 0.25 * beside_s)
            deadline = wire.Deadline(0.75 * beside_s)
            while not large_s or deadline.left_s > 0.0:
                large_s += self._ask(messages, way, LARGE, 0.0)
                # As queries come: between two of them somebody computes, and the connection loses ground.
                time.sleep(min(_PAUSE_S, 0.05 * beside_s))
        finally:
            samples = long.stop()
        return _rate(samples, _WARM_UP * seconds, alone_s), small_s, large_s


class _Long:
    """A long transfer in a thread of its own, and how many bytes had come after each `SAMPLE_S`."""

    def __init__(self, of: Measurement, way: Way, longest_s: float) -> None:
        self._of, self._longest_s = of, min(longest_s, wire.LONGEST_S - 10.0)
        self._stopped = threading.Event()
        self._samples: list[int] = []
        self._failed: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(way,), daemon=True)
        self._thread.start()

    def stop(self) -> list[int]:
        """End it; raises what went wrong in it."""
        self._stopped.set()
        self._thread.join(timeout=40.0)
        if self._failed is not None:
            raise self._failed
        return self._samples

    def _run(self, way: Way) -> None:
        try:
            if way == "up":
                self._upload()
            else:
                self._download()
        except (OSError, RunError) as error:
            self._failed = error

    def _upload(self) -> None:
        deadline = wire.Deadline(self._longest_s)
        with self._of._open("U") as connection:
            with suppress(OSError, AttributeError):  # so that what is left at the end is little, on slow links too
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 1 << 17)
            while not self._stopped.is_set() and deadline.left_s > 0.0:
                deadline.hold(connection)
                connection.send(wire.ZEROS)
            connection.shutdown(socket.SHUT_WR)
            self._samples = wire.hear_samples(connection)

    def _download(self) -> None:
        deadline, room, total = wire.Deadline(self._longest_s), memoryview(bytearray(wire.CHUNK)), 0
        with self._of._open("D", int(1000 * self._longest_s)) as connection:
            begun = time.monotonic()
            while not self._stopped.is_set() and deadline.left_s > 0.0:
                deadline.hold(connection)
                got = connection.recv_into(room)
                while len(self._samples) < (time.monotonic() - begun) / wire.SAMPLE_S - 1.0:
                    self._samples.append(total)
                if not got:
                    break
                total += got


def _rate(samples: list[int], since_s: float, until_s: float) -> float:
    """Bytes a second between two instants of a long transfer."""
    first, last = round(since_s / wire.SAMPLE_S), min(round(until_s / wire.SAMPLE_S), len(samples)) - 1
    if first >= last or samples[last] <= samples[max(first, 0)]:
        first, last = 0, len(samples) - 1  # too short, or too slow, to leave anything out
    if first >= last or samples[last] <= samples[first]:
        raise RunError("the long transfer moved nothing: expected a link that carries some kilobytes a second")
    return (samples[last] - samples[first]) / ((last - first) * wire.SAMPLE_S)


def _congestion(connection: socket.socket) -> str:
    with suppress(OSError, AttributeError):
        return (
            connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
            .rstrip(b"\0")
            .decode("ascii", "replace")
        )
    return "unknown"
