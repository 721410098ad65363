"""Noticing that Ray has died, before its library ends this process without a word to us."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final

from ray._private import worker

_EVERY_S: Final = 0.5
_PATIENCE_S: Final = 5.0


class Watch:
    """For the length of a `with` block: tells once, from a thread of its own, when the raylet or the GCS has died.

    Processes of a Ray of our own are looked at; of one that was joined, whether they still listen.
    """

    def __init__(self, lost: Callable[[str], None]) -> None:
        self._lost, self._ended = lost, threading.Event()
        self._node: Any = worker._global_node
        self._thread = threading.Thread(target=self._watch, name="layerlift watches Ray", daemon=True)
        self.died = ""
        """What has died; nothing while all is well."""

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(_EVERY_S):
            self.died = self._dead()
            if self.died:
                self._lost(f"Ray's {self.died} has died: its logs are in {self._node.get_logs_dir_path()}")
                return

    def _dead(self) -> str:
        started: dict[str, list[Any]] = self._node.all_processes
        if started:
            ours = {"gcs_server": "GCS (its server of names)", "raylet": "raylet"}
            for kind, name in ours.items():
                if any(each.process.poll() is not None for each in started.get(kind, ())):
                    return name
            return ""
        return "" if _listens(self._node.gcs_address) else "GCS (its server of names)"


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE_S).close()
    except OSError:
        return False
    return True


@contextmanager
def muted() -> Iterator[None]:
    """Let nothing be written to standard error meanwhile, by C++ neither: Ray's library complains of its death."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        with contextlib.suppress(OSError):
            os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
