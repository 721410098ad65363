"""Who had better not go to a server: whom rare answers there would make late, by what it says of its users."""

from __future__ import annotations

from math import sqrt
from typing import Final

import numpy as np

from layerlift.planners.cost.judge import Judge
from layerlift.planners.learned.crowd.features import asking_of
from layerlift.planners.learned.crowd.offers import Offer, work_s
from layerlift.planners.problem.crowd_news import CrowdNews
from layerlift.planners.problem.problem import Floats, Problem

LATE: Final = 1.1
"""What a rare answer may take, in multiples of what it takes at home; assumed."""
RARE: Final = 0.02
"""How many answers are rare, of those who are there when the user has come; set by hand, as what follows, in
`contention` with seeds 101 to 118."""
OWN_LATE: Final = 0.9
OWN_RARE: Final = 0.0035
"""The same of the user's own answers before it has come: stricter, so that who comes later finds room."""
MOST: Final = 2000
"""Of more users than that, each has so small a share that their number does not matter any more; assumed."""
_LEAST: Final = 1e-15
"""Nothing is divided by less."""


def safe(problem: Problem, judge: Judge, offers: list[Offer]) -> list[Offer]:
    """The offers that make nobody late, as far as servers tell of their users.

    Neither the user, behind those who are there (`OWN_LATE`, `OWN_RARE`), nor, with the user among them, one of these
    (`LATE`, `RARE`). What they can wait is not told: so many of their pieces as the user can of its own. Where nobody
    is there, one more like the user is reckoned with: what servers tell is somewhat old. Others are taken to ask as the
    user does, by the clock or after a pause. All offers of a user who does not mind latency, and of servers that have
    said nothing.
    """
    wanted, news = problem.objective, problem.crowd
    if not offers or news is None or not (wanted.latency or wanted.deadline_s is not None):
        return offers
    works = work_s(problem, offers).tolist()
    return [
        offer
        for offer, own_s in zip(offers, works, strict=True)
        if np.isinf(news.age_s[offer.server]) or _spares_all(problem, news, judge, offer, own_s)
    ]


def _spares_all(problem: Problem, news: CrowdNews, judge: Judge, offer: Offer, own_s: float) -> bool:
    """Whether an offer, of so many seconds at full speed, makes nobody late."""
    at, home_s = offer.server, judge.local.latency_s
    cores, alone_s = float(problem.cores[at]), judge.cost(offer.placement).latency_s
    _, own_per_s = asking_of(problem, alone_s)
    users, work, per_s = (float(told[at]) for told in (news.users, news.work, news.asks_per_s))
    own_work = own_s * own_per_s
    if np.isinf(work) or OWN_LATE * home_s < alone_s:
        return False
    if news.asking.per_s is not None or users > MOST:
        # Questions that wait for no answer, or so many that it makes no difference: without room, queues grow for ever.
        if work + own_work >= cores:
            return False
        users = MOST
    many = round(users)
    if not many or work == 0.0:
        many, work, per_s = 1, own_work, own_per_s
        if work == 0.0:
            return True
    else:
        if not 0.0 < per_s < np.inf:
            return False  # work that nobody asks for, or in no number of pieces
        pieces = (OWN_LATE * home_s - alone_s) * cores * per_s / work
        if late_share(many, many * cores / work, pieces) > OWN_RARE:
            return False
    if own_s == 0.0:
        return True
    # As many pieces of theirs as the user can wait of its own, in pieces of the average then.
    pieces = (LATE * home_s - alone_s) * cores / own_s
    pieces *= (work / per_s) * (per_s + own_per_s) / (work + own_work)
    return late_share(many, (many + 1) * cores / (work + own_work), pieces) <= RARE


def late_share(users: int, room: float, pieces: float) -> float:
    """How likely a question waits for more than so many (at least 0) pieces of average work behind those of others.

    Each of them asks again some time after an answer, so that at most `users` questions are there; `room` of them would
    ask for all that the server can do if no one had to wait, at least 1. Work is exponential, so are pauses, and the
    server is one as fast as its cores together (the machine-repair model: Kleinrock, Queueing Systems I, 1975, 3.8;
    whoever comes sees the others as if they were alone: Lavenberg and Reiser, J. Appl. Probab. 1980). Of many users
    with room to spare that is the wait of M/M/1. Nothing but sums, products and quotients, alike on every processor.
    """
    if pieces >= 2.0 * users + 100.0:
        return 0.0
    # So many are asking nothing, as a Poisson number of mean `room - 1` that is at most `users`.
    away = _poisson(max(room - 1.0, _LEAST), users)
    away /= np.cumsum(away)[-1]
    # n pieces take longer than t of them where fewer than n events of rate 1 have come by t.
    by_then = np.cumsum(_poisson(pieces, int(pieces + 12.0 * sqrt(pieces) + 40.0) + users))
    longer = by_then[users - 1 :: -1] / by_then[-1]
    return float(np.cumsum(away[:users] * longer)[-1])


def _poisson(mean: float, most: int) -> Floats:
    """Probabilities of 0 to `most` events, in proportion to one another: the likeliest is 1."""
    likeliest = int(min(mean, float(most)))
    up = np.cumprod(mean / np.arange(likeliest + 1, most + 1))
    down = np.cumprod(np.arange(likeliest, 0, -1) / mean)
    made: Floats = np.concatenate([down[::-1], [1.0], up])
    return made
