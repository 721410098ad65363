"""The crowd's tables in docs/learned.md. What is not kept yet is made; `SEEDS` says how many seeds a table has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from benchmarks.docs.blocks import prose, table
from benchmarks.learning.crowd.measuring import Seen, found, seen, store
from benchmarks.learning.crowd.worlds import (
    AGAINST,
    ALONE,
    CAREFUL,
    CONTENTION,
    CROWD,
    FEW,
    GIBBS,
    HELD_OUT,
    HOME,
    IONN,
    JOINT,
    LATENCY,
    LATENCY_IONN,
    MAIN,
    OTHERS,
    RANDOM,
    SPREAD,
    WITH_IONN,
    Case,
    Crowd,
    Way,
)
from layerlift.emulator.studies.compare.statistics import Interval, interval

SEEDS: Final[dict[str, int]] = {"300": 30, "90": 30, "slow": 10, "others": 10, "held out": 10}
"""What the tables on the page were made with: raise a number, and the rest is made."""
FIRST: Final = 11
"""The first seed of every table: seeds 1 to 4 of `contention`, and 101 to 118 for `careful`, were looked at while the
policies were made."""
SHOWN: Final = {
    "300": (*MAIN, CAREFUL, LATENCY, LATENCY_IONN, ALONE, SPREAD),
    "90": (*MAIN, CAREFUL, LATENCY, LATENCY_IONN, ALONE, SPREAD, RANDOM),
}
"""Who is shown: the whole has `ALL`."""
SLOW: Final = {"300": (WITH_IONN, JOINT, RANDOM), "90": (WITH_IONN, JOINT, GIBBS)}
"""Whose runs take minutes, beside two others in the same worlds: `SEEDS["slow"]` seeds."""
_HEAD: Final = ["", "mean ratio", "mean latency, s", "p95, s", "worst user", "worst p99", "Jain"]


def sightings(crowd: Crowd, ways: Sequence[Way], seeds: int) -> Mapping[Way, list[Seen]]:
    """What users see by who plans, seed by seed from `FIRST` on."""
    kept, every = store(), range(FIRST, FIRST + seeds)
    made = found([Case(crowd, way, seed) for seed in every for way in (HOME, *ways)], kept)
    return {
        way: [seen(made[Case(crowd, way, seed)], made[Case(crowd, HOME, seed)]) for seed in every]
        for way in (*ways, HOME)
    }


def contention(size: str) -> str:
    """The paired seeds of `contention`, at one of the sizes: "90" was trained on, "300" never seen."""
    crowd = CONTENTION[size]
    known = sightings(crowd, SHOWN[size], SEEDS[size])
    rows = [[way.title, *_cells(some)] for way, some in known.items()]
    said = f"{crowd.title}, seeds {FIRST} to {FIRST + SEEDS[size] - 1}, means with 95 % intervals:"
    parts = [
        prose(said),
        table(_HEAD, rows),
        *(_paired(known, way) for way in (CROWD, WITH_IONN, CAREFUL, LATENCY_IONN)),
    ]
    return "\n\n".join(parts)


def slow() -> str:
    """The same with fewer seeds, for those whose runs take minutes."""
    parts = []
    for size, crowd in CONTENTION.items():
        known = sightings(crowd, SLOW[size], SEEDS["slow"])
        rows = [[way.title, *_cells(some)] for way, some in known.items()]
        parts += [prose(f"{crowd.title}, seeds {FIRST} to {FIRST + SEEDS['slow'] - 1}:"), table(_HEAD, rows)]
    return "\n\n".join(parts)


def others() -> str:
    """Other scenarios and policies, in which nobody gathers."""
    return _short(OTHERS, FEW, SEEDS["others"])


def held_out() -> str:
    """Worlds that lie outside what was trained on, in one respect each."""
    return _short(HELD_OUT, AGAINST, SEEDS["held out"])


def _short(crowds: Mapping[str, Crowd], ways: Sequence[Way], seeds: int) -> str:
    """The mean ratio of each crowd by who plans, and the worst user's under `crowd+ionn`."""
    if not seeds:
        named = ", ".join(crowd.title for crowd in crowds.values())
        return prose(f"Not run yet: {named}. Nothing is claimed of them.")
    rows = []
    for crowd in crowds.values():
        known = sightings(crowd, ways, seeds)
        worst = _mean(known[WITH_IONN], lambda each: each.worst)
        rows.append([crowd.title, *(_mean(known[way], lambda each: each.ratio) for way in ways), worst])
    head = ["", *(way.title for way in ways), f"worst user, {WITH_IONN.title}"]
    return f"{prose(f'Mean ratio to home, {seeds} seeds, means with 95 % intervals.')}\n\n{table(head, rows)}"


def _cells(some: Sequence[Seen]) -> list[str]:
    numbers: tuple[Callable[[Seen], float], ...] = (
        lambda each: each.ratio, lambda each: each.latency_s, lambda each: each.p95_s, lambda each: each.worst,
        lambda each: each.tail, lambda each: each.jain,
    )  # fmt: skip
    return [_mean(some, number) for number in numbers]


def _mean(some: Sequence[Seen], number: Callable[[Seen], float]) -> str:
    return _told(interval(number(each) for each in some))


def _told(found: Interval) -> str:
    return f"{found.mean:.2f}" if found.n < 2 else f"{found.mean:.2f} ±{found.half:.2f}"


def _paired(known: Mapping[Way, Sequence[Seen]], mine: Way) -> str:
    """What one of ours is beside others, seed by seed, and what was hoped for."""
    joint, alone = ([*zip(known[mine], known[way], strict=True)] for way in (JOINT, IONN))
    rows = [
        _bar(f"mean ratio, times that of {JOINT.title}", 0.92, [own.ratio / other.ratio for own, other in joint]),
        _bar("95th percentile, times that of the same", 1.02, [own.p95_s / other.p95_s for own, other in joint]),
        _bar(f"mean ratio, times that of {IONN.title}", 0.5, [own.ratio / other.ratio for own, other in alone]),
        _bar("worst p99, times that at home", 1.1, [each.tail for each in known[mine]]),
    ]
    return table([f"{mine.title}, seed by seed", "hoped for, at most", "found", ""], rows)


def _bar(what: str, most: float, values: Sequence[float]) -> list[str]:
    found = interval(values)
    return [what, f"{most:.2f}", _told(found), "met" if found.mean <= most else "missed"]
