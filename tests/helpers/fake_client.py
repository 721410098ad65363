"""A client for one part of it: a real clock, everything else noted or made up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from math import inf
from typing import Any

from worlds import chain_graph, small_world

from layerlift.emulator.conditions.conditions import Conditions
from layerlift.emulator.kernel.clock import Kernel, Node, Signal
from layerlift.emulator.nodes.events import Piece
from layerlift.emulator.nodes.index_set import IndexSet
from layerlift.emulator.nodes.ports import Measurable
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.protocol.messages import ClaimRequest, Departure, Message
from layerlift.emulator.protocol.routes import Routes
from layerlift.emulator.results.rows import ChangeKind, Emitted, PlanCause, Rows
from layerlift.emulator.world.models import ModelSpec
from layerlift.emulator.world.world import World

GRAPH = chain_graph((100, 100, 100, 100), (1000, 2000, 3000))
"""Three layers with a parameter each."""


class FakeHost:
    """What a node asks of its host, as far as the parts of a client do."""

    def __init__(self, world: World, claims: bool = False) -> None:
        self.world, self.kernel = world, Kernel()
        self.routes = Routes([model.graph for model in world.models])
        self.conditions = Conditions(world)
        self.rows: Rows = defaultdict(list)
        self.user_names = [user.name for user in world.users]
        self.executes = False
        self.crowd_wanted = False
        self.depart: Callable[[Departure], object]
        self.plan: Callable[[PlanJob], object]
        self.leave: Callable[[tuple[float, int]], object]
        self._claims = claims

    def address(self, user: int, place: int) -> int:
        return self.world.servers[place - 1] if place else self.world.users[user].client

    def place_of(self, server: int) -> int:
        return self.world.servers.index(server) + 1

    def claims(self, server: int) -> bool:
        return self._claims

    def client_of(self, user: int) -> int:
        return self.world.users[user].client

    def model_of(self, user: int) -> ModelSpec:
        return self.world.models[self.world.users[user].model]

    def ran(self, piece: Piece) -> None:
        raise AssertionError("no stage runs here")

    def measure(self, stage: Measurable) -> None:
        raise AssertionError("nothing is measured here")

    def stored(self, node: int, user: int, parameters: tuple[int, ...]) -> None: ...

    def answered(self, user: int, query: int, route: str) -> None: ...

    def dropped(self, user: int, query: int) -> None: ...


class Noted:
    """Notes the calls of any method as (name, arguments), and answers nothing."""

    def __init__(self, told: list[tuple[Any, ...]]) -> None:
        self._told = told

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *given: self._told.append((name, *given))


class FakeReachability:
    def __init__(self) -> None:
        self.dead: set[int] = set()
        self.cut: set[int] = set()

    def can(self, server: int) -> bool:
        return server not in self.dead and server not in self.cut

    def cut_off(self, server: int) -> None:
        self.cut.add(server)


class FakeInstaller:
    """Holds what a server is said to share; notes what is asked for."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.has: tuple[int, ...] = ()
        self._stamp = 0
        self.asking = False

    def count(self) -> None:
        self.told.append(("count",))

    def greet_again(self, server: int) -> None:
        self.told.append(("greet again", server))

    def on_change(self, cause: PlanCause) -> None:
        self.told.append(("on change", cause))

    def replan(self, cause: PlanCause) -> None:
        self.told.append(("replan", cause))

    def shared(self, server: int) -> IndexSet:
        return IndexSet(self.has)

    def forget_shared(self, server: int) -> None:
        self.has = ()

    def claim(self, place: int, layers: tuple[int, ...], only: bool) -> ClaimRequest:
        return ClaimRequest(0, layers, only, self.stamp(), 0.0, 0, 1.0)

    def stamp(self) -> int:
        self._stamp += 1
        return self._stamp


class FakeUploader:
    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.version, self.predicted_s = 1, 0.5

    def seen(self) -> tuple[tuple[int, float], ...]:
        return ((1, 5e5),)

    def link_bytes(self, place: int) -> int:
        return 200 * place

    def lost(self, server: int) -> None:
        self.told.append(("lost", server))

    def resume(self, server: int) -> None:
        self.told.append(("resume", server))

    def tidy(self) -> None: ...

    def move(self, old: int, new: int, copy: bool) -> None:
        self.told.append(("move", old, new, copy))


class FakeClient(Node):
    """The client of the first user of a small world: what leaves it is in `sent`, what it reports in `rows`."""

    def __init__(self, *, claims: bool = False, **world: Any) -> None:
        made = small_world(GRAPH, (0.1, 0.2, 0.3), **{"servers": 2, **world})
        self.host = FakeHost(made, claims)
        super().__init__(self.host.kernel, 0)
        self.user, self.spec, self.name = made.users[0], made.nodes[0], made.nodes[0].name
        self.left = False
        self.sent: list[tuple[int, int, Message]] = []
        self.rows: list[Emitted] = []
        self.changes: list[tuple[str, str, str]] = []
        self.told: list[tuple[Any, ...]] = []
        self.reachability, self.installer, self.uploader = FakeReachability(), FakeInstaller(), FakeUploader()
        self.roaming = Noted(self.told)
        self.oldest_s = inf
        self.vigilance = None

    def run(self, until: float) -> None:
        """Let time pass; what happens at `until` itself has not happened yet."""
        self.kernel.run_before(until)
        self.kernel.now = until

    def send(self, to: int, size: int, message: Message, stream: int = 0) -> int:
        self.sent.append((to, size, message))
        return len(self.sent)

    def row(self, row: Emitted) -> None:
        self.rows.append(row)

    def change(self, kind: ChangeKind, peer: str = "", note: str = "") -> None:
        self.changes.append((kind, peer, note))

    def changed(self) -> None:
        self.told.append(("changed",))

    def oldest_begun_s(self) -> float:
        return self.oldest_s

    def seconds(self, model: int) -> tuple[float, ...]:
        return self.host.world.seconds(model, self.index)

    def charge_j(self) -> float | None:
        return None

    def fall_back_from(self, server: int, cause: str, reason: str) -> None:
        self.told.append(("fall back", server, cause, reason))

    def messages(self, kind: type) -> Sequence[Any]:
        """What was sent of a kind, in order."""
        return [message for _, _, message in self.sent if type(message) is kind]


class Question:
    """A query under way that a test ends."""

    def __init__(self, node: Node) -> None:
        self.done: Signal = node.signal()
