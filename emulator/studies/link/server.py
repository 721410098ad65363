"""The other side of a measurement: it takes what one client sends, answers what it asks, and ends.

It is as careful as what listens on a network must be: who has not the token is sent away, nothing that comes is kept,
no size is believed, and everything ends by itself.
"""

from __future__ import annotations

import hmac
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Final

from layerlift.emulator.studies.link import wire
from layerlift.models.errors import LayerliftError, RunError

MOST_AT_ONCE: Final = 8
"""Connections that are served, or not known yet, at one time; more are closed at once."""
_ROOM: Final = 1 << 18


class LinkServer:
    """Listens for one measurement. `serve` returns when it is over; `close` may be called at any time."""

    def __init__(self, bind: str = "127.0.0.1", port: int = wire.PORT, token: str | None = None) -> None:
        """Raises `RunError` when the address cannot be had; port 0 is any free one."""
        self.token = token or wire.new_token()
        self.refused = 0
        """Connections of strangers."""
        self._ended = threading.Event()
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)
        family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind((bind, port))
            self._listener.listen(MOST_AT_ONCE)
        except (OSError, OverflowError) as error:
            self._listener.close()
            raise RunError(f"cannot listen on {bind}:{port} ({error}): expected a free port of this machine") from None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        found: int = self._listener.getsockname()[1]
        return found

    def serve(self, for_s: float = 600.0) -> bool:
        """Serve until the client says that it is done, or for so many seconds; whether it was done."""
        deadline = wire.Deadline(for_s)
        with closing(self._listener):
            while not self._ended.is_set() and deadline.left_s > 0.0:
                try:
                    self._listener.settimeout(0.2)
                    connection, _ = self._listener.accept()
                except TimeoutError:
                    continue
                except OSError:  # closed, or somebody hung up before he was let in
                    if self._listener.fileno() < 0:
                        break
                    continue
                self._take(connection)
        return self._ended.is_set()

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()

    def _take(self, connection: socket.socket) -> None:
        if not self._places.acquire(blocking=False):
            connection.close()
            return
        threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        try:
            # Whoever goes, or goes wrong, ends his own connection and nothing else.
            with closing(connection), suppress(OSError, LayerliftError):
                greeting = wire.greeted(connection)
                if greeting is None or not hmac.compare_digest(greeting.token.encode(), self.token.encode()):
                    self.refused += 1
                    return
                with suppress(OSError):
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.sendall(wire.WELCOME)
                self._kinds()[greeting.kind](connection, greeting.number)
        finally:
            self._places.release()

    def _kinds(self) -> dict[str, Callable[[socket.socket, int], None]]:
        return {"U": _take_upload, "D": _send_download, "M": _answer_messages, "E": self._end}

    def _end(self, _: socket.socket, __: int) -> None:
        self._ended.set()


def _take_upload(connection: socket.socket, _: int) -> None:
    deadline, room = wire.Deadline(wire.LONGEST_S), memoryview(bytearray(_ROOM))
    samples, total = list[int](), 0
    begun = 0.0
    while total < wire.MOST_BYTES:
        deadline.hold(connection)
        got = connection.recv_into(room)
        begun = begun or time.monotonic()
        while len(samples) < (time.monotonic() - begun) / wire.SAMPLE_S - 1.0:
            samples.append(total)
        if not got:
            break
        total += got
    wire.tell_samples(connection, [*samples, total], deadline)


def _send_download(connection: socket.socket, milliseconds: int) -> None:
    deadline = wire.Deadline(min(milliseconds / 1000.0, wire.LONGEST_S))
    sent = 0
    while deadline.left_s > 0.0 and sent < wire.MOST_BYTES:
        connection.settimeout(5.0)
        sent += connection.send(wire.ZEROS)


def _answer_messages(connection: socket.socket, _: int) -> None:
    deadline, room = wire.Deadline(wire.LONGEST_S), memoryview(bytearray(_ROOM))
    total = 0
    while total < wire.MOST_BYTES:
        total += wire.answer(connection, deadline, room)
