"""Parts that move next to nothing travel with another: alone they would cost a round trip and bring no bytes."""

from __future__ import annotations

from layerlift.models.graph.route import CLIENT
from layerlift.planners.problem.plan import Upload
from layerlift.planners.problem.problem import Problem

NOTHING = 0.01
"""Bytes that cross the link in this share of its round trip are not worth one of their own."""


def joined(problem: Problem, uploads: tuple[Upload, ...]) -> tuple[Upload, ...]:
    """The parts, in their order, but none that moves next to nothing is sent alone where its server gets another.

    It goes with the part that is sent just before it, where that is for the same server; else with the next one for
    that server, or the last one before.
    """
    light = _light(problem, uploads)
    if not any(light):
        return uploads
    made: list[Upload] = []
    waiting: dict[int, tuple[int, ...]] = {}
    for upload, nothing in zip(uploads, light, strict=True):
        before = _just_before(problem, made, upload.server)
        if nothing and before is not None:
            made[before] = _with(made[before], upload.layers)
        elif nothing:
            waiting[upload.server] = waiting.get(upload.server, ()) + upload.layers
        else:
            made.append(_with(upload, waiting.pop(upload.server, ())))
    for server, layers in waiting.items():
        last = max((number for number, upload in enumerate(made) if upload.server == server), default=None)
        if last is None:
            made.append(Upload(server, tuple(sorted(layers))))
        else:
            made[last] = _with(made[last], layers)
    return tuple(made)


def _just_before(problem: Problem, made: list[Upload], server: int) -> int | None:
    """The part after which a part for `server` is sent at once, if that is for the same server."""
    same = [number for number, upload in enumerate(made) if upload.server == server]
    if not same or (problem.uploads_at_once == "one" and same[-1] != len(made) - 1):
        return None
    return same[-1]


def _with(upload: Upload, layers: tuple[int, ...]) -> Upload:
    return Upload(upload.server, tuple(sorted((*upload.layers, *layers)))) if layers else upload


def _light(problem: Problem, uploads: tuple[Upload, ...]) -> list[bool]:
    """Which parts move next to nothing; a parameter that the server has by then does not move."""
    graph, tables = problem.graph, problem.tables
    held: dict[int, frozenset[int]] = {}
    made = []
    for server, layers in uploads:
        known = held.get(server, frozenset())
        held[server] = known | graph.parameters_of(layers)
        round_trip_s = problem.upload_delay_s(server) + tables.latency_s[server][CLIENT]
        bandwidth_bytes_s = tables.bandwidth_bytes_s[CLIENT][server]
        made.append(graph.upload_bytes(layers, known) <= NOTHING * round_trip_s * bandwidth_bytes_s)
    return made
