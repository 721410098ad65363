"""Keeping a private Ray to this machine, and its hands off our signals."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

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
