"""What nodes say to each other. Plain tuples: small to pickle, equal by value, never changed.

Bytes are charged by the sender (`header_bytes` plus what the message carries); the content itself is data.
Users, queries and parts are numbers of the world; servers and clients are node indices.
"""

from __future__ import annotations

from typing import NamedTuple

from planners.plan import Upload

FILE_ENTRY_BYTES = 12
"""One line of file_1 or file_2: a layer's index (4 bytes) and its seconds (8)."""


class Hello(NamedTuple):
    """Client to server: a user has come with this model; what would its layers cost on you?"""

    user: int
    model: int


class Prediction(NamedTuple):
    """Server to client: file_2 of the paper, and the server's offer to this user."""

    user: int
    server: int
    seconds: tuple[float, ...]
    memory_bytes: float
    load: float
    share: float


class PlanRequest(NamedTuple):
    """Client to planner: file_1 (its own layer seconds) and every file_2 that it has."""

    user: int
    seconds: tuple[float, ...]
    predictions: tuple[Prediction, ...]


class PlanReply(NamedTuple):
    """Planner to client. Placement and uploads use 0 for the client and k for the k-th server of the world."""

    user: int
    version: int
    placement: tuple[int, ...]
    uploads: tuple[Upload, ...]
    whole: bool
    accepted: bool


class UploadPart(NamedTuple):
    """Client to server: one P3, the layers of one upload."""

    user: int
    version: int
    part: int
    attempt: int
    layers: tuple[int, ...]
    parameters: tuple[int, ...]
    """Parameters that travel: those of `layers` that the client has not sent to this server before."""


class Confirm(NamedTuple):
    """Server to client: the confirm result (CR) of one part; `reason` is empty when it was stored."""

    user: int
    version: int
    part: int
    attempt: int
    reason: str


class QueryStep(NamedTuple):
    """One tensor of one query, to the node whose segment reads it, or the answer, to the client.

    `route` names the whole route (see `emulator.routes`), so that the receiver knows what to run.
    """

    user: int
    query: int
    route: str
    tensor: int


class Leave(NamedTuple):
    """Client to server: the user is gone; free what it held."""

    user: int


class Cancel(NamedTuple):
    """Client to fabric: stop the transfer that the sender numbered `sequence`; effective after one link latency."""

    sequence: int


class PlanReady(NamedTuple):
    """Outside world to planner: the planning of `request` is done."""

    request: int
    outcome: PlanOutcome


class PlanOutcome(NamedTuple):
    """What a planner made of a problem: a legal plan, or the reason why there is none."""

    placement: tuple[int, ...]
    uploads: tuple[Upload, ...]
    whole: bool
    reason: str
    local_s: float
    predicted_s: float
    note: str


Message = Hello | Prediction | PlanRequest | PlanReply | UploadPart | Confirm | QueryStep | Leave | Cancel | PlanReady


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
