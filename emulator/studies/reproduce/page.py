"""The numbers of Figure 5 for a person: tables, what the paper claims, and whether it was seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import fsum
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from layerlift.emulator.report.formatting import NOTHING, seconds
from layerlift.emulator.studies.reproduce.claims import TIE, pieces, verdicts
from layerlift.emulator.studies.reproduce.figure5 import GATHER_S, LABELS, PLAN_S, Curve, Result
from layerlift.models.text import in_markdown

HEADER: Final = (
    "factor", "algorithm", "total delay (s x s)", "of Direct's", "halved after", "N answers after", "N", "parts",
    "queries", "uploaded after",
)  # fmt: skip

_SHORT: Final = ("factor", "uploading", "total", "share", "half by", "N by", "N", "parts", "queries", "done")
_LEGEND: Final = (
    "total: area of the system delay up to the end of the longest upload (s x s), and its share of Direct's; half by: "
    "when the delay is first half of what it was; N by: when N queries were answered; parts (P3) of each client; "
    "queries answered in that time; done: its own upload has ended."
)

Group = tuple[str, str]
"""Model and links: one table."""


def row(result: Result, curve: Curve) -> dict[str, Any]:
    """What is told of one curve, plain values in SI units; None: it never came to that."""
    case, sighting = result.case, curve.sighting
    return {
        "model": case.model,
        "links": case.links,
        "servers": case.servers,
        "factor": case.factor,
        "reference_ghz": case.reference_ghz,
        "seed": case.seed,
        "offloading": case.offloading,
        "algorithm": curve.algorithm,
        "total_delay_s2": result.total(curve),
        "half_s": result.half_s(curve),
        "answers": result.answers,
        "to_answers_s": result.to_answers_s(curve),
        "pieces": pieces(curve),
        "queries": sighting.answered_by(result.until_s),
        "uploaded_s": sighting.ended_s,
        "uploaded_bytes": sum(part[2] for client in sighting.clients for part in client.parts),
        "compared_until_s": result.until_s,
        "first_delay_s": curve.delay.values[0],
        "last_delay_s": curve.delay.at(result.until_s),
        "unseen_s": curve.unseen_s,
        "placements": list(sighting.placements),
        "digest": sighting.digest,
    }


def tables(results: Sequence[Result]) -> dict[Group, list[tuple[str, ...]]]:
    """The cells below `HEADER` by table; over several seeds means, and the totals' range."""
    made: dict[Group, list[tuple[str, ...]]] = {}
    by_case: dict[tuple[str, str, float], list[Result]] = {}
    for result in results:
        by_case.setdefault((result.case.model, result.case.links, result.case.factor), []).append(result)
    for (model, links, factor), same in by_case.items():
        lines = made.setdefault((model, links), [])
        for number, curve in enumerate(same[0].curves):
            runs = [(result, result.curves[number]) for result in same]
            lines.append((f"{factor:g}" if number == 0 else "", LABELS[curve.algorithm], *_cells(runs)))
    return made


def _cells(runs: Sequence[tuple[Result, Curve]]) -> Iterator[str]:
    rows = [row(result, curve) for result, curve in runs]
    totals = [each["total_delay_s2"] for each in rows]
    direct = [result.total(result.curves[0]) for result, _ in runs if result.curves[0].algorithm == "direct"]
    yield _total(totals)
    yield f"{_mean(totals) / _mean(direct):.1%}" if direct and _mean(direct) > 0.0 else NOTHING
    for key in ("half_s", "to_answers_s"):
        known = [each[key] for each in rows if each[key] is not None]
        yield seconds(_mean(known)) if len(known) == len(rows) else "never" if key == "half_s" else NOTHING
    yield f"{_mean([each['answers'] for each in rows]):.4g}"
    yield " or ".join(dict.fromkeys(each["pieces"] for each in rows))
    yield f"{_mean([each['queries'] for each in rows]):.4g}"
    yield seconds(_mean([each["uploaded_s"] for each in rows]))


def _total(totals: Sequence[float]) -> str:
    same = max(totals) - min(totals) <= 1e-9 * max(totals)
    return f"{_mean(totals):.4g}" + ("" if same else f" ({min(totals):.4g} to {max(totals):.4g})")


def _mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values)


def told(results: Sequence[Result]) -> tuple[list[str], list[str]]:
    """Each claim in a sentence; and each case in which one was not seen, with the reason."""
    judged = [(result, verdict) for result in results for verdict in verdicts(result)]
    sentences = []
    for claim in dict.fromkeys(verdict.claim for _, verdict in judged):
        outcomes = [verdict.outcome for _, verdict in judged if verdict.claim == claim]
        said = [f"seen in {outcomes.count('seen')} of {len(outcomes)} cases"]
        said += [f"{word} in {outcomes.count(word)}" for word in ("a tie", "not seen") if outcomes.count(word)]
        sentences.append(f"{claim}: {', '.join(said)}.")
    reasons: dict[tuple[str, str], list[str]] = {}
    for result, verdict in judged:
        if verdict.outcome != "seen":
            reasons.setdefault((_named(result), verdict.why), []).append(f"{verdict.claim}: {verdict.outcome}")
    return sentences, [f"{where} ({'; '.join(claims)}). {why}." for (where, why), claims in reasons.items()]


def _named(result: Result) -> str:
    case = result.case
    seed = f", seed {case.seed}" if case.seed > 1 else ""
    return f"{case.model}, {case.links} links, factor {case.factor:g}{seed}"


def show(results: Sequence[Result], console: Console) -> None:
    """Print the tables and the claims; it fits 80 columns."""
    for (model, links), lines in tables(results).items():
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
        for number, name in enumerate(_SHORT):
            table.add_column(name, justify="left" if number == 1 else "right", overflow="fold")
        for line in lines:
            table.add_row(*map(Text, line))
        console.print(Text(f"{model}, {links} links", style="bold"))
        console.print(table)
        console.print()
    console.print(Text(_LEGEND, style="dim"))
    sentences, exceptions = told(results)
    console.print()
    for sentence in sentences:
        console.print(Text(f"The paper: {sentence}", style="bold"))
    for exception in exceptions:
        console.print(Text(f"- {exception}"))


def page(results: Sequence[Result], command: str, note: str = "") -> str:
    """The whole as Markdown, made by `command`; `note` says what is missing, if something is."""
    case = results[0].case
    which = {"both": "all ten servers", "edge": "the five edge servers", "cloud": "the five cloud servers"}
    lines = [
        "# Figure 5: the system delay while a model is uploaded",
        "",
        *([f"**This is not all that was asked for:** {note}.", ""] if note else []),
        f"Written by `{command}`; nothing here is typed by hand. `figure5` draws the paper's panels (system delay "
        "against upload time), `figure5-factors` all of them; the numbers behind are in `figure5.json`, "
        "`figure5.csv` and `figure5-delay.csv`.",
        "",
        "![System delay against upload time, a panel for each network and kind of link](figure5.svg)",
        "",
        f"**What was run.** The `paper` scenario with {which[case.servers]}; both clients ask the same network back "
        f"to back. `{case.offloading}` places both users' layers at once, so that the algorithms share one P1; each "
        "then divides and orders it. Emulated, without executing layers. Nobody profiles first, and the planner "
        f"gathers both requests ({seconds(GATHER_S)}, then {seconds(PLAN_S)} of planning): all uploads begin at one "
        "instant, time 0.",
        "",
        "**Factor.** How much slower per cycle the machines are than onnxruntime on a server core: 27.9 is IONN's "
        "published Odroid board (AlexNet in 822 ms at 2.0 GHz, against the shipped profile), 1 is onnxruntime. "
        "**Links.** `independent`: each transfer has its pair's bandwidth, as the paper prints it; `shared`: transfers "
        "of a pair share it. **Recursive, shared** is not the paper's: `recursive:shared=true` sends parts that follow "
        "each other as one where queries on the same link would lose more by the upload than they gain. No claim "
        "speaks of it; it is meant for shared links.",
        "",
        "**Measures.** The *system delay* at time t is the mean over clients of the latency of a query begun at t, "
        "read off queries that did begin in the same state of the upload (runs are repeated with later uploads until "
        "every state has one). The *total delay* is its area up to the end of the longest upload compared; *halved "
        "after*: when the delay is first half of what it was; *N answers*: as many as the slowest algorithm has by "
        "that end; *parts* (P3) by client; *queries*: answered by that end.",
        "",
        "## What the paper claims",
        "",
    ]
    sentences, exceptions = told(results)
    lines += [f"- **{in_markdown(sentence)}**" for sentence in sentences]
    lines += ["", f"Totals within {TIE:.1%} of each other are called a tie.", ""]
    if exceptions:
        lines += [
            "Where it was not seen, and why:",
            "",
            *(f"- {in_markdown(exception)}" for exception in exceptions),
            "",
        ]
    unseen = max(c.unseen_s / result.until_s if result.until_s else 0.0 for result in results for c in result.curves)
    if unseen >= 0.001:
        lines += [
            f"In states that last {unseen:.1%} of an upload at most no query was ever seen to begin: there the delay "
            "is that of the next state (`unseen_s` in the numbers).",
            "",
        ]
    for (model, links), body in tables(results).items():
        lines += [
            f"## {in_markdown(model)}, {links} links",
            "",
            _line(HEADER),
            _line(["--:", ":--"] + ["--:"] * (len(HEADER) - 2)),
        ]
        lines += [*map(_line, body), ""]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
