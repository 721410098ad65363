"""A Ray cluster for the length of a run: one of its own on loopback, or one that is joined."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import ray
from ray._private import ray_constants, utils, worker

from layerlift.emulator.cluster.failures import not_started
from layerlift.emulator.cluster.loopback import loopback_only, own_signals, reaped, unheard
from layerlift.emulator.cluster.watch import Watch
from layerlift.emulator.runtime.interruption import afterwards
from layerlift.emulator.runtime.placing import reach
from layerlift.models.errors import RunError


class RayCluster:
    """Ray, started on this machine or joined, for the length of a `with` block.

    `address` None starts a private Ray that listens on loopback only; otherwise a running cluster is joined
    (`auto`, or `host:port`). Raises `RunError` when that cannot be done. A Ray that this process has already
    initialised is used and left running. `say` is told what a signal waits for; `lost` is told, from another thread,
    when Ray has died: it would end this process before long.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        object_store_bytes: int | None = None,
        say: Callable[[str], None] = lambda text: None,
        lost: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._address, self._bytes, self._stack = address, object_store_bytes, ExitStack()
        self._say, self._lost = say, lost

    def __enter__(self) -> RayCluster:
        if ray.is_initialized():
            return self
        os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # the conductor tells the first, in one sentence
        options: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
        if self._address is None:
            # Without an address Ray would join whatever runs on this machine, or what RAY_ADDRESS names.
            options |= {"address": "local", "include_dashboard": False, "object_store_memory": self._bytes}
            _take_own_token()
            self._stack.enter_context(loopback_only(ray_constants))
            self._stack.enter_context(reaped())
        else:
            reach(self._address)
            options["address"] = self._address
        self._stack.enter_context(unheard(worker))
        watch = Watch(self._lost)
        self._stack.callback(watch.unmute)
        try:
            with afterwards(self._say, "once Ray has started"), own_signals(utils):
                ray.init(**options)
                self._stack.callback(ray.shutdown)
            self._stack.enter_context(watch)
        except (Exception, SystemExit) as error:  # Ray raises bare exceptions, and now and then leaves
            self._give_up()
            raise RunError(not_started(error, self._address)) from error
        except KeyboardInterrupt:
            self._give_up()
            raise
        return self

    def _give_up(self) -> None:
        """End what has started of a Ray that is not to be."""
        with contextlib.suppress(Exception):
            ray.shutdown()
        self._stack.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def _take_own_token() -> None:
    """Give a private Ray a token that dies with this process, unless the user has one: Ray would leave one in HOME.

    Ray keeps the first token that it reads for as long as the process lives, so this one stays too.
    """
    given = any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    if not given and not os.path.exists(os.path.expanduser("~/.ray/auth_token")):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def machines() -> list[str]:
    """Names that Ray gave to the machines which are up, in one order."""
    nodes: Any = ray.nodes
    return sorted(str(node["NodeID"]) for node in nodes() if node["Alive"])
