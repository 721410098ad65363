"""What a user in a crowd sees of its servers and of itself: whole numbers from 0 to 1,023.

Times are shares of staying local, crowds pieces of work or users for each core; see `told` for how numbers are told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from layerlift.planners.cost.judge import Judge
from layerlift.planners.learned.crowd.offers import Offer, held_bytes, shorter, work_s
from layerlift.planners.learned.features import LARGEST, Whole, told
from layerlift.planners.problem.crowd_news import CrowdNews
from layerlift.planners.problem.problem import Floats, Problem

VERSION: Final = 1
"""Of all that is below: a policy is used with the features that it was trained on."""
SERVER: Final = (
    "gain", "gain_beside", "capacity", "upload", "work", "wanted", "load", "share", "filled", "behind", "claimed",
    "users", "promised", "plans", "link", "unknown",
)  # fmt: skip
"""What is seen of a server."""
OWN: Final = ("servers", "best_gain", "capacity", "users", "claimed", "think")
"""What is seen of the user and of all servers together."""
_COUNTS: Final = 512.0
"""Of counts, so that what `told` says of them is 48 log2(1 + count)."""
_YES: Final = 512.0
_FULLEST: Final = 0.95
"""A server whose users claim more of it than that is no fuller."""


@dataclass(frozen=True, slots=True)
class View:
    """What is seen of S servers that are worth something to the user."""

    server: Whole
    """Shape (S, len(SERVER))."""
    own: Whole
    """Shape (len(OWN),)."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """What is known of the others at each node, shape (N,); nothing where nobody said anything."""

    work: Floats
    users: Floats
    promised_bytes: Floats
    plans: Floats
    link: Floats
    unknown: Floats


def gains(judge: Judge, offers: list[Offer]) -> Floats:
    """What each offer saves of staying local, 0 to 1: of its value, or of how far it misses its limits."""
    missed, value = judge.local_key
    made = [
        (missed - offer.rank[0]) / missed if offer.rank[0] < missed else 1.0 - offer.rank[1] / value for offer in offers
    ]
    clipped: Floats = np.clip(np.array(made), 0.0, 1.0)
    return clipped


def view_of(problem: Problem, judge: Judge, offers: list[Offer]) -> View:
    """What the user sees; there must be offers. `judge` need not know the crowd, `problem` may."""
    at = np.array([offer.server for offer in offers])
    local_s = judge.local.latency_s if judge.local.latency_s > 0.0 else 1.0
    heard, cores = _heard(problem), problem.cores[at].astype(np.float64)
    gain, work = gains(judge, offers), work_s(problem, offers)
    held = held_bytes(problem, offers)
    upload_s = held * shorter(problem.graph) / problem.bandwidth_bytes_s[0, at] + problem.load_s_per_byte[at] * held
    alone = np.cumsum(problem.seconds, axis=0)[-1]
    capacity = alone[0] / np.maximum(alone[at], 1e-12) * cores
    claimed = heard.work[at] / cores
    full = np.minimum(claimed, _FULLEST)
    beside = gain - work * problem.slowdown[at] / local_s * (full / (1.0 - full))
    think_s, per_s = asking_of(problem, local_s)
    memory = problem.memory_bytes[at]
    seen = {
        "gain": _linear(gain),
        "gain_beside": _linear(beside),
        "capacity": told(capacity),
        "upload": told(upload_s / local_s),
        "work": told(work / local_s),
        "wanted": told(work * per_s / cores),
        "load": told(problem.load[at] / cores / _COUNTS),
        "share": told((1.0 / problem.share[at] - 1.0) / _COUNTS),
        "filled": told(_shares(held, memory)),
        "behind": told(gain.max() - gain),
        "claimed": told(claimed),
        "users": told(heard.users[at] / cores / _COUNTS),
        "promised": told(_shares(heard.promised_bytes[at], memory)),
        "plans": told(heard.plans[at] / cores / _COUNTS),
        "link": told(heard.link[at]),
        "unknown": heard.unknown[at] * _YES,
    }
    own = [
        told(np.array(len(offers) / _COUNTS)),
        _linear(gain.max()),
        told(_total(capacity)),
        told(_total(heard.users[1:]) / _COUNTS),
        told(_total(heard.work[1:]) / _total(problem.cores[1:].astype(np.float64))),
        told(np.array(think_s / local_s)),
    ]
    server = np.stack([seen[name] for name in SERVER], axis=1)
    return View(server.astype(np.float32), np.array(own, dtype=np.float32))


def _linear(shares: Floats) -> Floats:
    made: Floats = np.rint(np.clip(shares, 0.0, 1.0) * LARGEST)
    return made


def _total(values: Floats) -> Floats:
    made: Floats = np.cumsum(values)[-1]
    return made


def asking_of(problem: Problem, answer_s: float) -> tuple[float, float]:
    """The user's mean pause and questions a second, where answers take so long; no pause where nobody says."""
    if problem.crowd is None:
        return 0.0, 1.0 / answer_s
    asking = problem.crowd.asking
    if asking.per_s is None:
        return asking.think_s, 1.0 / (asking.think_s + answer_s)
    return (1.0 / asking.per_s if asking.per_s > 0.0 else 0.0), asking.per_s


def _heard(problem: Problem) -> _Heard:
    news, nodes = problem.crowd, len(problem.nodes)
    if news is None:
        none = np.zeros(nodes)
        return _Heard(none, none, none, none, none, np.ones(nodes))
    return _Heard(news.work, news.users, news.promised_bytes, news.plans, _link(news), np.isinf(news.age_s) * 1.0)


def _shares(parts: Floats, wholes: Floats) -> Floats:
    """Parts of wholes; of nothing, nothing."""
    made: Floats = np.divide(parts, wholes, out=np.zeros_like(parts), where=wholes > 0.0)
    return made


def _link(news: CrowdNews) -> Floats:
    """The share of each node's links that is in use, the fuller way."""
    down = _shares(news.received_bytes_s, news.downlink_bytes_s)
    return np.maximum(down, _shares(news.sent_bytes_s, news.uplink_bytes_s))
