"""Keeping a private Ray to this machine, and its hands off our signals and our output, and its end with ours."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from layerlift.emulator.cluster import reaper

_LOOPBACK: Final = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


@contextmanager
def loopback_only(constants: Any) -> Iterator[None]:
    """Let a private Ray listen on loopback only; `constants` is its module of constants.

    Ray has a switch for it, meant for desktops that must not show a firewall dialogue, but reads it once at import,
    where it would also break joining a real cluster later: so it is turned here, and turned back.
    """
    known = hasattr(constants, "ENABLE_RAY_CLUSTER")
    before = getattr(constants, "ENABLE_RAY_CLUSTER", None)
    constants.ENABLE_RAY_CLUSTER = False
    os.environ[_LOOPBACK] = "0"
    try:
        yield
    finally:
        os.environ.pop(_LOOPBACK, None)
        if known:
            constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def own_signals(utilities: Any) -> Iterator[None]:
    """Keep Ray from handling SIGTERM while it starts; `utilities` is its module that does.

    It would leave with exit code 15 in the middle of whatever it does.
    """
    before = utilities.set_sigterm_handler
    utilities.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        utilities.set_sigterm_handler = before


@contextmanager
def unheard(worker: Any) -> Iterator[None]:
    """Keep Ray from printing what its processes complain of; `worker` is its module that does, from a thread.

    What matters reaches the conductor as an exception, and its user as one sentence.
    """
    before = worker.print_to_stdstream
    worker.print_to_stdstream = lambda *given, **named: None
    try:
        yield
    finally:
        worker.print_to_stdstream = before


@contextmanager
def reaped() -> Iterator[None]:
    """Let what a private Ray starts end with this process, however it ends; wrap the start and the end of it.

    All that this process starts meanwhile bears a mark in its environment, by which `reaper` knows it.
    """
    mark = uuid.uuid4().hex
    command = [sys.executable, "-I", "-S", reaper.__file__, mark]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    os.environ[reaper.MARK] = mark
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env={}, **quiet)  # type: ignore[call-overload]
    try:
        yield
    finally:
        os.environ.pop(reaper.MARK, None)
        process.stdin.write(reaper.DONE)
        process.stdin.close()
        process.wait()
