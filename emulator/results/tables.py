"""The result tables: one narrow row per thing that happened (design: "Results").

Every row begins with the emission time and the node that emitted it; rows of a table are ordered by
(emission time, node, row number of that node). All but `measured` are digested.
"""

from __future__ import annotations

from typing import Final, Literal

Kind = Literal["float", "int", "text"]

TABLES: Final[dict[str, tuple[tuple[str, Kind], ...]]] = {
    "queries": (
        ("at_s", "float"),
        ("client", "text"),
        ("user", "text"),
        ("query", "int"),
        ("status", "text"),  # answered | failed
        ("reason", "text"),  # empty when answered
        ("asked_s", "float"),
        ("begun_s", "float"),
        ("ended_s", "float"),
        ("latency_s", "float"),  # ended - asked; the age when the run ended before the answer
        ("plan_version", "int"),  # 0: no plan yet
        ("confirmed_parts", "int"),
        ("segments", "int"),
        ("remote_layers", "int"),
        ("client_work_s", "float"),  # seconds of client CPU that its segments cost
        ("server_work_s", "float"),
        ("sent_bytes", "int"),  # from the client
        ("received_bytes", "int"),  # by the client
        ("money", "float"),  # USD: server seconds and bytes carried
        ("fallback", "text"),  # why it was finished on the client; empty unless it was
    ),
    "segments": (
        ("at_s", "float"),
        ("node", "text"),
        ("user", "text"),
        ("query", "int"),
        ("step", "int"),
        ("first_layer", "int"),
        ("last_layer", "int"),
        ("ready_s", "float"),
        ("begun_s", "float"),
        ("ended_s", "float"),
        ("work_s", "float"),  # seconds that it would take alone
    ),
    "uploads": (
        ("at_s", "float"),
        ("client", "text"),
        ("user", "text"),
        ("plan_version", "int"),
        ("part", "int"),
        ("attempt", "int"),
        ("server", "text"),
        ("layers", "int"),
        ("bytes", "int"),
        ("sent_s", "float"),
        ("ended_s", "float"),
        ("status", "text"),  # confirmed | refused | lost | failed | cancelled
        ("reason", "text"),
        ("wasted_bytes", "int"),  # that crossed a link for nothing
        ("source", "text"),  # the client, or the server that sent the part on at a hand-over
    ),
    "plans": (
        ("at_s", "float"),
        ("client", "text"),
        ("user", "text"),
        ("plan_version", "int"),
        ("planner", "text"),
        ("status", "text"),  # accepted | failed
        ("reason", "text"),
        ("requested_s", "float"),
        ("p1_layers", "int"),
        ("p2_layers", "int"),
        ("parts", "int"),
        ("upload_bytes", "int"),
        ("local_s", "float"),  # predicted latency with everything on the client
        ("predicted_s", "float"),  # predicted latency once all is confirmed
        ("placement", "text"),  # runs of layers, e.g. "r1:0-3 r4:4-20"
        ("note", "text"),
        ("cause", "text"),  # arrival | refused | evicted | down | up | hand-over | period
    ),
    "usage": (
        ("at_s", "float"),
        ("node", "text"),
        ("period_s", "float"),
        ("busy_s", "float"),  # core-seconds
        ("held_bytes", "int"),  # parameters held at the sample
        ("held_byte_s", "float"),
        ("sent_bytes", "int"),  # that left the node and were delivered in the period
        ("received_bytes", "int"),
        ("radio_s", "float"),  # seconds with at least one transfer under way (clients)
        ("energy_j", "float"),
        ("money", "float"),  # busy time, memory held and bytes sent
    ),
    "allocations": (
        ("at_s", "float"),
        ("server", "text"),
        ("user", "text"),
        ("event", "text"),  # admitted | refused | released | evicted | lost
        ("plan_version", "int"),
        ("part", "int"),
        ("layers", "int"),
        ("bytes", "int"),
        ("held_bytes", "int"),  # on the server, after the event
        ("reason", "text"),
    ),
    "changes": (
        ("at_s", "float"),
        ("node", "text"),
        ("kind", "text"),  # crash | restart | link down | link up | hand-over | battery empty
        ("peer", "text"),  # the other end of a link, the new edge server
        ("user", "text"),
        ("note", "text"),
    ),
    "measured": (
        ("at_s", "float"),
        ("node", "text"),
        ("kind", "text"),  # planning_s | output_error | execution_s | lateness_s
        ("user", "text"),
        ("query", "int"),
        ("step", "int"),
        ("name", "text"),
        ("value", "float"),
        ("expected", "float"),
    ),
}

DIGESTED: Final = tuple(name for name in TABLES if name != "measured")
