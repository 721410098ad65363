"""A user who moves: its edge server changes, and what is stored there is left, copied or sent again."""

from __future__ import annotations

from layerlift.emulator.nodes import ports


class Roaming:
    """Follows the attachments of one client (`layerlift.emulator.conditions.conditions`); does nothing for one that
    stays where it is.
    """

    __slots__ = ("_at", "_client", "_home", "_how", "_stops")

    def __init__(self, client: ports.Roaming) -> None:
        self._client = client
        conditions = client.host.conditions
        self._stops = conditions.attachments(client.index)
        self._how = conditions.handover(client.index)
        first = next(self._stops, None)
        self._at = self._home = first[1] if first is not None else -1
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
            self.reached(server)
            client.installer.on_change("hand-over")
        elif server != old:
            self._home = server  # before its arrival a user has nothing to take along
        if not client.left:
            self._next()

    def reached(self, server: int) -> None:
        """A server (node index) can be used: if the user is with it now, what was stored elsewhere comes along."""
        client = self._client
        if server != self._at or server == self._home or self._how == "forward" or not client.reachability.can(server):
            return
        places = client.host.place_of(self._home), client.host.place_of(server)
        self._home = server
        client.uploader.move(*places, copy=self._how == "copy")
