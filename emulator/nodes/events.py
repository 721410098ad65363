"""What nodes have to tell the data plane."""

from __future__ import annotations

from typing import NamedTuple


class Piece(NamedTuple):
    """A segment of one query that ran on a node: what the data plane is to execute."""

    at: float
    node: int
    user: int
    query: int
    route: str
    step: int


class Together(NamedTuple):
    """Pieces alike, each of another query, that ran in one batch."""

    pieces: tuple[Piece, ...]


class Stored(NamedTuple):
    """Parameters of a user's model that a server holds from now on; none: it has let all of them go."""

    node: int
    user: int
    parameters: tuple[int, ...]


class Answered(NamedTuple):
    """A query whose outputs are all at the client."""

    at: float
    user: int
    query: int
    route: str


class Dropped(NamedTuple):
    """A query that ended without an answer: nobody needs its tensors any more."""

    user: int
    query: int


Event = Stored | Piece | Together | Answered | Dropped
"""What the data plane has to know."""
