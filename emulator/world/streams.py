"""The streams of the seed: who draws random numbers draws them from one of these.

Each is named after what it is for, so that another machine, fault or user, or another field of a scenario, draws
nothing else anew. The names are what digests rest on: to change one is to change every world that draws from it.
"""

from __future__ import annotations

import random


def machines(seed: int, group: str, field: str) -> random.Random:
    """The values of a field over a group of machines, where a scenario spreads them at random.

    `group` is `nodes/INDEX` or `users/KIND`.
    """
    return _stream(seed, "machine", group, field)


def kind(seed: int, purpose: str, name: str) -> random.Random:
    """What the users of a kind draw when a world is made, such as their `arrival` or `model`."""
    return _stream(seed, purpose, name)


def user(seed: int, purpose: str, name: str) -> random.Random:
    """What a user draws while it asks: its `asks`, `think` and `stay`, and when it asks for another plan (`replan`)."""
    return _stream(seed, purpose, name)


def fault(seed: int, index: int, *nodes: str) -> random.Random:
    """The course of a fault, by its place in `World.faults`, for these nodes: two ends, one server, or all alike."""
    return _stream(seed, "fault", index, *(nodes or ("",)))


def walk(seed: int, client: str) -> random.Random:
    """Where a client walks."""
    return _stream(seed, "move", client)


def losses(seed: int, source: str, to: str) -> random.Random:
    """Which messages on a directed link get lost."""
    return _stream(seed, "loss", f"{source}>{to}")


def predictions(seed: int, server: str, model: int) -> random.Random:
    """By how much a server's prediction of each layer of a model, by its index, is off."""
    return _stream(seed, "prediction", server, model)


def misjudged(seed: int, server: str) -> random.Random:
    """By how much all predictions of a server are off together."""
    return _stream(seed, "misjudged", server)


def family(seed: int, name: str, place: str) -> random.Random:
    """A value of the world of a family of worlds, by the family and its place in the family's file."""
    return _stream(seed, "family", name, place)


def plan(seed: int, problem: str) -> random.Random:
    """What a planner draws; `problem` is the digest of what it is asked, so that equal problems have equal plans."""
    return _stream(seed, "plan", problem)


def _stream(seed: int, *purpose: str | int) -> random.Random:
    return random.Random("/".join(map(str, (seed, *purpose))))
