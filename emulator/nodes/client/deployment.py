"""What of a client's plan is where: its parts, what servers have confirmed, and what a moving user has left behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from layerlift.emulator.nodes.client.parts import Parts
from layerlift.emulator.nodes.index_set import IndexSet
from layerlift.models.graph.graph import LayerGraph
from layerlift.planners.problem.plan import Upload


class Deployment:
    """The plan in force, in places (0 = the client, k = the k-th server), and what is confirmed of it and of others."""

    __slots__ = (
        "confirmed", "copies", "former", "graph", "held", "kept", "parts", "placement", "shared", "states", "whole",
    )  # fmt: skip

    def __init__(self, graph: LayerGraph) -> None:
        self.graph = graph
        self.placement: tuple[int, ...] = ()
        self.parts: list[Upload] = []
        self.whole = False
        """Whether the plan is used only when all of it is confirmed."""
        self.states = Parts()
        """What has become of each part."""
        self.confirmed: dict[int, IndexSet] = {}
        """By place: layers that can run there, of earlier plans too."""
        self.held: dict[int, IndexSet] = {}
        """Parameters that each place holds for this user."""
        self.shared: dict[int, IndexSet] = {}
        """Parameters that each place holds for others, as it said when last asked."""
        self.kept: dict[int, int] = {}
        """By part: bytes that an attempt left at the server (`resume`)."""
        self.former: dict[int, int] = {}
        """By layer: the place that a moving user has left, where the layer still is."""
        self.copies: dict[int, int] = {}
        """By part: the place that is to send it on to its new one."""

    def follow(self, placement: tuple[int, ...], parts: Iterable[Upload], whole: bool) -> set[int]:
        """Take up another plan; returns the places that the one before had used or that hold something."""
        before = self.confirmed.keys() | {upload.server for upload in self.parts}
        self.placement, self.parts, self.whole = placement, list(parts), whole
        self.states = Parts(len(self.parts))
        self.kept, self.former, self.copies = {}, {}, {}
        return before

    @property
    def complete(self) -> bool:
        """Whether every part is confirmed."""
        return self.states.count("confirmed") == len(self.parts)

    @property
    def settled(self) -> bool:
        """Whether nothing of the plan is on its way or waits to be sent."""
        return not any(self.states.count(state) for state in ("waiting", "sent", "between"))

    def used(self, reachable: Mapping[int, bool]) -> tuple[int, ...]:
        """Where each layer of a query that begins now runs: as planned where confirmed and reachable, else here."""
        nowhere = (0,) * len(self.graph)
        if not self.placement:
            return nowhere
        if self.whole and (not self.complete or not all(reachable[place] for place in self.placement if place)):
            return nowhere
        return tuple(self._place(layer, place, reachable) for layer, place in enumerate(self.placement))

    def _place(self, layer: int, place: int, reachable: Mapping[int, bool]) -> int:
        if self.has(place, layer) and reachable[place]:
            return place
        # Until the new server has the layer, the one that a moving user has left goes on running it.
        former = self.former.get(layer, 0)
        return former if former and self.has(former, layer) and reachable[former] else 0

    def has(self, place: int, layer: int) -> bool:
        """Whether a layer is confirmed at a place."""
        return layer in self.confirmed.get(place, ())

    def places(self) -> set[int]:
        """Places where layers may run now."""
        return {*self.placement, *self.former.values()} - {0}

    def layers(self, place: int) -> tuple[int, ...]:
        """Layers that the plan has at a place."""
        return tuple(layer for layer, where in enumerate(self.placement) if where == place)

    def wanted(self, part: int) -> tuple[int, ...]:
        """Parameters of a part that its server has not got yet, ascending."""
        upload = self.parts[part]
        wanted = IndexSet(self.graph.parameters_of(upload.layers))
        wanted.difference_update(self.held.get(upload.server, ()))
        wanted.difference_update(self.shared.get(upload.server, ()))
        return tuple(wanted)

    def confirm(self, part: int) -> None:
        """A part is stored where it belongs."""
        place, layers = self.parts[part]
        self.held.setdefault(place, IndexSet()).update(self.graph.parameters_of(layers))
        self.confirmed.setdefault(place, IndexSet()).update(layers)
        self.states.tell(part, "confirmed")
        self.kept.pop(part, None)
        self.copies.pop(part, None)

    def forget(self, place: int, layers: Iterable[int]) -> None:
        """A place has not got these layers any more; what they are parts of is not sent again."""
        there = self.confirmed.get(place, IndexSet())
        there.difference_update(layers)
        # A parameter that layers share stays as long as one of them does.
        left = self.graph.parameters_of(there)
        self.held.get(place, IndexSet()).intersection_update(left)
        for part in list(self.states.of("confirmed")):
            if self.parts[part].server == place and self._lacks(part):
                self.states.tell(part, "evicted")

    def _lacks(self, part: int) -> bool:
        place, layers = self.parts[part]
        return not all(self.has(place, layer) for layer in layers)

    def keep_only(self, place: int) -> None:
        """A place lets go of whatever the plan does not have there."""
        layers = set(self.layers(place))
        self.confirmed.get(place, IndexSet()).intersection_update(layers)
        self.held.setdefault(place, IndexSet()).intersection_update(self.graph.parameters_of(layers))

    def lose(self, place: int) -> None:
        """A place has lost everything."""
        self.held.pop(place, None)
        self.shared.pop(place, None)
        self.confirmed.pop(place, None)
        self.copies = {part: source for part, source in self.copies.items() if source != place}
        for part, upload in enumerate(self.parts):
            if upload.server == place:
                self.kept.pop(part, None)
                if self.states[part] == "confirmed":
                    self.states.tell(part, "crashed")

    def missing(self, place: int) -> list[int]:
        """Parts that belong at a place and should be sent there."""
        return [
            part
            for part, upload in enumerate(self.parts)
            if upload.server == place and self.states[part] not in ("confirmed", "skipped")
        ]

    def move(self, old: int, new: int, copy: bool) -> list[int]:
        """What the plan has at one place belongs at another now; returns the parts concerned."""
        moved = [part for part, upload in enumerate(self.parts) if upload.server == old]
        for part in moved:
            layers = self.parts[part].layers
            self.parts[part] = Upload(new, layers)
            if copy and self.states[part] == "confirmed":
                self.copies[part] = old
            if self.copies.get(part) == new:
                del self.copies[part]  # it is back where it lies
            self.states.tell(part, "moved")
            self.kept.pop(part, None)  # what an attempt had left behind is at the old server
            self.former.update((layer, old) for layer in layers if self.has(old, layer))
        self.placement = tuple(new if place == old else place for place in self.placement)
        return moved
