"""A user who moves: its edge server changes, and what is stored there is left, copied or sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulator.nodes.client import Client


class Roaming:
    """Follows the attachments of one client (`emulator.weather`); does nothing for one that stays where it is."""

    __slots__ = ("_at", "_client", "_how", "_stops")

    def __init__(self, client: Client) -> None:
        self._client = client
        weather = client.host.weather
        self._stops = weather.attachments(client.index)
        self._how = weather.handover(client.index)
        first = next(self._stops, None)
        self._at = first[1] if first is not None else -1
        if first is not None:
            self._next()

    def _next(self) -> None:
        stop = next(self._stops, None)  # a server may be told again, when nothing has happened for long
        if stop is not None:
            self._client.call_at(stop[0], self._arrive, stop[1])

    def _arrive(self, server: int) -> None:
        client, old = self._client, self._at
        self._at = server
        if server != old and not client.left and client.kernel.now >= client.user.arrival_s:
            names = client.host.world.nodes
            client.change("hand-over", names[server].name, f"from {names[old].name}, {self._how}")
            if self._how != "forward" and client.reach.can(server):
                places = client.host.place_of(old), client.host.place_of(server)
                client.uploader.move(*places, copy=self._how == "copy")
            client.installer.on_change("hand-over")
        if not client.left:
            self._next()
