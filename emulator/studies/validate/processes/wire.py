"""One direction between two processes: latency, then the link's bytes, one message after the other."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from layerlift.emulator.studies.validate.processes.bucket import Bucket, slots


class Crossing(NamedTuple):
    """How a message crossed."""

    seconds: float
    """From its first slot to its last."""
    granted: int
    """Bytes of all senders for which the link had slots meanwhile."""


def sleep_until(at_s: float) -> None:
    """Sleep until `time.perf_counter()` says so."""
    while (left_s := at_s - time.perf_counter()) > 0:
        time.sleep(left_s)


class Wire:
    """What sends: `bucket` is the link, which others may share; without one the system's network is the link."""

    def __init__(self, bucket: Bucket | None, latency_s: float) -> None:
        self._bucket, self._latency_s = bucket, latency_s

    def send(self, sink: socket.socket, header: bytes, payload: memoryview, emitted_s: float) -> Crossing:
        """Send a message that was made at `emitted_s`, and return when it has crossed."""
        sleep_until(emitted_s + self._latency_s)
        began_s = time.perf_counter()
        bucket = self._bucket
        if bucket is None:
            sink.sendall(header)
            sink.sendall(payload)
            return Crossing(time.perf_counter() - began_s, 0)
        before, ahead = bucket.granted, len(header)
        # A slot of its own for the header would let others who share the link have one more in between.
        for begin, end in slots(ahead + len(payload), bucket.slot_bytes):
            sleep_until(bucket.reserve(end - begin, first=not begin))
            if not begin:
                sink.sendall(header)
            sink.sendall(payload[max(0, begin - ahead) : max(0, end - ahead)])
        return Crossing(time.perf_counter() - began_s, bucket.granted - before)


class Outbox:
    """Sends messages in their order from a thread of its own, so that whoever made them computes on."""

    def __init__(self, wire: Wire, sink: socket.socket, failed: Callable[[BaseException], None]) -> None:
        self._wire, self._sink, self._failed = wire, sink, failed
        self._waiting: queue.SimpleQueue[tuple[bytes, memoryview, float]] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def put(self, header: bytes, payload: memoryview) -> None:
        """Let a message leave, now."""
        self._waiting.put((header, payload, time.perf_counter()))

    def _run(self) -> None:
        try:
            while True:
                self._wire.send(self._sink, *self._waiting.get())
        except Exception as error:
            self._failed(error)
