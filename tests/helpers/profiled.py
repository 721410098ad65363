"""A data plane that measures what the profile says."""

from __future__ import annotations

from layerlift.emulator.nodes.events import Answered, Piece, Stored
from layerlift.emulator.protocol.routes import Routes
from layerlift.emulator.world.world import World


class Profiled:
    """A data plane that "measures" what the profile says, and notes everything that it is told."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._routes = Routes([model.graph for model in world.models])
        self.executed: list[Piece] = []
        self.measured: list[Piece] = []
        self.stores: list[Stored] = []
        self.answers: list[Answered] = []
        self.forgotten: list[tuple[int, int]] = []
        self.heard: list[Stored | Piece | Answered] = []

    def store(self, stored: Stored) -> None:
        self.heard.append(stored)
        self.stores.append(stored)

    def execute(self, piece: Piece) -> None:
        self.heard.append(piece)
        self.executed.append(piece)

    def measure(self, piece: Piece) -> float:
        self.measured.append(piece)
        itinerary = self._routes[piece.route]
        segment = itinerary.route.steps[piece.step].segment
        return sum(self._world.seconds(itinerary.model, piece.node)[segment.first : segment.last + 1])

    def answered(self, answered: Answered) -> None:
        self.heard.append(answered)
        self.answers.append(answered)

    def forget(self, user: int, query: int) -> None:
        self.forgotten.append((user, query))
