"""Room that a server has promised to parts that are to come: until then it is nobody else's."""

from __future__ import annotations

from typing import NamedTuple

from layerlift.emulator.nodes.server.store import Key
from layerlift.emulator.protocol.messages import RoomReturn, UploadPart
from layerlift.models.sums import int_sum


class _Promise(NamedTuple):
    size: int
    attempt: int
    layers: tuple[int, ...]


class Rooms:
    """Belongs to one server. A promise ends when the part comes, or when its user does not want it any more."""

    __slots__ = ("_over", "_promises", "promised_bytes")

    def __init__(self) -> None:
        self._promises: dict[int, dict[Key, _Promise]] = {}
        self._over: dict[int, dict[Key, int]] = {}
        """The last attempt of each part that was given back: its question may come later than that."""
        self.promised_bytes = 0
        """To all users together."""

    def of(self, user: int) -> int:
        """Bytes that are promised to a user."""
        return int_sum(promise.size for promise in self._promises.get(user, {}).values())

    @property
    def users(self) -> list[int]:
        """Users who were promised something."""
        return list(self._promises)

    def promise(self, part: UploadPart, size: int) -> None:
        """Keep so many bytes for a part. What its user was promised for an earlier plan is free again."""
        mine = self._promises.setdefault(part.user, {})
        for key in [key for key in mine if key[0] < part.version]:
            self._drop(part.user, key)
        self._promises.setdefault(part.user, {})[part.version, part.part] = _Promise(size, part.attempt, part.layers)
        self.promised_bytes += size

    def wanted(self, part: UploadPart) -> bool:
        """Whether the question for a part has not been taken back already."""
        return part.attempt > self._over.get(part.user, {}).get((part.version, part.part), 0)

    def take(self, part: UploadPart) -> None:
        """A part has come, or is asked for anew: the room that was promised to it is there for it to take."""
        self._drop(part.user, (part.version, part.part))

    def give_back(self, message: RoomReturn) -> None:
        """A client does not want the room of an attempt any more."""
        key = message.version, message.part
        over = self._over.setdefault(message.user, {})
        over[key] = max(message.attempt, over.get(key, 0))
        promise = self._promises.get(message.user, {}).get(key)
        if promise is not None and promise.attempt <= message.attempt:
            self._drop(message.user, key)

    def narrow(self, user: int, layers: tuple[int, ...]) -> None:
        """A user wants these layers here and no others."""
        wanted = set(layers)
        for key, promise in list(self._promises.get(user, {}).items()):
            if not wanted.issuperset(promise.layers):
                self._drop(user, key)

    def leave(self, user: int) -> None:
        """A user is gone."""
        self.narrow(user, ())
        self._over.pop(user, None)

    def clear(self) -> None:
        """The server has lost everything."""
        self._promises.clear()
        self._over.clear()
        self.promised_bytes = 0

    def _drop(self, user: int, key: Key) -> None:
        mine = self._promises.get(user, {})
        promise = mine.pop(key, None)
        if promise is not None:
            self.promised_bytes -= promise.size
            if not mine:
                del self._promises[user]

    def validate(self) -> None:
        """See `Machine.validate`."""
        assert self.promised_bytes == int_sum(self.of(user) for user in self._promises), "each promise is counted once"
