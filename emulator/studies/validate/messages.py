"""What client and servers send each other over sockets: a header of a fixed size, then bare bytes. Nothing is code."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import Any, Final

from layerlift.models.errors import RunError

HEADER_BYTES: Final = 256
"""Of each message; the emulation charges the same (`header_bytes`)."""


class Broken(RunError):
    """A connection that has ended, or on which something came that is no message."""


def packed(head: Mapping[str, Any], size: int = 0) -> bytes:
    """The header of a message with `size` bytes behind it."""
    body = json.dumps({**head, "size": size}, separators=(",", ":")).encode()
    if len(body) > HEADER_BYTES:
        raise Broken(f"a header of {len(body)} bytes was to be sent, expected {HEADER_BYTES} at most")
    return body.ljust(HEADER_BYTES)


def unpacked(header: bytes) -> tuple[dict[str, Any], int]:
    """The head that was packed, and how many bytes follow. Raises `Broken` for what is no header."""
    try:
        head = json.loads(header)
        size = head.pop("size")
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        raise Broken("what came over a connection is no message") from None
    if type(size) is not int or size < 0:
        raise Broken("what came over a connection is no message")
    return head, size


def received(source: socket.socket, most_bytes: int) -> tuple[dict[str, Any], memoryview]:
    """The next message. Raises `Broken` when the connection ends or is silent for too long, and for too large ones."""
    head, size = unpacked(bytes(_exactly(source, HEADER_BYTES)))
    if size > most_bytes:
        raise Broken(f"a message of {size} bytes came, expected {most_bytes} at most")
    return head, _exactly(source, size)


def _exactly(source: socket.socket, size: int) -> memoryview:
    room = memoryview(bytearray(size))
    done = 0
    while done < size:
        try:
            count = source.recv_into(room[done:])
        except OSError as error:
            raise Broken(f"a connection broke off ({error})") from None
        if not count:
            raise Broken("a connection ended early")
        done += count
    return room
