"""A Ray cluster for the length of a run: one of its own on loopback, or one that is joined."""

from __future__ import annotations

import os
import secrets
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import ray
from ray._private import ray_constants
from ray.exceptions import RayError

from layerlift.emulator.cluster.loopback import loopback_only
from layerlift.emulator.runtime.interruption import afterwards
from layerlift.emulator.runtime.placing import reach
from layerlift.models.errors import RunError
from layerlift.models.onnx_files.protos import one_line


class RayCluster:
    """Ray, started on this machine or joined, for the length of a `with` block.

    `address` None starts a private Ray that listens on loopback only; otherwise a running cluster is joined
    (`auto`, or `host:port`). Raises `RunError` when that cannot be done. A Ray that this process has already
    initialised is used and left running.
    """

    def __init__(self, address: str | None = None, *, object_store_bytes: int | None = None) -> None:
        self._address, self._bytes, self._stack = address, object_store_bytes, ExitStack()

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
        else:
            reach(self._address)
            options["address"] = self._address
        try:
            with afterwards():
                ray.init(**options)
                self._stack.callback(ray.shutdown)
        except (RayError, ConnectionError, RuntimeError, ValueError, OSError) as error:
            self._stack.close()
            where = f"join Ray at {self._address}" if self._address else "start Ray"
            raise RunError(f"cannot {where}: {one_line(error)}; --local runs the same without Ray") from error
        except KeyboardInterrupt:
            self._stack.close()
            raise
        return self

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
