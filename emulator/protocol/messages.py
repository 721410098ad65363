"""What nodes say to each other. Plain tuples: small to pickle, equal by value, never changed.

What a message means is in its fields. A `reason` is for people: it is shown, and nobody reads a meaning out of it.
Bytes are charged by the sender (`header_bytes` plus what the message carries); the content itself is data.
Users, queries and parts are numbers of the world; servers and clients are node indices.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from layerlift.emulator.results.rows import PlanCause
from layerlift.planners.problem.plan import Upload

FILE_ENTRY_BYTES = 12
"""One line of file_1 or file_2: a layer's index (4 bytes) and its seconds (8)."""


Verdict = Literal["stored", "refused", "gone", "failed", "room"]
"""Of a part: it is there; the server does not want it; parameters that it was to share with others have left; it never
came to a server that could say (a copy whose source has not got it, or that broke off); or there is room for it."""
BreakCause = Literal["server", "link", "lost"]
"""Why something broke off: a dead server, a link that is down, or bad luck on a link."""


class Hello(NamedTuple):
    """Client to server: a user has come with this model; what would its layers cost on you?"""

    user: int
    model: int


class Attendance(NamedTuple):
    """Who is at a server and what that costs it, as it knows itself. A few numbers: their bytes are the header's."""

    at_s: float
    """When it said so."""
    users: int
    """Users whose plans want something of it."""
    promised_bytes: int
    """Parameters that those plans want to keep there, as if nothing were shared."""
    plans: float
    """Plans that have come in the last seconds."""
    asks_per_s: float
    """Questions a second of its users together."""
    work: float
    """Core-seconds a second that those cost it."""
    received_bytes_s: float
    """Over the last seconds."""
    sent_bytes_s: float


class Prediction(NamedTuple):
    """Server to client: file_2 of the paper, and the server's offer to this user."""

    user: int
    server: int
    seconds: tuple[float, ...]
    memory_bytes: float
    load: float
    share: float
    link_share: float = 1.0
    has: tuple[int, ...] = ()
    """Parameters of the user's model that are there already and need not travel (`share_models`)."""
    attendance: Attendance | None = None
    """None where no planner of the world wants to know."""
    on: bool = True
    """Whether it takes parts at all: what is switched off, or soon will be, answers no more than that."""


class PlanRequest(NamedTuple):
    """Client to planner: file_1 (its own layer seconds) and every file_2 that it has."""

    user: int
    seconds: tuple[float, ...]
    predictions: tuple[Prediction, ...]
    cause: PlanCause = "arrival"
    charge_j: float | None = None
    """What is left in the client's battery."""
    seen_bytes_s: tuple[tuple[int, float], ...] = ()
    """Bandwidth to servers (node indices) as the client's own uploads have measured it."""
    again: int = 0
    """The version of an earlier plan that is wanted again, under a new number; 0: a new plan is wanted."""


class PlanReply(NamedTuple):
    """Planner to client. Placement and uploads use 0 for the client and k for the k-th server of the world."""

    user: int
    version: int
    placement: tuple[int, ...]
    uploads: tuple[Upload, ...]
    whole: bool
    accepted: bool
    predicted_s: float = 0.0
    """What a query takes once all is confirmed, as the planner's problem has it."""


class UploadPart(NamedTuple):
    """Client to server: one P3, the layers of one upload."""

    user: int
    version: int
    part: int
    attempt: int
    layers: tuple[int, ...]
    parameters: tuple[int, ...]
    """Parameters that travel: those of `layers` that the client has not sent to this server before."""
    stamp: int = 0
    """See `ClaimRequest`."""
    claim: ClaimRequest | None = None
    """What the plan wants of the server, where its policy asks: the claim that went before may have been lost."""


class RoomRequest(NamedTuple):
    """Client to server: may this part come? It costs a header; the answer is a confirm result, as if it had come."""

    part: UploadPart


class RoomReturn(NamedTuple):
    """Client to server: the room that was asked for by this attempt is not wanted (any more)."""

    user: int
    version: int
    part: int
    attempt: int


class CopyPart(NamedTuple):
    """Client to the server that it leaves: send `part` on to server `to` (a node), which will confirm it."""

    to: int
    bytes: int
    part: UploadPart


class ClaimRequest(NamedTuple):
    """Client to server: what the user's plan wants of it."""

    user: int
    layers: tuple[int, ...]
    only: bool
    """Whether whatever else is stored for the user may be let go now."""
    stamp: int
    """Higher than that of everything that the client has sent to servers before: an older claim may come late."""
    work_s: float
    """CPU seconds of one query on this server, as predicted."""
    link_bytes: int
    """Bytes of one query over this server's links."""
    period_s: float
    """Seconds from one query to the next, if it were alone."""


class Evicted(NamedTuple):
    """Server to client: parts with these layers are no longer here; the policy took their memory back."""

    user: int
    server: int
    layers: tuple[int, ...]


class Confirm(NamedTuple):
    """Server to client: the confirm result (CR) of one part."""

    user: int
    version: int
    part: int
    attempt: int
    verdict: Verdict
    reason: str = ""
    wasted_bytes: int = 0
    """Bytes of a copy that broke off (`failed`) which had crossed a link for nothing."""


class QueryStep(NamedTuple):
    """One tensor of one query, to the node whose segment reads it, or the answer, to the client.

    `route` names the whole route (see `layerlift.emulator.protocol.routes`), so that the receiver knows what to run.
    """

    user: int
    query: int
    route: str
    tensor: int


class Refused(NamedTuple):
    """Server to client: a step of a query came for layers that are not here (any more)."""

    user: int
    query: int
    server: int
    missing: tuple[int, ...]


class Abort(NamedTuple):
    """Client to server: the query is finished elsewhere; forget it."""

    user: int
    query: int


class Load(NamedTuple):
    """Server to planner: a heartbeat."""

    server: int
    running: float
    """Pieces of work under way."""
    memory_bytes: float
    """Room for parameters."""
    attendance: Attendance | None = None
    """See `Prediction`."""


PowerState = Literal["off", "starting", "on", "closing"]
"""Of a server that is switched on and off. It serves queries while it is on or closing, and takes parts while on."""


class Use(NamedTuple):
    """Server to planner: how it is, and what it has worked since it said so last."""

    server: int
    state: PowerState
    busy_s: float
    """Core-seconds."""
    span_s: float
    """Over which time."""


class Switch(NamedTuple):
    """Planner to server: be on, or off, from now on."""

    on: bool
    use: float
    """The use of its group that asked for it."""


class Closing(NamedTuple):
    """Server to the client of a user who has something there: it will be switched off."""

    server: int


class Opened(NamedTuple):
    """Server to the client of a user who has asked in vain: it is on now."""

    server: int


class Leave(NamedTuple):
    """Client to server: the user is gone; free what it held."""

    user: int


class Cancel(NamedTuple):
    """Client to fabric: stop the transfer that the sender numbered `sequence`; effective after one link latency."""

    sequence: int


class Weigh(NamedTuple):
    """Server to fabric: the weight of all transfers between it and a client; effective after one link latency."""

    weight: float


class ReadMeter(NamedTuple):
    """Client to its own meter: how long has the radio been on?"""


class SwitchOff(NamedTuple):
    """Client to its own meter: the device is off from now on, whatever is still on its way to it."""


class Meter(NamedTuple):
    """The meter's answer: seconds with a transfer under way, since the start of the run."""

    radio_s: float


class Failed(NamedTuple):
    """Network to sender: the upload that it numbered `sequence` broke off after so many bytes."""

    sequence: int
    cause: BreakCause
    reason: str
    carried_bytes: int
    kept_bytes: int
    """Of those, how many its receiver keeps for an attempt that goes on there."""
    down: bool
    """Whether the link itself is down: the client will be told when it is up."""


class Broken(NamedTuple):
    """Network to client: a tensor of its query was lost on some link or at a dead node."""

    query: int
    route: str
    cause: BreakCause
    reason: str
    server: int
    """The server at the broken end, -1 for a link between two servers."""
    down: bool
    """Whether the link itself is down: the client will be told when it is up, if it is a link of its own."""


class NodeDown(NamedTuple):
    """Network to client: a server has crashed, and what it stored is lost."""

    server: int


class NodeUp(NamedTuple):
    """Network to client: a server is back, empty."""

    server: int


class LinkUp(NamedTuple):
    """Network to client, to one that was told of a break: the link to a server works again."""

    server: int


class PlanReady(NamedTuple):
    """Outside world to planner: the planning of `request` is done."""

    request: int
    outcome: PlanOutcome


class PlanOutcome(NamedTuple):
    """What a planner made of a problem: a legal plan, or staying local and the reason why there is none."""

    accepted: bool
    placement: tuple[int, ...]
    uploads: tuple[Upload, ...]
    whole: bool
    reason: str
    local_s: float
    predicted_s: float
    note: str


Message = (
    Hello | Prediction | PlanRequest | PlanReply | UploadPart | RoomRequest | RoomReturn | CopyPart | ClaimRequest
    | Evicted | Confirm | QueryStep | Refused | Abort | Load | Leave | Cancel | Weigh | ReadMeter | SwitchOff | Meter
    | Failed | Broken | NodeDown | NodeUp | LinkUp | PlanReady | Use | Switch | Closing | Opened
)  # fmt: skip


class Departure(NamedTuple):
    """A message that leaves a node. Departures are ordered by their first three fields."""

    at: float
    source: int
    sequence: int
    to: int
    bytes: int
    stream: int
    """Tensors of one query (its number + 1) go one at a time on each directed pair; 0: not ordered."""
    message: Message


class Delivery(NamedTuple):
    """A message that reaches a node. Deliveries are ordered by their first three fields."""

    at: float
    source: int
    sequence: int
    to: int
    message: Message
