"""What the two ends of a measurement say to each other: fixed sizes and numbers, never objects, all of it bounded.

A connection begins with a greeting: eight bytes that name the protocol, the token, what is wanted and a number. Then

* an upload (`U`): the client sends bytes until it stops; the server answers how many it had every `SAMPLE_S`;
* a download (`D`): the server sends bytes for so many milliseconds;
* messages (`M`): the client sends two sizes and so many bytes, the server answers so many, again and again;
* the end (`E`): the server may go.
"""

from __future__ import annotations

import secrets
import socket
import struct
import time
from dataclasses import dataclass
from typing import Final, Literal

from layerlift.models.errors import LayerliftError, RunError

Kind = Literal["U", "D", "M", "E"]
KINDS: Final = ("U", "D", "M", "E")

MAGIC: Final = b"LLlink1\n"
TOKEN: Final = 32
"""Characters of a token: 16 random bytes in hexadecimal."""
_GREETING: Final = struct.Struct(f"!8s{TOKEN}scI")
_SIZES: Final = struct.Struct("!II")
_COUNT: Final = struct.Struct("!I")
WELCOME: Final = b"LLok\n"

PORT: Final = 47477
SAMPLE_S: Final = 0.02
LONGEST_S: Final = 120.0
"""No upload, download or silence lasts longer."""
SILENCE_S: Final = 5.0
"""Within a message: whoever is silent for so long has gone."""
LARGEST: Final = 8 << 20
"""Bytes of one message at most."""
MOST_BYTES: Final = 64 << 30
"""Bytes of one connection at most."""
_MOST_SAMPLES: Final = int(LONGEST_S / SAMPLE_S) + 2
CHUNK: Final = 1 << 18
ZEROS: Final = bytes(CHUNK)


class Closed(RunError):
    """The other end has gone, or is silent for too long, or says something else than was expected."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a connection begins with."""

    token: str
    kind: Kind
    number: int
    """Of a download: its milliseconds."""


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_hex(TOKEN // 2)


def greet(connection: socket.socket, greeting: Greeting) -> None:
    """Begin a connection as a client; raises `Closed` when the server does not want it."""
    token = greeting.token.encode("ascii", "replace")[:TOKEN].ljust(TOKEN, b"?")
    connection.sendall(_GREETING.pack(MAGIC, token, greeting.kind.encode(), greeting.number))
    if receive(connection, len(WELCOME), Deadline(10.0)) != WELCOME:
        raise Closed("the other end is no `layerlift link --serve`")


def greeted(connection: socket.socket, within_s: float = 5.0) -> Greeting | None:
    """What a client begins with; None for a stranger, who says anything else or nothing."""
    try:
        magic, token, kind, number = _GREETING.unpack(receive(connection, _GREETING.size, Deadline(within_s)))
    except (OSError, LayerliftError):
        return None
    letter = kind.decode("latin-1")
    if magic != MAGIC or letter not in KINDS or not token.isalnum():
        return None
    return Greeting(token.decode("ascii", "replace"), letter, number)


class Deadline:
    """So many seconds from now on."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """What is left of them; at most 0 when they are over."""
        return self._end - time.monotonic()

    def hold(self, connection: socket.socket, longest_s: float = SILENCE_S) -> None:
        """Let the next call on a socket take no longer than what is left; raises `Closed` when nothing is."""
        if self.left_s <= 0.0:
            raise Closed("the other end took too long")
        connection.settimeout(min(self.left_s, longest_s))


def receive(connection: socket.socket, size: int, deadline: Deadline, silence_s: float = SILENCE_S) -> bytes:
    """Exactly `size` bytes, few enough to be held; raises `Closed` or `OSError`, after `silence_s` without any."""
    got = bytearray()
    while len(got) < size:
        deadline.hold(connection, silence_s)
        piece = connection.recv(size - len(got))
        if not piece:
            raise Closed("the other end has closed the connection")
        got += piece
    return bytes(got)


def swallow(connection: socket.socket, size: int, deadline: Deadline, room: memoryview) -> None:
    """Receive `size` bytes and keep none; `room` is where they go."""
    while size:
        deadline.hold(connection)
        got = connection.recv_into(room[: min(size, len(room))])
        if not got:
            raise Closed("the other end has closed the connection")
        size -= got


def send(connection: socket.socket, size: int, deadline: Deadline) -> None:
    """Send `size` bytes that mean nothing."""
    while size:
        deadline.hold(connection)
        size -= connection.send(ZEROS[: min(size, CHUNK)])


def ask(connection: socket.socket, there: int, back: int, room: memoryview) -> float:
    """As a client: one message of `there` bytes, its answer of `back` bytes; seconds until the last of it is here."""
    deadline, begun = Deadline(30.0), time.perf_counter()
    deadline.hold(connection)
    # In one piece where it is small: two would be two packets.
    connection.sendall(_SIZES.pack(there, back) + ZEROS[: min(there, CHUNK)])
    send(connection, max(0, there - CHUNK), deadline)
    swallow(connection, back, deadline, room)
    return time.perf_counter() - begun


def answer(connection: socket.socket, deadline: Deadline, room: memoryview) -> int:
    """As a server: one message and its answer; how many bytes both had. Raises `Closed` for one that is too large."""
    # Before a message there may be as much silence as the client's long transfer takes, and its second of idleness.
    there, back = _SIZES.unpack(receive(connection, _SIZES.size, deadline, LONGEST_S))
    if max(there, back) > LARGEST or not back:
        raise Closed("a message is too large, or wants no answer")
    swallow(connection, there, deadline, room)
    send(connection, back, deadline)
    return int(there) + int(back)


def tell_samples(connection: socket.socket, samples: list[int], deadline: Deadline) -> None:
    """As a server: how many bytes of an upload had come after each `SAMPLE_S`."""
    kept = samples[:_MOST_SAMPLES]
    deadline.hold(connection)
    connection.sendall(_COUNT.pack(len(kept)) + struct.pack(f"!{len(kept)}Q", *kept))


def hear_samples(connection: socket.socket) -> list[int]:
    """As a client: what `tell_samples` says; raises `Closed` where it cannot be true."""
    deadline = Deadline(20.0)
    (count,) = _COUNT.unpack(receive(connection, _COUNT.size, deadline))
    if count > _MOST_SAMPLES:
        raise Closed("the other end says something that cannot be")
    samples = list(struct.unpack(f"!{count}Q", receive(connection, 8 * count, deadline)))
    if samples != sorted(samples):
        raise Closed("the other end says something that cannot be")
    return samples
