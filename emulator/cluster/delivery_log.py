"""What a host was told, so that another in its place can be told the same: on disk, since a run may be long."""

from __future__ import annotations

import pickle
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, Any, Final

from layerlift.emulator.protocol.messages import Delivery
from layerlift.emulator.runtime.host import Host
from layerlift.emulator.runtime.ports import Costs

_BLOCK: Final = 4_096
"""Deliveries and costs that are kept in memory before they go to disk."""


class DeliveryLog:
    """The calls of `Host.advance` by which a host came to where it is."""

    def __init__(self) -> None:
        # It has no name: the system deletes it when it is closed, or when this process ends.
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._calls: list[tuple[float, Sequence[Delivery], Costs]] = []
        self._size = 0
        self._horizon = 0.0

    def close(self) -> None:
        """Give the file back; nobody asks after that."""
        self._file.close()

    def add(self, horizon: float, deliveries: Sequence[Delivery], costs: Costs, halted: bool) -> None:
        """Note a call that has been answered. One that told nothing and was not halted goes into the next."""
        self._horizon = horizon
        if not deliveries and not costs and not halted:
            return
        self._calls.append((horizon, deliveries, costs))
        self._size += 1 + len(deliveries) + len(costs)
        if self._size >= _BLOCK:
            pickle.dump(_packed(self._calls), self._file, pickle.HIGHEST_PROTOCOL)
            self._calls, self._size = [], 0

    def blocks(self) -> Iterator[bytes]:
        """The log in pieces of bounded size, for `repeat` to be given one after the other."""
        at = 0
        while True:
            self._file.seek(at)
            try:
                block: bytes = pickle.load(self._file)
            except EOFError:
                break
            at = self._file.tell()
            yield block
        yield _packed([*self._calls, (self._horizon, (), ())])
        self._file.seek(0, 2)


def repeat(host: Host, block: bytes) -> None:
    """Tell a new host what is in a block. What it answers is known already."""
    calls: list[tuple[Any, ...]] = pickle.loads(zlib.decompress(block))
    for horizon, deliveries, costs in calls:
        host.advance(horizon, deliveries, costs)


def _packed(calls: Sequence[tuple[float, Sequence[Delivery], Costs]]) -> bytes:
    return zlib.compress(pickle.dumps(calls, pickle.HIGHEST_PROTOCOL), 1)
