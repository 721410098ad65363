"""Noticing that Ray has died, before its library ends this process without a word to us."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

from ray._private import worker

_EVERY_S: Final = 0.2
_PATIENCE_S: Final = 5.0


class Watch:
    """For the length of a `with` block: tells once, from a thread of its own, when the raylet or the GCS has died.

    Processes of a Ray of our own are looked at; of one that was joined, whether they still listen. From then on, until
    `unmute`, nothing comes to standard error: Ray's C++ and Python write pages about it there.
    """

    def __init__(self, lost: Callable[[str], None]) -> None:
        self._lost, self._ended = lost, threading.Event()
        self._kept = -1
        self._thread = threading.Thread(target=self._watch, name="layerlift watches Ray", daemon=True)
        self.died = ""
        """What has died; nothing while all is well."""

    def __enter__(self) -> Watch:
        self._node: Any = worker._global_node
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def unmute(self) -> None:
        """Let standard error be heard again."""
        if self._kept >= 0:
            os.dup2(self._kept, 2)
            os.close(self._kept)
            self._kept = -1

    def _mute(self) -> None:
        self._kept = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)

    def _watch(self) -> None:
        while not self._ended.wait(_EVERY_S):
            self.died = self._dead()
            if self.died:
                self._mute()
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
