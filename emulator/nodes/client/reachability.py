"""Which servers a client can use now: those that have not crashed, over links that are not known to be down."""

from __future__ import annotations

from layerlift.emulator.nodes.ports import Reaching
from layerlift.emulator.protocol.messages import LinkUp, NodeDown, NodeUp


class Reachability:
    """Belongs to one client. It learns of a crash by word, and of a link that is down by a transfer that breaks off."""

    __slots__ = ("_client", "_cut", "dead")

    def __init__(self, client: Reaching) -> None:
        self._client = client
        self.dead: set[int] = set()
        """Node indices of the servers that have crashed and are not back."""
        self._cut: set[int] = set()

    def can(self, server: int) -> bool:
        """Whether a server (node index) is thought to be up and within reach."""
        return server not in self.dead and server not in self._cut

    def cut_off(self, server: int) -> None:
        """The link to a server is down; `link_up` will tell when it works again."""
        if server not in self._cut and not self._client.left:
            self._cut.add(server)
            self._client.change("link down", self._name(server))
            self._client.changed()

    def link_up(self, message: LinkUp) -> None:
        """The link to a server works again."""
        if message.server in self._cut:
            self._cut.discard(message.server)
            if not self._client.left:
                self._client.change("link up", self._name(message.server))
            self._again(message.server)

    def node_down(self, message: NodeDown) -> None:
        """A server has crashed: what it held is lost, and what it worked on is finished here."""
        client, server = self._client, message.server
        if server in self.dead:
            return
        self.dead.add(server)
        client.changed()
        client.uploader.lost(server)
        client.installer.count()
        client.fall_back_from(server, "server", f"{self._name(server)} is down")
        client.installer.on_change("down")

    def node_up(self, message: NodeUp) -> None:
        """A server is back, empty: what the plan places there is sent again."""
        if message.server in self.dead:
            self.dead.discard(message.server)
            self._again(message.server)
            self._client.installer.greet_again(message.server)

    def _again(self, server: int) -> None:
        client = self._client
        if not client.left and self.can(server):
            client.changed()
            client.roaming.reached(server)
            client.uploader.resume(server)
            client.installer.on_change("up")
            client.uploader.tidy()

    def _name(self, server: int) -> str:
        return self._client.host.world.nodes[server].name
