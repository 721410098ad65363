"""How long queries take when users share CPUs, ports and media and ask at known rates. Steady state, without uploads.

Resources are every server's CPU, downlink and uplink, numbered `kind * N + node` with kind 0, 1, 2 and N nodes; the
client's three are its own and take no part. After these 3 N come both ways of every shared medium, K of them in all, so
that there are R = 3 N + K. A resource has a *width*: how many pieces of a user go at full speed at once. That is a
server's cores, and for a port or medium its bytes per second over those of the user's own link.

A resource that is shared equally by what is there, each piece at most at full speed, is a queue M/G/c with processor
sharing, whose mean does not depend on the law of the work. What it makes of a piece follows from the pieces of others
there, `others`, alone: 1 + others for width 1 (so M/G/1: 1 / (1 - use)), and for greater widths a hyperbola that is
within 2.3 % of Erlang's C (given the work instead of the pieces, within 8 % up to a use of 0.9 and 12 % at 0.94).
In place of an infinite crowd stand the users: nobody waits for its own pieces, a query finds the others as they are
without its user, and a user has never more than `in_flight` queries under way. For those who think between queries
that is mean value analysis, as Schweitzer (1979) approximates it and better, since in a small crowd much of what is
there is there because of the user itself. Who asks by the clock waits for its own earlier queries, too: M/G/k.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layerlift.planners.cost import batch
from layerlift.planners.cost.batch import Placements
from layerlift.planners.cost.media import weights_of
from layerlift.planners.problem.arrays import Floats
from layerlift.planners.problem.crowd_news import Asking
from layerlift.planners.problem.media_news import MediaNews
from layerlift.planners.problem.problem import Problem

WIDEST = 1e6
"""Stands for a port that nobody has bounded."""
STEEPEST = 0.95
"""Use up to which a queue is computed; beyond, its wait goes on along the tangent, so that less is always better."""
TRUSTED = 0.8
"""Use up to which means are foretold within about a tenth."""
MOST_SLOWED = 0.25
"""Share of the others that may be there because of the user itself: it is a sixth at most where two share a CPU."""
ROUNDS = 100
"""At most so many steps towards the steady state."""
STEP = 0.85
"""Of the way that one step goes: a whole one overshoots where everybody is in one queue that is nearly full."""
SETTLED = 1e-6


@dataclass(frozen=True, slots=True)
class Steady:
    """What all users feel in the steady state; arrays of shape (U,) and (U, R), or of so many choices at once."""

    present: Floats
    """Pieces that each user has at each resource, on average."""
    latency_s: Floats
    """From a question to its answer, the wait for own earlier queries included."""
    per_s: Floats
    """Answers a second."""
    use: Floats
    """Share of each resource in use, shape (R,)."""
    own_use: Floats
    """Of who asks by the clock: share of the time in which as many queries are under way as may be; else 0."""


class Sharing:
    """The users' habits and widths. `problems` all have `crowd`; their bandwidths are within the ports."""

    def __init__(
        self,
        problems: Sequence[Problem],
        asking: Sequence[Asking],
        ports: Sequence[Floats],
        media: Sequence[MediaNews] | None = None,
    ) -> None:
        """`ports` of each user: the downlinks and then the uplinks of all nodes, shape (2N,), in bytes per second.

        `media` has what each user's ways cross, the same media for all; None where there are none.
        """
        self.asking = tuple(asking)
        self.media = media[0].names if media else ()
        """Names of the shared media, each way by itself."""
        widths = [_widths(problem, own) for problem, own in zip(problems, ports, strict=True)]
        self.weights: list[Floats | None] = [None] * len(problems)
        """Of each user: what the seconds of each pair of nodes are of each medium, shape (K, N, N)."""
        for user, (problem, news) in enumerate(zip(problems, media or (), strict=False)):
            self.weights[user], wide = weights_of(problem, news)
            widths[user] = np.concatenate([widths[user], np.clip(wide, 1.0, WIDEST)])
        self.width = np.array(widths)
        nodes = len(problems[0].nodes)
        self.reported = np.zeros(self.width.shape)
        self.least = np.ones(self.width.shape)
        self.before = np.ones(self.width.shape)
        for user, problem in enumerate(problems):
            self.reported[user, :nodes] = problem.load
            self.least[user, :nodes] = 1.0 / problem.share
            self.before[user, :nodes] = problem.slowdown
        self._open = np.array([each.per_s is not None for each in asking])
        self._per_s = np.array([0.0 if each.per_s is None else each.per_s for each in asking])
        self._think_s = np.array([each.think_s for each in asking])
        self._flights = np.array([float(each.in_flight) for each in asking])
        self._variation = np.array([each.variation for each in asking])

    def slowdown(self, user: int, others: Floats) -> Floats:
        """How much longer the pieces of `user` are beside `others` pieces of other users; shapes (R,) -> (R,)."""
        made: Floats = np.maximum(lengthened(others + self.reported[user], self.width[user]), self.least[user])
        return made

    def crossing(self, user: int, slowdown: Floats) -> Floats | None:
        """By what part of itself each pair's transfer is longer for media that are `slowdown` (R,) slower; (N, N)."""
        weights = self.weights[user]
        if weights is None:
            return None
        slower = slowdown[3 * weights.shape[1] :] - 1.0
        longer: Floats = (weights * slower[:, None, None]).sum(axis=0)
        return longer

    def waited(self, user: int, alone_s: Floats, latency_s: Floats) -> Floats:
        """Latency with the wait for the user's own earlier queries; shapes (P,), (P,) -> (P,)."""
        asking = self.asking[user]
        if asking.per_s is None:
            return latency_s
        made: Floats = latency_s + _own_wait(
            alone_s, latency_s, np.array(asking.per_s), np.array(float(asking.in_flight)), np.array(asking.variation)
        )
        return made

    def steady(self, demands: Floats, alone_s: Floats, start: Floats | None = None) -> Steady:
        """The steady state of users who need `demands` seconds, shape (U, R), and `alone_s` for a query alone.

        `start` are pieces present to begin with, as in a state that is nearly the same.
        """
        many = self.steady_each(demands[None], alone_s[None], None if start is None else start[None])
        return Steady(many.present[0], many.latency_s[0], many.per_s[0], many.use[0], many.own_use[0])

    def steady_each(self, demands: Floats, alone_s: Floats, start: Floats | None = None) -> Steady:
        """The same of P choices at once: `demands` (P, U, R) and `alone_s` (P, U); every array of the answer has P."""
        present = np.zeros(demands.shape) if start is None else start.copy()
        per_s, latency = self._rates(alone_s), alone_s.copy()
        left = np.arange(len(demands))
        for _ in range(ROUNDS):
            need, here = demands[left], present[left]
            found = here.sum(axis=1, keepdims=True) - here + self.reported
            found = np.maximum(found - self._slowed(need * per_s[left, :, None], here, found), 0.0)
            slow = np.maximum(lengthened(found, self.width), self.least)
            latency[left] = took = alone_s[left] + (need * (slow - self.before)).sum(axis=2)
            per_s[left] = often = self._rates(took)
            made = need * often[:, :, None] * slow
            step = made - here
            most = np.maximum(1.0, made.max(axis=(1, 2), initial=0.0))
            going = np.abs(step).max(axis=(1, 2), initial=0.0) > SETTLED * most
            left, step = left[going], step[going]
            if not len(left):
                break
            present[left] += STEP * step
        use = (demands * per_s[:, :, None] / self.width).sum(axis=1)
        wait = _own_wait(alone_s, latency, self._per_s, self._flights, self._variation)
        own_use = np.where(self._open, self._per_s * latency / self._flights, 0.0)
        return Steady(present, latency + np.where(self._open, wait, 0.0), per_s, use, own_use)

    def _slowed(self, work: Floats, present: Floats, others: Floats) -> Floats:
        """How many of the others' pieces are there only because the user itself slows them, shape (P, U, R).

        A query finds the others as they are without its user (the arrival theorem of Sevcik and Mitrani, 1981), and
        on average they are there with it. To first order: each of a user's pieces makes another's longer, who brings
        `work` seconds a second while it has no piece there, and those longer pieces lengthen all others again.
        """
        mine = np.minimum(present / self._flights[:, None], 1.0)
        back = 1.0 - mine
        moved = work * back * steepness(others, self.width)
        moved = moved / (1.0 + moved)
        all_others = np.minimum(moved.sum(axis=1, keepdims=True) - moved, STEEPEST)
        made: Floats = np.minimum(mine * all_others / (1.0 - all_others), MOST_SLOWED * others)
        return made

    def _rates(self, latency_s: Floats) -> Floats:
        """Answers a second of each user: as it asks, and as far as its queries in flight allow."""
        floor = np.maximum(latency_s, 1e-12)
        closed = self._flights / (self._think_s + floor)
        made: Floats = np.where(self._open, np.minimum(self._per_s, self._flights / floor), closed)
        return made


def lengthened(others: Floats, width: Floats) -> Floats:
    """How much longer a piece takes beside `others` pieces on average, at least 1; see the head of the module."""
    over = (others + 1.0 - width) / width
    bend = others * (width - 1.0) / (width * width * width)
    made: Floats = 1.0 + (over + np.sqrt(over * over + bend)) / 2.0
    return made


def steepness(others: Floats, width: Floats) -> Floats:
    """By how much `lengthened` grows for each of the others' pieces."""
    over = (others + 1.0 - width) / width
    per_piece = (width - 1.0) / (width * width * width)
    root = np.sqrt(over * over + others * per_piece)
    flat = np.broadcast_to(1.0 / width, root.shape).copy()
    bent = np.divide(2.0 * over / width + per_piece, 2.0 * root, out=flat, where=root > 0.0)
    made: Floats = (1.0 / width + bent) / 2.0
    return made


def crowding(work: Floats, width: Floats) -> Floats:
    """The same less 1 for pieces of all others that bring `work` (seconds a second), along the tangent at the end."""
    used = work / width
    made: Floats = _queued(np.minimum(used, STEEPEST) * width, width)
    return made * (1.0 + np.maximum(used - STEEPEST, 0.0) / (1.0 - STEEPEST))


def _queued(work: Floats, width: Floats) -> Floats:
    # The root of y^2 - over y - bend / 4 = 0, the hyperbola of `lengthened`, at others = work (1 + y).
    bend = work * (width - 1.0) / (4.0 * width * width * width)
    first, second = 1.0 - work / width, (work + 1.0 - width) / width + bend
    made: Floats = (second + np.sqrt(second * second + 4.0 * first * bend)) / (2.0 * first)
    return made


def _own_wait(alone_s: Floats, latency_s: Floats, per_s: Floats, flights: Floats, variation: Floats) -> Floats:
    """What a question waits until a query may begin: what others add to a query varies about as much as it is."""
    floor = np.maximum(latency_s, 1e-12)
    varied = (latency_s - alone_s) / floor
    made: Floats = latency_s * crowding(per_s * floor, flights) * (variation + varied * varied) / 2.0
    return made


def demands_of(
    problem: Problem, placements: Placements, weights: Floats | None = None
) -> tuple[batch.BatchCosts, Floats]:
    """What placements cost alone, and the seconds that they need of each resource; shapes (P, L) -> (P, R).

    `weights` are the user's (`Sharing.weights`).
    """
    costs = batch.evaluate(problem, placements, carried=True)
    nodes = len(problem.nodes)
    carried = costs.carried_s.reshape(len(costs.latency_s), nodes, nodes)
    made = np.concatenate([costs.busy_s, carried.sum(axis=1), carried.sum(axis=2)], axis=1)
    made[:, [0, nodes, 2 * nodes]] = 0.0
    if weights is not None:
        crossed = [(carried * weight).sum(axis=(1, 2)) for weight in weights]
        made = np.concatenate([made, np.array(crossed).reshape(len(weights), len(made)).T], axis=1)
    return costs, made


def name_of(resource: int, nodes: Sequence[str], media: Sequence[str] = ()) -> str:
    """What a resource is called, as `downlink of edge1` or `medium backhaul up`."""
    if resource >= 3 * len(nodes):
        return f"medium {media[resource - 3 * len(nodes)]}"
    kind, node = divmod(resource, len(nodes))
    return f"{('CPU', 'downlink', 'uplink')[kind]} of {nodes[node]}"


def _widths(problem: Problem, ports: Floats) -> Floats:
    nodes = len(problem.nodes)
    with np.errstate(invalid="ignore"):  # both may be infinite, on the client's own diagonal or on ideal links
        down = ports[:nodes] / problem.bandwidth_bytes_s[0]
        up = ports[nodes:] / problem.bandwidth_bytes_s[:, 0]
    made = np.concatenate([problem.cores.astype(np.float64), down, up])
    made[[0, nodes, 2 * nodes]] = WIDEST
    widths: Floats = np.clip(np.nan_to_num(made, nan=WIDEST), 1.0, WIDEST)
    return widths
