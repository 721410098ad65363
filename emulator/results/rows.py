"""The rows of the result tables: one class a table, and in it every column with its type, unit and meaning.

This is the one definition: schema, digest, units and the page about results come from it. Whoever emits a row names
its columns, `QueryRow(at_s=..., client=..., ...)`, so that mypy finds a column that is missing or mistaken.
Every row begins with its emission time and the node that emitted it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple


class Of(NamedTuple):
    """What a column holds, and in which unit; no unit for names, counts and numbers."""

    meaning: str
    unit: str = ""


_At = Annotated[float, Of("when the row was emitted", "second")]

OPEN: Final = "run ended"
"""The reason of a query that is open when the run ends: it has no answer, and is told apart from what failed."""

FallbackCause = Literal["server", "link", "lost", "refused"]
"""Why a query is finished on its client: something broke off (a dead server, a link that is down, bad luck on one), or
a server had not got the layers."""
QueryStatus = Literal["answered", "failed"]
UploadStatus = Literal["confirmed", "refused", "lost", "failed", "cancelled"]
PlanStatus = Literal["accepted", "failed"]
PlanCause = Literal["arrival", "refused", "evicted", "down", "up", "hand-over", "period", "slow", "worse", "closing"]
AllocationEvent = Literal["admitted", "refused", "released", "evicted", "lost"]
ChangeKind = Literal[
    "crash", "restart", "link down", "link up", "hand-over", "battery empty", "starting", "on", "closing", "off"
]
MeasuredKind = Literal[
    "planning_s", "output_error", "not_a_number", "execution_s", "lateness_s", "period_s", "coordination"
]


class QueryRow(NamedTuple):
    """A query, when it ended."""

    at_s: _At
    client: Annotated[str, Of("the device that asked")]
    user: Annotated[str, Of("who asked")]
    query: Annotated[int, Of("number of the user's question, from 0")]
    status: Annotated[QueryStatus, Of("`answered` or `failed`")]
    reason: Annotated[str, Of("why it failed; empty when answered")]
    asked_s: Annotated[float, Of("when the question came", "second")]
    begun_s: Annotated[float, Of("when it was begun; a question that never was: when it failed", "second")]
    ended_s: Annotated[float, Of("when all outputs were at the client, or it failed", "second")]
    latency_s: Annotated[float, Of("ended - asked; the age of a query that was open when the run ended", "second")]
    plan_version: Annotated[int, Of("the plan in force when it was begun; 0: none yet")]
    confirmed_parts: Annotated[int, Of("parts of that plan that were confirmed then")]
    segments: Annotated[int, Of("pieces of its route, of both ways for one that fell back")]
    remote_layers: Annotated[int, Of("layers that were to run on servers")]
    client_work_s: Annotated[float, Of("CPU seconds of its pieces on the client", "second")]
    server_work_s: Annotated[float, Of("CPU seconds of its pieces on servers, as far as the client knows", "second")]
    sent_bytes: Annotated[int, Of("bytes that the client sent for it, headers included", "byte")]
    received_bytes: Annotated[int, Of("bytes that the client received for it, headers included", "byte")]
    money: Annotated[float, Of("price of server seconds and of bytes carried", "USD")]
    fallback: Annotated[str, Of("why it was finished on the client, in words; empty unless it was")]
    fallback_cause: Annotated[
        FallbackCause | Literal[""], Of("`server` or `link` down, `lost` on a link, or `refused`; empty unless it was")
    ]


class SegmentRow(NamedTuple):
    """A segment of a query that ran on a node."""

    at_s: _At
    node: Annotated[str, Of("where it ran")]
    user: Annotated[str, Of("whose query it was")]
    query: Annotated[int, Of("number of that user's question")]
    step: Annotated[int, Of("place in the query's route, from 0")]
    first_layer: Annotated[int, Of("its first layer")]
    last_layer: Annotated[int, Of("its last layer, included")]
    ready_s: Annotated[float, Of("when all its tensors were there", "second")]
    begun_s: Annotated[float, Of("when the node's CPU turned to it; under `fifo` it may have waited", "second")]
    ended_s: Annotated[float, Of("when its outputs were made", "second")]
    work_s: Annotated[float, Of("how long it takes alone on the node; in a batch, its part of the batch's", "second")]


class BatchRow(NamedTuple):
    """A batch of pieces alike that ran on a server with `discipline: batch`."""

    at_s: _At
    node: Annotated[str, Of("where it ran")]
    model: Annotated[str, Of("of which network its pieces are")]
    first_layer: Annotated[int, Of("their first layer")]
    last_layer: Annotated[int, Of("their last layer, included")]
    size: Annotated[int, Of("pieces in it as it began")]
    given_up: Annotated[int, Of("of these, pieces of queries that were given up while it ran")]
    came_s: Annotated[float, Of("when the first of its pieces came to the CPU", "second")]
    company_s: Annotated[float, Of("how long that one waited for company, a core being free", "second")]
    begun_s: Annotated[float, Of("when a core turned to it", "second")]
    work_s: Annotated[float, Of("core-seconds that it took in all", "second")]


class UploadRow(NamedTuple):
    """An attempt to upload a part."""

    at_s: _At
    client: Annotated[str, Of("the device whose model it is")]
    user: Annotated[str, Of("whose part it is")]
    plan_version: Annotated[int, Of("the plan that it is a part of")]
    part: Annotated[int, Of("number of the part in its plan, from 0")]
    attempt: Annotated[int, Of("how often it has been sent, this time included")]
    server: Annotated[str, Of("where it is to be stored")]
    layers: Annotated[int, Of("how many layers are in it")]
    bytes: Annotated[int, Of("what has to travel: parameters that are not there yet, without headers", "byte")]
    sent_s: Annotated[float, Of("when it was sent", "second")]
    ended_s: Annotated[float, Of("when its confirm result came, or it was given up", "second")]
    status: Annotated[UploadStatus, Of("`confirmed`, `refused`, `lost`, `failed` or `cancelled`")]
    reason: Annotated[str, Of("why it was not confirmed, in words")]
    wasted_bytes: Annotated[int, Of("of what crossed a link, how much for nothing, without headers", "byte")]
    source: Annotated[str, Of("who sent it: the client, or at a hand-over the server that had it")]


class PlanRow(NamedTuple):
    """A plan, accepted or failed."""

    at_s: _At
    client: Annotated[str, Of("the planner's node")]
    user: Annotated[str, Of("for whom it was made")]
    plan_version: Annotated[int, Of("number of the user's plan, from 1")]
    planner: Annotated[str, Of("who made it")]
    status: Annotated[PlanStatus, Of("`accepted` or `failed`")]
    reason: Annotated[str, Of("why it failed, in words")]
    requested_s: Annotated[float, Of("when the client's request came", "second")]
    p1_layers: Annotated[int, Of("layers that are placed on servers")]
    p2_layers: Annotated[int, Of("layers that stay on the client")]
    parts: Annotated[int, Of("parts that are uploaded")]
    upload_bytes: Annotated[int, Of("bytes of all its parameters, each once a server", "byte")]
    local_s: Annotated[float, Of("predicted latency of a query with everything on the client", "second")]
    predicted_s: Annotated[float, Of("predicted latency once all is confirmed", "second")]
    placement: Annotated[str, Of("runs of layers: `r1:0-3 r4:4-20`")]
    note: Annotated[str, Of("what the planner says of it")]
    cause: Annotated[PlanCause, Of("what it was asked for: `arrival`, `refused`, `evicted`, `down`, `up`, ...")]


class UsageRow(NamedTuple):
    """What one node did in one sampling period, or in several in which it was idle."""

    at_s: _At
    node: Annotated[str, Of("whose use it is")]
    period_s: Annotated[float, Of("length of the period, or of the idle periods, that end now", "second")]
    busy_s: Annotated[float, Of("core-seconds of work", "second")]
    held_bytes: Annotated[int, Of("parameters held at the sample", "byte")]
    held_byte_s: Annotated[float, Of("parameters held, over the period", "byte second")]
    sent_bytes: Annotated[int, Of("bytes that left the node and were delivered in the period", "byte")]
    received_bytes: Annotated[int, Of("bytes that were delivered to it", "byte")]
    radio_s: Annotated[float, Of("time with at least one transfer under way (clients)", "second")]
    energy_j: Annotated[float, Of("drawn: idle time, work and radio, and what is drawn while off", "joule")]
    money: Annotated[float, Of("price of busy time, memory held and bytes sent", "USD")]


class AllocationRow(NamedTuple):
    """A decision of a server about a part."""

    at_s: _At
    server: Annotated[str, Of("who decided")]
    user: Annotated[str, Of("about whose part")]
    event: Annotated[AllocationEvent, Of("`admitted`, `refused`, `released`, `evicted` or `lost`")]
    plan_version: Annotated[int, Of("the plan that the part is of; 0 where it is about all of a user's parts")]
    part: Annotated[int, Of("number of the part; -1 where it is about all of a user's parts")]
    layers: Annotated[int, Of("how many layers it is about")]
    bytes: Annotated[int, Of("memory that is taken, wanted or freed", "byte")]
    held_bytes: Annotated[int, Of("what the server holds after it", "byte")]
    reason: Annotated[str, Of("why, in words")]


class ChangeRow(NamedTuple):
    """Something that happened to a node or to a user's world."""

    at_s: _At
    node: Annotated[str, Of("to whom it happened")]
    kind: Annotated[
        ChangeKind, Of("`crash`, `restart`, `link down`, ...; of a scaled server `starting`, `on`, `closing`, `off`")
    ]
    peer: Annotated[str, Of("the other end of a link, or the new edge server")]
    user: Annotated[str, Of("whose world it is; empty for servers")]
    note: Annotated[str, Of("more about it, in words")]


class MeasuredRow(NamedTuple):
    """A measurement on the real clock, or of real tensors, or what a plan promises; outside the digest."""

    at_s: _At
    node: Annotated[str, Of("where it was measured")]
    kind: Annotated[
        MeasuredKind,
        Of("`planning_s`, `output_error`, `not_a_number`, `execution_s`, `lateness_s`, `period_s` or `coordination`"),
    ]
    user: Annotated[str, Of("whose query or plan it was; empty for others")]
    query: Annotated[
        int, Of("number of the query, of the plan request, or (`period_s`, `coordination`) of the plan; -1 for neither")
    ]
    step: Annotated[int, Of("place in the query's route; -1 for others")]
    name: Annotated[str, Of("of what: a piece, an output, a planner")]
    value: Annotated[float, Of("what was measured: seconds, an error relative to the output's scale, or a degree")]
    expected: Annotated[float, Of("what was expected")]


class UsageReading(NamedTuple):
    """What a node itself can tell of a sampling period; the network's books make a `UsageRow` of it."""

    at_s: float
    node: str
    period_s: float
    busy_s: float
    held_bytes: int
    held_byte_s: float
    on_s: float
    """Time in which the machine was on."""
    on: bool
    """Whether it is on at the end."""
    idle: bool
    """Whether it did no work, and held the same all the time."""
    number: int
    """Of the period, from 1."""
    cut: bool
    """Whether the end of the run cuts it short."""


Row = QueryRow | SegmentRow | BatchRow | UploadRow | PlanRow | UsageRow | AllocationRow | ChangeRow | MeasuredRow
Emitted = Row | UsageReading
"""What nodes emit."""

ROWS: Final[dict[str, type[tuple[Any, ...]]]] = {
    "queries": QueryRow,
    "segments": SegmentRow,
    "batches": BatchRow,
    "uploads": UploadRow,
    "plans": PlanRow,
    "usage": UsageRow,
    "allocations": AllocationRow,
    "changes": ChangeRow,
    "measured": MeasuredRow,
}
"""The row of each table."""

TABLE_OF: Final[dict[type[tuple[Any, ...]], str]] = {row: table for table, row in ROWS.items()} | {
    UsageReading: "usage"
}

Rows = dict[str, list[Any]]
"""By table, in order: what hosts and books hand on."""
Write = Callable[[str, Sequence[Any]], None]
"""Takes the next rows of a table."""
