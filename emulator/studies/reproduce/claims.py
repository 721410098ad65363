"""What the paper says of its Figure 5, held against what was emulated; and why, where it is not so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from layerlift.emulator.report.formatting import seconds, size
from layerlift.emulator.studies.reproduce.figure5 import LABELS, Curve, Result

TIE: Final = 0.001
"""Total system delays that differ by at most this share are called a tie."""
PAPERS: Final = ("direct", "ionn", "recursive")
"""The algorithms in the paper's figure; others are shown, but no claim speaks of them."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One claim about one case."""

    claim: str
    """`Direct is worst` or `Recursive is best`."""
    outcome: str
    """seen | a tie | not seen"""
    why: str
    """Empty when it was seen."""


def verdicts(result: Result) -> tuple[Verdict, ...]:
    """Both claims of the paper, as far as its algorithms were run: a claim needs its own one and another."""
    curves = {curve.algorithm: curve for curve in result.curves if curve.algorithm in PAPERS}
    made = []
    for name, claim, sign in (("direct", "Direct is worst", 1.0), ("recursive", "Recursive is best", -1.0)):
        others = [curve for other, curve in curves.items() if other != name]
        if name in curves and others:
            made.append(_judged(result, curves[name], others, claim, sign))
    return tuple(made)


def _judged(result: Result, own: Curve, others: Sequence[Curve], claim: str, sign: float) -> Verdict:
    """`sign` 1: the claim is that `own` has the largest total; -1: the smallest."""
    leads = {other.algorithm: sign * lead(result.total(own), result.total(other)) for other in others}
    against = min(others, key=lambda other: leads[other.algorithm])
    if leads[against.algorithm] > TIE:
        return Verdict(claim, "seen", "")
    if leads[against.algorithm] >= -TIE:
        tied = [other for other in others if abs(leads[other.algorithm]) <= TIE]
        return Verdict(claim, "a tie", _why_tied(own, tied))
    better, worse = (own, against) if sign > 0 else (against, own)
    return Verdict(claim, "not seen", why_worse(result, worse, better))


def lead(one: float, other: float) -> float:
    """By what share of the larger one total is above another; 0 when both are 0."""
    return (one - other) / max(one, other) if max(one, other) > 0.0 else 0.0


def _why_tied(own: Curve, tied: Sequence[Curve]) -> str:
    algorithms = sorted((each.algorithm for each in (own, *tied)), key=list(LABELS).index)
    names = " and ".join([", ".join(LABELS[name] for name in algorithms[:-1]), LABELS[algorithms[-1]]])
    if not any(client.parts for client in own.sighting.clients):
        return f"The offloading moves nothing, so there is nothing to upload with {names}"
    if all(_parts(each) == _parts(own) for each in tied):
        return f"{names} send the same parts ({pieces(own)})"
    return f"{names} are within {TIE:.1%}, though their parts differ"


def why_worse(result: Result, worse: Curve, better: Curve) -> str:
    """Where one curve is above another that has the smaller total, and what the run tells about the cause."""
    begin_s, end_s = widest(result, worse, better)
    means = [curve.delay.area(end_s, begin_s) / (end_s - begin_s) for curve in (worse, better)]
    names = LABELS[worse.algorithm], LABELS[better.algorithm]
    return (
        f"{names[0]} is {lead(result.total(worse), result.total(better)):.1%} above {names[1]}. It loses most from "
        f"{seconds(begin_s)} to {seconds(end_s)}: {seconds(means[0])} a query ({confirmed(worse, begin_s)} at first) "
        f"against {seconds(means[1])} ({confirmed(better, begin_s)}). {_cause(result, worse, better)}"
    )


def _cause(result: Result, worse: Curve, better: Curve) -> str:
    later_s = worse.sighting.ended_s - better.sighting.ended_s
    carried = [sum(client.carried_bytes for client in curve.sighting.clients) for curve in (worse, better)]
    counts = [sum(len(client.parts) for client in curve.sighting.clients) for curve in (worse, better)]
    names = LABELS[worse.algorithm], LABELS[better.algorithm]
    if result.case.links == "shared" and carried[0] > carried[1] and later_s > 0.0:
        return (
            f"Its queries carried {size(carried[0])} during the upload ({size(carried[1])} with {names[1]}), on links "
            f"that they share with it: that slowed both, and its last part was confirmed {seconds(later_s)} later. "
            f"The planners reckon with idle links and do not know of this{_mended(result, worse, better)}"
        )
    if counts[0] > counts[1] and later_s > 0.0:
        return (
            f"{names[0]} has {counts[0] - counts[1]} more parts, whose confirm results take a round trip each: its "
            f"last part was confirmed {seconds(later_s)} later"
        )
    return f"{names[0]} divides P1 into {pieces(worse)} parts, {names[1]} into {pieces(better)}"


def _mended(result: Result, worse: Curve, better: Curve) -> str:
    """What of it is left where the uploader knows that the link is shared, if that was run."""
    knowing = next((curve for curve in result.curves if curve.algorithm == f"{worse.algorithm}_shared"), None)
    if knowing is None:
        return ""
    ahead = lead(result.total(knowing), result.total(better))
    names = LABELS[knowing.algorithm], LABELS[better.algorithm]
    return f". {names[0]} does: it is {abs(ahead):.1%} {'above' if ahead > 0.0 else 'below'} {names[1]}"


def widest(result: Result, worse: Curve, better: Curve) -> tuple[float, float]:
    """The unbroken span, from and to, in which `worse` loses most to `better`."""
    times = sorted({at for curve in (worse, better) for at in curve.delay.at_s if at < result.until_s})
    best = since = lost = 0.0
    found = (0.0, result.until_s)
    for begin_s, end_s in zip(times, [*times[1:], result.until_s], strict=True):
        gap = worse.delay.at(begin_s) - better.delay.at(begin_s)
        if gap <= 0.0:
            since, lost = end_s, 0.0
            continue
        lost += gap * (end_s - begin_s)
        if lost > best:
            best, found = lost, (since, end_s)
    return found


def pieces(curve: Curve) -> str:
    """How many parts each client sends, as in `3 + 4`."""
    return " + ".join(str(len(client.parts)) for client in curve.sighting.clients)


def confirmed(curve: Curve, at_s: float) -> str:
    """How many parts are confirmed at a time, of how many."""
    done = [sum(change <= at_s for change in client.changes_s) for client in curve.sighting.clients]
    moved = sum(
        part[2] for client, count in zip(curve.sighting.clients, done, strict=True) for part in client.parts[:count]
    )
    of = sum(len(client.parts) for client in curve.sighting.clients)
    return f"{sum(done)} of {of} parts and {size(moved)} confirmed"


def _parts(curve: Curve) -> list[tuple[tuple[str, int, int], ...]]:
    return [client.parts for client in curve.sighting.clients]
