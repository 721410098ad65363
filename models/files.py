"""Files that somebody else named: opened only when they are regular files of a size that can be read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Final

DIGEST_BYTES: Final = 16
_CHUNK: Final = 1 << 20
_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class NotReadable(OSError):
    """What stands there is no file that can be read; `strerror` says why, as that of any `OSError` does."""

    def __init__(self, why: str) -> None:
        super().__init__(0, why)


def open_regular(path: str | Path, most_bytes: int) -> BinaryIO:
    """Open a file for reading, without ever waiting for what is none.

    Raises `OSError`: no such file, a name that no file can have, a folder, pipe, socket or device, or more than
    `most_bytes`. A link is followed.
    """
    try:
        found = os.stat(path)  # first, for opening a device may set it going
        _check(found, most_bytes)
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (ValueError, UnicodeError):
        raise NotReadable("its name is none that a file can have") from None
    try:
        _check(os.fstat(handle), most_bytes)  # it may have been exchanged meanwhile
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: str | Path, most_bytes: int) -> bytes:
    """Read a whole file. Raises as `open_regular` does, also for one that has grown too large meanwhile."""
    return b"".join(_chunks(path, most_bytes))


def why_not(path: str | Path) -> str | None:
    """Why nobody can tell whether something is at a path, such as a name that is too long; None where that can be told.

    `Path.exists` raises for these, in some versions of Python.
    """
    try:
        os.stat(path)
        os.stat(os.path.join(path, "."))  # whether what lies in a folder can be told
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, UnicodeError):
        return "its name is none that a file can have"
    except OSError as error:
        return error.strerror or str(error)
    return None


def bytes_digest(content: bytes) -> str:
    """A BLAKE2b hash: 32 hexadecimal digits."""
    return blake2b(content, digest_size=DIGEST_BYTES).hexdigest()


def file_digest(path: str | Path) -> str:
    """The same of a file, however large. Raises as `open_regular` does."""
    found = blake2b(digest_size=DIGEST_BYTES)
    for chunk in _chunks(path, 1 << 62):
        found.update(chunk)
    return found.hexdigest()


def _chunks(path: str | Path, most_bytes: int) -> Iterator[bytes]:
    # Not at once: the room for all that may come would be asked for.
    size = 0
    with open_regular(path, most_bytes) as file:
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            if size > most_bytes:
                raise _too_large(most_bytes)
            yield chunk


def _check(found: os.stat_result, most_bytes: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for is_it, name in _KINDS if is_it(found.st_mode)), "no regular file")
        raise NotReadable(f"it is {kind}, expected a file")
    if found.st_size > most_bytes:
        raise _too_large(most_bytes)


def _too_large(most_bytes: int) -> NotReadable:
    size = f"{most_bytes >> 20} MiB" if most_bytes >= 1 << 20 else f"{most_bytes >> 10} KiB"
    return NotReadable(f"it is larger than {size}")
