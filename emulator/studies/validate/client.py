"""The client of a validation: `python -P -m layerlift.emulator.studies.validate.client`, started by `children`.

One thread asks queries back to back, another uploads parts one after the other, as in the paper.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from layerlift.emulator.execution.answers import relative_error
from layerlift.emulator.studies.validate.child import Answer, Control, end_after, live
from layerlift.emulator.studies.validate.messages import Broken, packed, received
from layerlift.emulator.studies.validate.node import Arrived, Node
from layerlift.emulator.studies.validate.pieces import Arrays, together
from layerlift.emulator.studies.validate.wire import Wire
from layerlift.models.loading.load import load
from layerlift.models.sums import left_sum


class Client:
    """The client; what it is told comes through `answer`."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._uploads: dict[int, socket.socket] = {}
        self._query = 0
        self._situation = -1
        self._payloads: list[memoryview] = []

    def answer(self, head: Mapping[str, Any], blobs: list[np.ndarray]) -> Mapping[str, Any] | None:
        """See `child`."""
        if "setup" in head:
            return self._set_up(head["setup"], [blob.tobytes() for blob in blobs])
        threading.Thread(target=self._round, args=(head["round"],), daemon=True).start()
        return None

    def _set_up(self, setup: Mapping[str, Any], models: list[bytes]) -> Mapping[str, Any]:
        node = self._node = Node(0, setup, models, self._control.fail)
        end_after(node.limit_s)
        source = setup["network"]
        self._network = load(source["name"], dims=source["dims"], fix=source["fix"], outputs=source["outputs"])
        self._inputs = self._network.sample_inputs(0)
        bucket = node.bucket()  # the client's own link, whatever server it speaks to
        self._wire: Wire = node.wire(bucket)
        for number, place in enumerate(setup["servers"], 1):
            node.join(number, node.connect(place, "queries"), node.wire(bucket))
            self._uploads[number] = node.connect(place, "uploads")
        return {}

    def _round(self, asked: Mapping[str, Any]) -> None:
        try:
            self._prepare(int(asked["situation"]))
            self._control.tell(_Round(self, asked).carried_out())
        except Exception as error:
            self._control.fail(error)

    def _prepare(self, situation: int) -> None:
        if situation == self._situation:
            return
        told = self._node.begin(situation)
        weights = self._network.weights()
        self._node.pieces = {unit: self._node.built(unit, weights) for unit in range(len(told["units"]))}
        self._payloads = [together([weights[name] for name, _, _ in part["weights"]]) for part in told["parts"]]
        self._situation = situation

    def ask(self, up: int) -> tuple[dict[str, Any], Arrays]:
        """Ask a query while `up` parts are confirmed: what it took, and all tensors that were here at its end."""
        number, node = self._query, self._node
        self._query += 1
        route = node.situation["routes"][up]
        have = dict(self._inputs)
        began_s = time.perf_counter()
        node.put(number, up, route["opening"], have)
        spent = node.walk(number, up, have, lambda: self._take(number), route["answers"])
        ended_s = time.perf_counter()
        wall_s, cpu_s = left_sum(each.wall_s for each in spent), left_sum(each.cpu_s for each in spent)
        row = {"query": number, "begun_s": began_s, "ended_s": ended_s, "up": up, "wall_s": wall_s, "cpu_s": cpu_s}
        return row, have

    def _take(self, query: int) -> Arrived:
        while True:
            try:
                arrived = self._node.inbox.get(timeout=self._node.limit_s)
            except queue.Empty:
                raise Broken("a server was silent for too long") from None
            if arrived.query == query:
                return arrived

    def upload(self, part: int) -> dict[str, float]:
        """Upload a part and wait for its confirm result."""
        to = int(self._node.situation["parts"][part]["node"])
        payload = self._payloads[part]
        sent_s = time.perf_counter()
        crossing = self._wire.send(self._uploads[to], packed({"part": part}, len(payload)), payload, sent_s)
        received(self._uploads[to], 0)
        return {
            "sent_s": sent_s,
            "ended_s": time.perf_counter(),
            "bytes": len(payload),
            "crossing_s": crossing.seconds,
            "granted": crossing.granted,
        }

    @property
    def parts(self) -> int:
        """How many there are."""
        return len(self._payloads)

    def answers_of(self, have: Arrays) -> list[np.ndarray]:
        """The network's outputs among tensors."""
        graph = self._network.graph
        return [have[graph.tensors[tensor].name] for tensor in graph.outputs]

    @property
    def failed(self) -> Any:
        """What ends this process with a word to its parent."""
        return self._control.fail


class _Round:
    """Queries before, beside and after an upload."""

    def __init__(self, client: Client, asked: Mapping[str, Any]) -> None:
        self._client = client
        self._warm, self._before, self._after = (int(asked[name]) for name in ("warm", "before", "after"))
        self._up = 0
        self._parts: list[dict[str, float]] = []
        self._rows: list[dict[str, Any]] = []
        self._error = 0.0

    def carried_out(self) -> dict[str, Any]:
        """Carry it out; what it took, as JSON."""
        client = self._client
        for _ in range(self._warm):
            _, have = client.ask(0)
        expected = client.answers_of(have)
        for _ in range(self._before):
            self._ask(expected)
        started_s = time.perf_counter()
        uploading = threading.Thread(target=self._upload, daemon=True)
        uploading.start()
        while self._up < client.parts:
            self._ask(expected)
        for _ in range(self._after):
            self._ask(expected)
        uploading.join()
        return {"started_s": started_s, "queries": self._rows, "parts": self._parts, "difference": self._error}

    def _ask(self, expected: Sequence[np.ndarray]) -> None:
        row, have = self._client.ask(self._up)
        self._rows.append(row)
        for found, wanted in zip(self._client.answers_of(have), expected, strict=True):
            self._error = max(self._error, min(1e300, relative_error(found, wanted) or 0.0))

    def _upload(self) -> None:
        try:
            for part in range(self._client.parts):
                self._parts.append(self._client.upload(part))
                self._up = part + 1
        except Exception as error:
            self._client.failed(error)


def main(control: Control) -> Answer:
    """Be ready for requests."""
    return Client(control).answer


if __name__ == "__main__":
    live(main)
