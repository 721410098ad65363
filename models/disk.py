"""Bytes of a file that a stranger may have made: a regular file, of bounded size."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Final

DIGEST_BYTES: Final = 16
MOST_BYTES: Final = 1 << 30
_CHUNK: Final = 1 << 20


def regular_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Read a file, whole. Raises `OSError` when it cannot be read, `ValueError` for what is irregular or too large."""
    return b"".join(_chunks(path, most))


def bytes_digest(content: bytes) -> str:
    """A BLAKE2b hash: 32 hexadecimal digits."""
    return blake2b(content, digest_size=DIGEST_BYTES).hexdigest()


def file_digest(path: Path) -> str:
    """The same of a regular file of any size. Raises `OSError` and `ValueError` as `regular_bytes` does."""
    found = blake2b(digest_size=DIGEST_BYTES)
    for chunk in _chunks(path, None):
        found.update(chunk)
    return found.hexdigest()


def _chunks(path: Path, most: int | None) -> Iterator[bytes]:
    # Without blocking: a pipe that nobody writes to would be waited for.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError("it is no regular file")
        size = 0
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            if most is not None and size > most:
                raise ValueError(f"it is larger than {most >> 20} MiB")
            yield chunk
