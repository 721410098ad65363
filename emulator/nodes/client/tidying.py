"""What servers may let go of, and when they are told: not while it is still used, nor while it may be wanted again."""

from __future__ import annotations

from collections.abc import Iterable

from layerlift.emulator.nodes.ports import Uploading


class Tidying:
    """Belongs to one client's uploader. A place that cannot be told goes on holding what it holds.

    When it can be reached again after an outage, and a plan is being asked for, that plan may want the same there:
    so it is waited for, and no part is sent again to a server that holds it.
    """

    __slots__ = ("_client", "_missed", "_since_s", "places")

    def __init__(self, client: Uploading) -> None:
        self._client = client
        self._since_s = 0.0
        self._missed: set[int] = set()
        """Places that were out of reach when they were to be told."""
        self.places: set[int] = set()
        """Places that have still to be told what they may let go."""

    def add(self, places: Iterable[int]) -> None:
        """Have places told, once no query is under way that began before now."""
        self.places.update(places)
        self._since_s = self._client.kernel.now

    def forget(self, place: int) -> None:
        """A place holds nothing any more."""
        self.places.discard(place)
        self._missed.discard(place)

    def due(self) -> list[int]:
        """The places that may be told now, ascending; whoever asks tells them."""
        client = self._client
        if client.oldest_begun_s() <= self._since_s:
            return []  # a query that was begun under the old plan still runs where that had put its layers
        near = {
            place for place in self.places if client.reachability.can(client.host.address(client.user.index, place))
        }
        self._missed |= self.places - near
        due = near - self._missed if client.installer.asking else near
        self.places -= due
        self._missed -= due
        return sorted(due)
