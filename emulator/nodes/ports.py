"""What a node asks of its host, and what the parts of a client or server ask of the machine that they belong to.

Small protocols: a part is built, and tested, with anything that has these few members. Places are numbers in problems
and routes (0 = the client, k = the k-th server); servers and clients are node indices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from layerlift.emulator.conditions.conditions import Conditions
from layerlift.emulator.kernel.clock import Kernel, Signal, Sleep, Task
from layerlift.emulator.nodes.events import Piece
from layerlift.emulator.nodes.index_set import IndexSet
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.protocol.messages import ClaimRequest, Departure, Message
from layerlift.emulator.protocol.routes import Routes
from layerlift.emulator.results.rows import ChangeKind, Emitted, FallbackCause, PlanCause, Rows
from layerlift.emulator.world.machines import NodeSpec
from layerlift.emulator.world.models import ModelSpec
from layerlift.emulator.world.users import UserSpec
from layerlift.emulator.world.world import World


class Measurable(Protocol):
    """A stage whose cost nobody knows before it has been run."""

    def piece(self) -> Piece:
        """What is to be run."""
        ...

    def start(self, work_s: float) -> None:
        """Go on: it costs this much."""
        ...


class HostPort(Protocol):
    """The host as its nodes see it: the world, the clock, and ears for what they have to tell."""

    world: World
    kernel: Kernel
    routes: Routes
    conditions: Conditions
    rows: Rows
    user_names: list[str]
    executes: bool
    """Whether pieces are told at all: somebody runs them."""
    crowd_wanted: bool
    """Whether some planner of the world wants to know the crowd, so that servers keep a record of it."""
    depart: Callable[[Departure], object]
    plan: Callable[[PlanJob], object]
    leave: Callable[[tuple[float, int]], object]

    def address(self, user: int, place: int) -> int:
        """Node index of a place in a route of `user`."""
        ...

    def place_of(self, server: int) -> int:
        """The inverse of `address` for servers."""
        ...

    def claims(self, server: int) -> bool:
        """Whether a server wants to know what users want of it: for its policy, or for planners that ask."""
        ...

    def client_of(self, user: int) -> int:
        """Node index of the user's device."""
        ...

    def model_of(self, user: int) -> ModelSpec:
        """The user's model."""
        ...

    def ran(self, piece: Piece) -> None:
        """A piece has run."""
        ...

    def ran_together(self, pieces: tuple[Piece, ...]) -> None:
        """Pieces alike have run in one batch."""
        ...

    def measure(self, stage: Measurable) -> None:
        """A stage wants to start, and its cost has to be measured."""
        ...

    def stored(self, node: int, user: int, parameters: tuple[int, ...]) -> None:
        """A server holds parameters for a user from now on; none: it has let go of all."""
        ...

    def answered(self, user: int, query: int, route: str) -> None:
        """A query has all its outputs."""
        ...

    def dropped(self, user: int, query: int) -> None:
        """A query has failed."""
        ...


class Living(Protocol):
    """A machine as its parts see it: its clock, its host, its outbox."""

    @property
    def kernel(self) -> Kernel: ...
    @property
    def host(self) -> HostPort: ...
    @property
    def spec(self) -> NodeSpec: ...
    def call_at(self, at: float, call: Callable[[Any], object], argument: Any = None) -> None:
        """Call `call(argument)` at a moment (s)."""
        ...

    def send(self, to: int, size: int, message: Message, stream: int = 0) -> int:
        """Let a message leave, charged `size` bytes; its number."""
        ...


class Owner(Living, Protocol):
    """A client as all its parts see it."""

    @property
    def user(self) -> UserSpec: ...
    @property
    def left(self) -> bool:
        """Whether the user has left, or its device is off."""
        ...

    def spawn(self, task: Task) -> None:
        """Start a coroutine."""
        ...

    def sleep(self, seconds: float) -> Sleep:
        """Await it to let time pass."""
        ...

    def signal(self) -> Signal:
        """Something to wait for."""
        ...


# What parts ask of each other


class Reaches(Protocol):
    """Which servers can be used now (`reachability`)."""

    @property
    def dead(self) -> set[int]: ...
    def can(self, server: int) -> bool:
        """Whether a server is thought to be up and within reach."""
        ...

    def cut_off(self, server: int) -> None:
        """The link to a server is down."""
        ...


class Installs(Protocol):
    """Asks for offers and plans (`installer`)."""

    @property
    def asking(self) -> bool:
        """Whether a plan is being asked for that has not come yet."""
        ...

    def count(self) -> None:
        """See whether every server has answered that can."""
        ...

    def greet_again(self, server: int) -> None:
        """Ask a server that was down when the others were asked."""
        ...

    def on_change(self, cause: PlanCause) -> None:
        """Something that plans rest on has changed."""
        ...

    def replan(self, cause: PlanCause) -> None:
        """Ask for another plan."""
        ...

    def shared(self, server: int) -> IndexSet:
        """Parameters that a server holds for others of this model."""
        ...

    def forget_shared(self, server: int) -> None:
        """What a server said that it holds for others is not true any more."""
        ...

    def claim(self, place: int, layers: tuple[int, ...], only: bool) -> ClaimRequest:
        """What the plan wants of a server."""
        ...

    def stamp(self) -> int:
        """A number higher than all before."""
        ...


class Uploads(Protocol):
    """Sends parts (`uploader`)."""

    @property
    def version(self) -> int: ...
    @property
    def predicted_s(self) -> float: ...
    def seen(self) -> tuple[tuple[int, float], ...]:
        """Bandwidth (bytes/s) to servers, as parts have shown it."""
        ...

    def link_bytes(self, place: int) -> int:
        """Bytes that one query moves to and from a place once all is confirmed."""
        ...

    def lost(self, server: int) -> None:
        """A server has crashed."""
        ...

    def tidy(self) -> None:
        """Tell servers what they may let go, where that can be done now."""
        ...

    def resume(self, server: int) -> None:
        """A server can be reached again."""
        ...

    def move(self, old: int, new: int, copy: bool) -> None:
        """What the plan has at one place belongs at another."""
        ...


class Roams(Protocol):
    """Follows the user's attachments (`roaming`)."""

    def reached(self, server: int) -> None:
        """A server can be used."""
        ...


# What each part asks of its client


class Powered(Owner, Protocol):
    """What the battery asks."""

    def busy_s(self, until: float) -> float:
        """Core-seconds of work that the CPU has done up to a moment."""
        ...

    def die(self) -> None:
        """Nothing is left."""
        ...


class Asking(Owner, Protocol):
    """What the questions ask."""

    @property
    def open(self) -> Mapping[int, Any]:
        """Queries under way, by number."""
        ...

    def begin(self, number: int, asked_s: float) -> Asked | None:
        """Begin a query; None: it has failed at once."""
        ...

    def fail_unbegun(self, number: int, asked_s: float, reason: str) -> None:
        """Report a question that was never begun."""
        ...

    def sleep_until(self, at: float) -> Sleep:
        """Await it to let time reach a moment."""
        ...


class Asked(Protocol):
    """A query under way, as whoever asked it sees it."""

    @property
    def done(self) -> Signal: ...


class Installing(Owner, Protocol):
    """What the installer asks."""

    @property
    def reachability(self) -> Reaches: ...
    @property
    def uploader(self) -> Uploads: ...
    def seconds(self, model: int) -> tuple[float, ...]:
        """Seconds of each layer, alone on the client."""
        ...

    def charge_j(self) -> float | None:
        """What is left in the battery; None without one."""
        ...


class Uploading(Owner, Protocol):
    """What the uploader asks."""

    @property
    def name(self) -> str: ...
    @property
    def reachability(self) -> Reaches: ...
    @property
    def installer(self) -> Installs: ...
    def oldest_begun_s(self) -> float:
        """When the oldest query under way was begun; infinite when there is none."""
        ...

    def changed(self) -> None:
        """The plan or the confirmed set has changed."""
        ...

    def row(self, row: Emitted) -> None:
        """Report something that happened now."""
        ...


class Reaching(Owner, Protocol):
    """What the reachability asks."""

    @property
    def uploader(self) -> Uploads: ...
    @property
    def installer(self) -> Installs: ...
    @property
    def roaming(self) -> Roams: ...
    def changed(self) -> None:
        """Where queries can run has changed."""
        ...

    def change(self, kind: ChangeKind, peer: str = "", note: str = "") -> None:
        """Report something that happened to this user's world."""
        ...

    def fall_back_from(self, server: int, cause: FallbackCause, reason: str) -> None:
        """Finish at home what was to run on a server and is not over."""
        ...


class Roaming(Owner, Protocol):
    """What the roaming part asks."""

    @property
    def index(self) -> int: ...
    @property
    def reachability(self) -> Reaches: ...
    @property
    def uploader(self) -> Uploads: ...
    @property
    def installer(self) -> Installs: ...
    def change(self, kind: ChangeKind, peer: str = "", note: str = "") -> None:
        """Report something that happened to this user's world."""
        ...
