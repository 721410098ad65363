"""Numbers too small for the usual form (denormals) count as zero while a model runs, and at no other time.

Processors take them up to a hundred times as slowly, and networks mean nothing by them. onnxruntime's own switch is one
for the whole thread, and stays on: virtual time, which may run in the same thread, must not see it.
"""

from __future__ import annotations

import contextlib
import ctypes
import platform
from collections.abc import Callable, Iterator
from typing import Any, Final

_ROOM: Final = 64
"""Bytes, more than what any system saves."""
# Where glibc keeps the register that says so, and its bits: "flush to zero" and "denormals are zeros".
_REGISTERS: Final = {"x86_64": (28, 0x8040), "aarch64": (0, 1 << 24)}


class _NotHere:
    """A system whose registers are not known: onnxruntime's switch alone says what is done with denormals."""

    @contextlib.contextmanager
    def flushed(self) -> Iterator[None]:
        yield


class _Register:
    """The thread's floating-point environment, as glibc saves and restores it."""

    def __init__(self, libc: ctypes.CDLL, at: int, bits: int) -> None:
        self._save: Callable[[Any], int] = libc.fegetenv
        self._restore: Callable[[Any], int] = libc.fesetenv
        self._at, self._bits = at, bits

    @contextlib.contextmanager
    def flushed(self) -> Iterator[None]:
        before, during = ctypes.create_string_buffer(_ROOM), ctypes.create_string_buffer(_ROOM)
        self._save(before)
        self._save(during)
        register = ctypes.c_uint32.from_buffer(during, self._at)
        register.value |= self._bits
        self._restore(during)
        try:
            yield
        finally:
            self._restore(before)


def _found() -> _Register | _NotHere:
    where = _REGISTERS.get(platform.machine())
    if where is None or platform.libc_ver()[0] != "glibc":
        return _NotHere()
    try:
        return _Register(ctypes.CDLL("libm.so.6"), *where)
    except (OSError, AttributeError):
        return _NotHere()


flushed: Final = _found().flushed
"""`with flushed():` denormals count as zero in this thread until the end of the block; then as before."""
