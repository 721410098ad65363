"""A server of a validation: `python -P -m layerlift.emulator.studies.validate.server`, started by `children`.

It listens for as long as it takes its client and its fellows to connect, runs only what was uploaded to it, and says
what that took when it is asked.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from layerlift.emulator.studies.validate.child import Answer, Control, end_after, live
from layerlift.emulator.studies.validate.messages import Broken, packed, received
from layerlift.emulator.studies.validate.node import Arrived, Node
from layerlift.emulator.studies.validate.pieces import Arrays, Described, apart
from layerlift.models.sums import left_sum

_KNOCKS: Final = 64
"""So many connections are looked at in all."""
_START_S: Final = 60.0


class Server:
    """One server; what it is told comes through `answer`."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._listener = socket.socket()
        self._lock = threading.Lock()
        self._weights: Arrays = {}
        self._ran: list[list[float]] = []
        self._built: list[list[float]] = []
        self._next: Arrived | None = None

    def answer(self, head: Mapping[str, Any], blobs: list[np.ndarray]) -> Mapping[str, Any] | None:
        """See `child`."""
        if "setup" in head:
            return self._set_up(head["setup"], [blob.tobytes() for blob in blobs])
        if "fellows" in head:
            for to, place in head["fellows"]:
                self._node.join(int(to), self._node.connect(place, "queries"), self._node.wire())
            return {}
        if "begin" in head:
            with self._lock:
                self._node.begin(head["begin"])
                self._weights, self._ran, self._built = {}, [], []
            return {}
        with self._lock:
            return {"ran": self._ran, "built": self._built}

    def _set_up(self, setup: Mapping[str, Any], models: list[bytes]) -> Mapping[str, Any]:
        self._node = Node(int(setup["index"]), setup, models, self._control.fail)
        end_after(self._node.limit_s)
        self._listener.bind((str(setup["host"]), 0))
        self._listener.listen(8)
        self._listener.settimeout(_START_S)
        self._down = self._node.bucket()
        threading.Thread(target=self._welcome, args=(int(setup["connections"]),), daemon=True).start()
        threading.Thread(target=self._work, daemon=True).start()
        return {"port": self._listener.getsockname()[1]}

    def _welcome(self, expected: int) -> None:
        """Take in who knows the token, `expected` of them, and listen no longer."""
        try:
            left = expected
            for _ in range(_KNOCKS):
                if not left:
                    break
                made, _ = self._listener.accept()
                who = self._node.greeted(made)
                if who is None:
                    made.close()
                    continue
                self._node.tune(made, who[1])
                left -= 1
                # Answers and confirm results share the link to the client.
                wire = self._node.wire(self._down if who[0] == 0 else None)
                if who[1] == "uploads":
                    threading.Thread(target=self._store, args=(made, wire), daemon=True).start()
                else:
                    self._node.join(who[0], made, wire)
            self._listener.close()
        except Exception as error:
            self._control.fail(error)

    def _store(self, source: socket.socket, wire: Any) -> None:
        """Receive parts, build them, and confirm each."""
        try:
            while True:
                head, payload = received(source, 1 << 40)
                part = self._node.situation["parts"][int(head["part"])]
                began_s = time.perf_counter()
                with self._lock:
                    self._weights.update(apart(payload, [Described.of(each) for each in part["weights"]]))
                    held = dict(self._weights)
                self._node.pieces[part["unit"]] = self._node.built(part["unit"], held)
                with self._lock:
                    self._built.append([float(len(payload)), time.perf_counter() - began_s])
                wire.send(source, packed({"part": head["part"]}), memoryview(b""), time.perf_counter())
        except Exception as error:
            self._control.fail(error)

    def _work(self) -> None:
        """Run queries one after the other, each on the route that it was begun on."""
        try:
            while True:
                first = self._next or self._node.inbox.get()
                self._next = None
                self._run(first)
        except Exception as error:
            self._control.fail(error)

    def _run(self, first: Arrived) -> None:
        have = {self._node.tensors[first.tensor].name: first.array}
        try:
            spent = self._node.walk(first.query, first.up, have, lambda: self._more(first.query))
        except _Left:
            return
        wall_s, cpu_s = left_sum(each.wall_s for each in spent), left_sum(each.cpu_s for each in spent)
        with self._lock:
            self._ran.append([float(first.query), wall_s, cpu_s])

    def _more(self, query: int) -> Arrived:
        arrived = self._node.inbox.get()
        if arrived.query < query:
            raise Broken(f"a tensor of query {arrived.query} came after one of query {query}")
        if arrived.query > query:
            self._next = arrived
            raise _Left
        return arrived


class _Left(Exception):
    """The next query has begun: what is still to come of this one is of no use to anybody."""


def main(control: Control) -> Answer:
    """Be ready for requests."""
    return Server(control).answer


if __name__ == "__main__":
    live(main)
