"""What the planner of a crowd sees of the user who asks and of each server: numbers from 0 to 1, padded to one size.

Costs and times are shares of those at home, told as shipped policies are told of costs (`features.told`): fine where
they are small, never beyond 1. Counts are told as x / (x + cores) or x / (x + 1).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from layerlift.emulator.studies.learning.environments.choices import Choices, shares
from layerlift.emulator.studies.learning.environments.walks import Seen
from layerlift.models.graph.route import CLIENT
from layerlift.planners.cost.holdings import layer_bytes
from layerlift.planners.learned.features import LARGEST, told
from layerlift.planners.problem.crowd_news import Asking, CrowdNews
from layerlift.planners.problem.problem import Floats, Problem

OF_USER: Final = 4
"""The user's place among all, which tells equal ones apart; how busy its device would be at home; how many have been
planned, as a share of all users; and how large what it would upload is, in seconds at 10 MB/s, x / (x + 1)."""
OF_NODE: Final = 13
"""Whether it is the client; whether it may be chosen; what its choice costs; what it costs to have everything there;
the upload of everything, in queries at home; load; share of its CPU and of its link; memory for the network; and what
is known of the crowd: users, work, plans in the last seconds, and how fresh that is."""
_TYPICAL_BYTES_S: Final = 10.0 * 2**20


def nothing_seen(nodes: int) -> Seen:
    """What is seen when nobody asks."""
    mask = np.zeros(nodes, dtype=np.int8)
    mask[CLIENT] = 1
    return {
        "user": np.zeros(OF_USER, dtype=np.float32),
        "nodes": np.zeros((nodes, OF_NODE), dtype=np.float32),
        "action_mask": mask,
    }


def seen(choices: Choices, requests: int, users: int, nodes: int) -> Seen:
    """What is seen of a request, after so many others, in a world of so many users."""
    problem, made = choices.problem, nothing_seen(nodes)
    count = len(problem.nodes)
    size = float(layer_bytes(problem.graph).sum())
    made["user"][:] = _of_user(problem, size, requests, users)
    made["nodes"][:count] = _of_nodes(choices, size)
    made["action_mask"][:count] = choices.open
    return made


def _of_user(problem: Problem, size: float, requests: int, users: int) -> list[float]:
    place = busy = 0.0
    if problem.crowd is not None:
        place = (problem.crowd.user + 0.5) / users
        busy = _busy(problem.crowd.asking, _home_s(problem))
    return [place, busy, min(requests / users, 1.0), size / (size + _TYPICAL_BYTES_S)]


def _busy(asking: Asking, home_s: float) -> float:
    """The share of the time that its own queries would take at home, at most 1."""
    if asking.per_s is not None:
        return min(asking.per_s * home_s, 1.0)
    return home_s / (home_s + asking.think_s) if home_s > 0.0 else 0.0


def _home_s(problem: Problem) -> float:
    return float(np.cumsum(problem.seconds[:, CLIENT])[-1])


def _of_nodes(choices: Choices, size: float) -> Floats:
    problem, count = choices.problem, len(choices.problem.nodes)
    cores = problem.cores.astype(np.float64)
    upload_s = size / problem.bandwidth_bytes_s[CLIENT] + problem.load_s_per_byte * size
    upload_s[CLIENT] = 0.0
    home_s = _home_s(problem)
    queries = upload_s / home_s if home_s > 0.0 else np.zeros(count)
    fits = np.minimum(problem.memory_bytes / size, 1.0) if size else np.ones(count)
    columns = [
        np.arange(count) == CLIENT,
        choices.open,
        _told(choices.costs),
        _told(choices.whole),
        _told(queries),
        shares(problem.load, cores),
        problem.share,
        np.ones(count) if problem.link_share is None else problem.link_share,
        fits,
        *_of_crowd(problem.crowd, cores),
    ]
    return np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)


def _told(costs: Floats) -> Floats:
    told_: Floats = told(costs) / LARGEST
    return told_


def _of_crowd(crowd: CrowdNews | None, cores: Floats) -> list[Floats]:
    if crowd is None:
        return [np.zeros(len(cores))] * 4
    fresh = 1.0 / (1.0 + crowd.age_s)
    return [shares(crowd.users, cores), shares(crowd.work, cores), shares(crowd.plans, 1.0), fresh]
