"""What a person looks at after a run: who waited how long, what it cost, where the layers are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from layerlift.emulator.report.bottlenecks import used_media
from layerlift.emulator.report.formatting import (
    NOTHING,
    count,
    dollars,
    error,
    joules,
    placement,
    rate,
    reasons,
    seconds,
    share,
    size,
)
from layerlift.emulator.report.interrupted import left_behind
from layerlift.emulator.report.judgements import judgements
from layerlift.emulator.report.totals import in_all, real_costs
from layerlift.emulator.report.validated import last
from layerlift.emulator.results.reader import RUN_FILE, RunResult
from layerlift.emulator.results.rows import OPEN
from layerlift.emulator.results.summary import PHASES
from layerlift.emulator.scenario.inputs import doubts

EACH_USER: Final = 16
"""With more users than this the report speaks of kinds of users instead of each."""
_ROWS: Final = 12


_OPERATORS = 6
"""Operators whose speed is told; run.json has them all."""


def show(result: RunResult, console: Console) -> None:
    """Print the report of a run, complete or not; it fits 80 columns and reads the same in a pipe.

    Raises `RunError` when the run's files cannot be read.
    """
    result.check_names()
    summary = result.summary
    _head(result, summary, console)
    users, kinds = summary["users"], summary["kinds"]
    if len(users) <= EACH_USER:
        _each_user(users, console)
    else:
        _each_kind(kinds, console)
    _servers(summary["servers"], console)
    _scaling(summary.get("scaling") or [], console)
    _media(result.run, summary["totals"]["virtual_s"], console)
    _troubles(summary, console)
    _tail(result, summary, console)


def _head(result: RunResult, summary: Mapping[str, Any], console: Console) -> None:
    world, totals = result.run.get("world", {}), summary["totals"]
    _say(
        console,
        f"{world.get('name', 'run')}: {count(len(summary['users']), 'user')}, "
        f"{count(len(summary['servers']), 'server')}, seed {world.get('seed', NOTHING)}",
        "bold",
    )
    if not result.complete:
        _say(console, f"This run is {result.standing}: the numbers are those so far.", "yellow")
        _say(console, left_behind(result))
    failed: Counter[str] = Counter()
    unplanned: Counter[str] = Counter()
    for user in summary["users"]:
        failed.update(user["failed"])
        unplanned.update(user["plans_failed"])
    open_ = failed.pop(OPEN, 0)
    still = f", {open_:,} open at the end" if open_ else ""
    _say(
        console,
        f"{count(totals['answered'], 'query')} answered, {totals['failed'] - open_:,} failed{still} in "
        f"{seconds(totals['virtual_s'])} of virtual time: {rate(totals['queries_per_virtual_s'])} a second.",
    )
    if failed:
        _say(console, f"Failed: {reasons(failed)}.")
    if unplanned:
        told = f"{unplanned.total():,} of {count(totals['plans'], 'plan')} failed, and left their users as they were"
        _say(console, f"{told}: {reasons(unplanned)}.", "yellow")
    for line in judgements(result):
        _say(console, line, "yellow")


def _troubles(summary: Mapping[str, Any], console: Console) -> None:
    """What broke, came or went, and what that cost; nothing where nothing did."""
    found = summary.get("troubles") or {}
    said = []
    falls = found.get("fallbacks") or {}
    if falls:
        why = {
            "server": "its server was down",
            "link": "its link was down",
            "refused": "it was refused",
            "lost": "lost",
        }
        told = ", ".join(f"{number:,} because {why[key]}" for key, number in falls.items())
        said.append(f"{count(sum(falls.values()), 'query')} finished on the client: {told}.")
    if found.get("wasted_bytes"):
        said.append(f"{size(found['wasted_bytes'])} of uploads were carried in vain.")
    words = {"refused": ("part", " refused"), "evicted": ("eviction", ""), "lost": ("store", " lost in crashes")}
    told = ", ".join(f"{count(found[key], thing)}{how}" for key, (thing, how) in words.items() if found.get(key))
    if told:
        said.append(f"Servers: {told}.")
    if found.get("changes"):
        said.append("Seen: " + ", ".join(f"{kind} {number:,}" for kind, number in found["changes"].items()) + ".")
    replans = found.get("replans") or {}
    if replans.get("slow"):
        back = replans.get("worse", 0)
        said.append(f"{count(replans['slow'], 'plan')} asked for because queries were slow; {back:,} taken back.")
    lived = [user["lifetime_s"] for user in summary["users"] if user.get("lifetime_s") is not None]
    if lived:
        said.append(f"Batteries of {count(len(lived), 'user')} ran out, the first after {seconds(min(lived))}.")
    if said:
        _title(console, "What broke or changed")
        for sentence in said:
            _say(console, sentence)


def _each_user(users: Sequence[Mapping[str, Any]], console: Console) -> None:
    _title(console, "Latency of a query (median), by when it began")
    table = _table("client", "answered", "before", "during", "after upload", "promised", "p95 after")
    for user in users:
        spreads, plan = user["latency_s"], user["plan"]
        medians = [seconds(spreads[phase] and spreads[phase]["median"]) for phase in PHASES]
        after = spreads["after"]
        promised = seconds(plan["predicted_s"]) if plan else NOTHING
        table.add_row(*_cells(_who(user), str(user["answered"]), *medians, promised, seconds(after and after["p95"])))
    console.print(table)

    _title(console, "Upload and cost")
    table = _table("client", "uploaded", "parts", "ended at", "energy", "money (USD)", "output error")
    for user in users:
        upload = user["upload"]
        parts = f"{upload['confirmed_parts']} of {upload['parts']}" if upload["parts"] else NOTHING
        table.add_row(
            *_cells(
                _who(user),
                size(upload["bytes"]),
                parts,
                seconds(upload["ended_s"]) if upload["state"] in ("complete", "partial") else NOTHING,
                joules(user["energy_j"]),
                dollars(user["money"]["total"]),
                error(user["output_error"]),
            )
        )
    console.print(table)

    _title(console, "Where the layers ended up")
    for user in users:
        _say(console, f"{_who(user)}, {user['model']} by {user['planner']}: {_plan(user)}")


def _plan(user: Mapping[str, Any]) -> str:
    plan = user["plan"]
    if plan is None:
        told = f"no plan ({reasons(user['plans_failed'])})" if user["plans_failed"] else "no plan"
        return f"{told}, all layers here"
    said = placement(plan["placement"], user["client"]) or "not told"
    if user["upload"]["state"] in ("open", "partial"):
        said += f"; planned so, the upload is {user['upload']['state']}"
    note = f" ({plan['note']})" if plan["note"] else ""
    if plan.get("period_s"):
        said += f"; bears a query every {seconds(plan['period_s'])}, answered every {seconds(plan['seen_period_s'])}"
    return f"{said}; all here would take {seconds(plan['local_s'])}{note}"


def _each_kind(kinds: Sequence[Mapping[str, Any]], console: Console) -> None:
    _title(console, "Latency of a query, by kind of user and by when it began")
    table = _table("kind", "upload", "queries", "mean", "median", "p95", "promised")
    for kind in kinds[:_ROWS]:
        name = f"{kind['kind']} ({count(kind['users'], 'user')})"
        for phase in PHASES:
            spread = kind["latency_s"][phase]
            if spread:
                times = (seconds(spread[key]) for key in ("mean", "median", "p95"))
                table.add_row(*_cells(name, phase, f"{spread['count']:,}", *times, _promised(kind, phase)))
                name = ""
        if name:
            table.add_row(*_cells(name, NOTHING, "0", NOTHING, NOTHING, NOTHING, _promised(kind, "after")))
    console.print(table)
    for kind in kinds[:_ROWS]:
        if kind.get("period_s"):
            promised, seen = (kind[key] and kind[key]["median"] for key in ("period_s", "seen_period_s"))
            told = f"plans bear a query every {seconds(promised)} of each user, answered every {seconds(seen)}"
            _say(console, f"{kind['kind']}: {told} (medians).")

    _title(console, "Upload and cost, by kind of user")
    table = _table(
        "kind", "done", "uploaded", "ended (median)", "ended (p95)", "energy each", "USD each", "output error"
    )
    for kind in kinds[:_ROWS]:
        ended, states = kind["upload_ended_s"], kind["uploads"]
        wanted = kind["users"] - states.get("none", 0)
        table.add_row(
            *_cells(
                kind["kind"],
                f"{states.get('complete', 0)} of {wanted}",
                size(kind["upload_bytes"]),
                seconds(ended and ended["median"]),
                seconds(ended and ended["p95"]),
                joules(_each(kind["energy_j"], kind["users"])),
                dollars(_each(kind["money"], kind["users"])),
                error(kind["output_error"]),
            )
        )
    console.print(table)
    _more(console, len(kinds), "kind")


def _each(value: float | None, users: int) -> float | None:
    return None if value is None else value / users


def _promised(kind: Mapping[str, Any], phase: str) -> str:
    """The median of what the users of a kind were promised, beside what was seen once all was uploaded."""
    last = "after" if kind["latency_s"]["after"] else "before"
    return seconds(kind["promised_s"]["median"]) if kind["promised_s"] and phase == last else ""


def _servers(servers: Sequence[Mapping[str, Any]], console: Console) -> None:
    used = sorted((s for s in servers if s["busy_share"] or s["held_bytes"]), key=lambda s: -s["busy_share"])
    idle = len(servers) - len(used)
    _title(console, f"Servers, busiest first ({idle} of {len(servers)} unused)")
    if not used:
        return
    table = _table("server", "tier", "busy", "held at most", "received", "sent", "energy", "money (USD)")
    for server in used[:_ROWS]:
        sizes = (size(server[key]) for key in ("held_bytes", "received_bytes", "sent_bytes"))
        costs = (joules(server["energy_j"]), dollars(server["money"]))
        table.add_row(*_cells(server["name"], server["tier"], share(server["busy_share"]), *sizes, *costs))
    console.print(table)
    _more(console, len(used), "server")
    _batches(servers, console)


def _batches(servers: Sequence[Mapping[str, Any]], console: Console) -> None:
    """How full the batches of servers that batch were, and what that cost the first of each; nothing without such."""
    ran = [server for server in servers if server.get("batches")]
    if not ran:
        return
    _title(console, "Batches, and how long the first of each waited for company")
    table = _table("server", "batches", "mean size", "largest", "wait (mean)", "wait (most)")
    for server in ran[:_ROWS]:
        told = server["batches"]
        sizes = f"{told['count']:,}", f"{told['mean_size']:.2f}", f"{told['largest']:,}"
        waits = (seconds(told[key]) for key in ("company_mean_s", "company_most_s"))
        table.add_row(*_cells(server["name"], *sizes, *waits))
    console.print(table)
    _more(console, len(ran), "server")


def _scaling(groups: Sequence[Mapping[str, Any]], console: Console) -> None:
    """How many servers of each group were on, and what that cost whoever runs them."""
    for group in groups:
        names, cost = group["servers"], group["on_money"]
        who = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
        paid = "" if cost is None else f", {dollars(cost)} USD"
        _say(
            console,
            f"Of {who} on: {group['least']} at least, {group['mean']:.1f} on average, {group['most']} at most; "
            f"started {group['starts']:,}, on for {seconds(group['on_s'])} together{paid}.",
        )


def _media(run: Mapping[str, Any], end_s: float, console: Console) -> None:
    used = sorted(used_media(run.get("world") or {}, run.get("media") or {}, end_s), key=lambda way: -way[2])
    if not used:
        return
    _title(console, "Shared media, fullest first")
    table = _table("medium", "carried", "of what it can")
    for name, carried, part in used[:_ROWS]:
        table.add_row(*_cells(name, size(carried), share(part)))
    console.print(table)
    _more(console, len(used), "way")


def _tail(result: RunResult, summary: Mapping[str, Any], console: Console) -> None:
    totals = summary["totals"]
    console.print()
    _say(console, in_all(totals))
    _say(console, f"Real cost: {', '.join(real_costs(totals))}.")
    _operators(result.run.get("operators") or {}, console)
    if result.run.get("placing"):
        _say(console, f"Ran {result.run['placing']}.")
    _fidelity(result.run.get("fidelity"), console)
    if validated := last():
        _say(console, validated)
    file = f"{result.directory / RUN_FILE}" if result.directory is not None else RUN_FILE
    assumed = result.run.get("assumptions") or []
    if assumed:
        _say(console, f"{count(len(assumed), 'assumption')}, each with its source: `assumptions` in {file}")
    for sentence in doubts(result.run.get("prices") or []):
        _say(console, sentence, "yellow")
    if result.digest:
        _say(console, f"Digest: {result.digest}")
    if result.directory is not None:
        _say(console, f"Files: {result.directory} (run.json and Parquet tables)")


def _operators(operators: Mapping[str, Mapping[str, float]], console: Console) -> None:
    """How the machine that executed compares with the profile, for the operators that cost most."""
    ratios = [
        (name, timed["measured_s"] / timed["profiled_s"]) for name, timed in operators.items() if timed["profiled_s"]
    ]
    if ratios:
        shown = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios[:_OPERATORS])
        _say(console, f"This machine takes so many times the profile's seconds: {shown}.")


def _fidelity(fidelity: Mapping[str, Any] | None, console: Console) -> None:
    """How well a paced run kept its pace: `median_s`, `p99_s`, `worst_s`, `trusted` and `reason` of run.json."""
    if not fidelity or "worst_s" not in fidelity or fidelity.get("pace", 1) is None:
        return
    late = f"median {seconds(fidelity.get('median_s'))}, p99 {seconds(fidelity.get('p99_s'))}"
    _say(console, f"Late against the clock: {late}, worst {seconds(fidelity['worst_s'])}.")
    if not fidelity.get("trusted", True):
        _say(console, f"Not to be trusted: {fidelity.get('reason') or 'it was too late'}.", "red")


def _who(user: Mapping[str, Any]) -> str:
    return str(user["client"]) if user["user"] == user["client"] else f"{user['user']} ({user['client']})"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", overflow="fold")
    return table


def _cells(*values: str) -> list[Text]:
    return [Text(value) for value in values]


def _title(console: Console, text: str) -> None:
    console.print()
    _say(console, text, "bold")


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style=style))


def _more(console: Console, total: int, thing: str) -> None:
    if total > _ROWS:
        _say(console, f"... and {count(total - _ROWS, thing)} more: `summary` in {RUN_FILE}")
