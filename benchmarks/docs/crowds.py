"""What docs/scenarios.md and README say of the bundled crowds: every number is of a run made here."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from statistics import fmean
from typing import Any

from benchmarks.docs.blocks import ROOT, prose, table
from layerlift.emulator.report.formatting import seconds, share, size
from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.results.sums import quantile
from layerlift.emulator.run import run
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.studies.compare.comparison import Comparison
from layerlift.emulator.studies.compare.study import compare
from layerlift.models.sums import int_sum

SHOWS = {
    "paper": "the paper's figure 5, see [figure5.md](figure5.md)",
    "quickstart": "a first world to change",
    "contention": "300 uploads at once, and who should have stayed at home",
    "late-arrival": "who comes first occupies everything",
    "flaky": "links that break, a server that crashes",
    "commuters": "moving users, hand-overs, batteries",
    "rush-hour": "bursts over capacity, frames that come too late",
    "gpu-edge": "a GPU that runs queries together, and what waiting for company costs",
    "elastic": "servers that are switched on as they are used, users who leave a slow plan, a shared cell",
}
HOME = ("users.*.planner=local",)


@cache
def ran(name: str, *settings: str) -> RunResult:
    """A bundled scenario, without executing layers; each once a process."""
    return run(Scenario.load(name, ["execution=none", *settings]), local=True)


@cache
def compared(name: str, policies: tuple[str, ...], seeds: int, *settings: str) -> Comparison:
    """A bundled scenario under several policies, slowdowns included."""
    chosen: dict[str, Any] = {"policies": list(policies)} if policies else {}
    return compare(name, **chosen, seeds=[1] if seeds == 1 else seeds, overrides=list(settings), local=True)


def crowd_table() -> str:
    """How large the bundled scenarios are, and what they cost here."""
    rows = []
    for name, shows in SHOWS.items():
        result = ran(name)
        totals, told = result.summary["totals"], result.summary
        sizes = f"{len(told['users'])}, {len(told['servers'])}"
        counts = [seconds(totals["virtual_s"]), f"{totals['answered']:,}", f"{_cpu_s(name):.0f} s"]
        rows.append([f"`{name}`", shows, sizes, *counts])
    return table(["scenario", "shows", "users, servers", "emulated", "answered", "CPU here"], rows, left=2)


def _cpu_s(name: str) -> float:
    """CPU seconds of `layerlift run` in a process of its own."""
    code = f"from layerlift import Scenario, run; run(Scenario.load({name!r}, ['execution=none']), local=True)"
    before = os.times()
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def kinds(result: RunResult) -> Mapping[str, float]:
    """By kind, the mean latency of its answered queries."""
    kind = {user["user"]: user["kind"] for user in result.summary["users"]}
    found: dict[str, list[float]] = {}
    for row in result.queries.select(["user", "status", "latency_s"]).to_pylist():
        if row["status"] == "answered":
            found.setdefault(kind[row["user"]], []).append(row["latency_s"])
    return {name: math.fsum(times) / len(times) for name, times in found.items()}


def whole_mean(result: RunResult) -> float:
    """The mean latency of all answered queries."""
    rows = result.queries.select(["status", "latency_s"]).to_pylist()
    return fmean(row["latency_s"] for row in rows if row["status"] == "answered")


def contention() -> str:
    """Who crowds where, and three ways to mend it."""
    result = ran("contention")
    servers = sorted(result.summary["servers"], key=lambda server: -server["busy_share"])
    first, second = servers[:2]
    counts = {server["name"]: len(set(_users_at(result, server["name"]))) for server in (first, second)}
    idle = sum(server["busy_share"] < 0.1 for server in servers)
    trouble = result.summary["troubles"]
    said = (
        f"{counts[first['name']]} phones have layers run by {first['name']}, {counts[second['name']]} by "
        f"{second['name']}. The first is {share(first['busy_share'])} busy, the second {share(second['busy_share'])}; "
        f"{idle} of the {len(servers)} servers stay below 10 %. {trouble['refused']} parts are refused after they were "
        f"sent ({size(trouble['wasted_bytes'])} for nothing); their users plan again."
    )
    names = ("first_come", "drf", "equal")
    found = compared("contention", names, 1)
    planned = compare(
        "contention", planners=["best_response+ionn"], seeds=[1], overrides=["planner.gather_s=4"], local=True
    )
    home = seconds(whole_mean(ran("contention", *HOME)))
    rows = [["everybody at home (`--planner local`)", home, "", ""]]
    for number, name in enumerate(names):
        rows.append([f"`{name}`" + " (the file's)" * (not number), *_three(found, number)])
    rows.append(["`first_come`, planned jointly (`best_response+ionn`)", *_three(planned, 0)])
    head = ["", "mean latency", "Jain's index of 1 / slowdown", "mean slowdown"]
    return f"{prose(said)}\n\n{table(head, rows)}"


def _three(found: Comparison, variant: int) -> list[str]:
    keys = ("latency_mean_queries_s", "jain", "slowdown_mean_users")
    latency, jain, slowdown = (found.mean(key, variant).mean for key in keys)
    return [seconds(latency), f"{jain:.2f}", f"{slowdown:.1f}"]


def _users_at(result: RunResult, server: str) -> Iterable[str]:
    rows = result.segments.select(["node", "user"]).to_pylist()
    return (row["user"] for row in rows if row["node"] == server)


LATE = ("greedy", "equal", "drf")
_LATE_ROWS = {
    "slowdown, mean over users": "slowdown_mean_users",
    "slowdown, worst user": "slowdown_worst_user",
    "arrival bias (1: latest fare worst)": "arrival_bias",
    "Jain's index": "jain",
}


def late_table(more: Mapping[str, str] | None = None) -> str:
    """The paper's open problem in numbers: three policies, three seeds."""
    found = compared("late-arrival", LATE, 3)
    rows = []
    for title, key in {**_LATE_ROWS, **(more or {})}.items():
        means = [found.mean(key, number) for number in range(len(LATE))]
        digits = 2 if key in _LATE_ROWS.values() else 0
        rows.append([title, *(f"{mean.mean:,.{digits}f} ±{mean.half:,.{digits}f}" for mean in means)])
    return table(["means over three seeds, ±95 %", *(f"`{name}`" for name in LATE)], rows)


def late() -> str:
    """The same with what it costs, and how the early and the late ones fare with seed 1."""
    more = {"queries answered": "answered", "users who lost what they had (disruptions)": "disruptions"}
    more["upload, mean over users (s)"] = "upload_s"
    policies = (*LATE, "dynamic_drf:disruptions=1")
    rows = []
    found = compared("late-arrival", policies, 1)
    for number, name in enumerate(policies):
        [trial] = found.of(number)
        assert trial.seen is not None
        halves: dict[bool, list[float]] = {False: [], True: []}
        for user in trial.seen.users:
            halves[user.arrival_s >= 100].append(user.slowdown)
        rows.append([f"`{name}`", *(f"{fmean(halves[late]):.2f}" for late in (False, True))])
    price = table(["mean slowdown, seed 1", "early users", "late users"], rows)
    return f"{late_table(more)}\n\n{price}"


def flaky() -> str:
    """What breaks cost, and for whom."""
    result = ran("flaky")
    told = result.summary
    falls = sum(told["troubles"]["fallbacks"].values())
    wasted = dict.fromkeys(("resuming", "restarting"), 0)
    unended = dict.fromkeys(wasted, 0)
    for user in told["users"]:
        wasted[user["kind"]] += user["wasted_bytes"]
        unended[user["kind"]] += user["upload"]["state"] in ("open", "partial")
    said = (
        f"{falls} of {told['totals']['answered']:,} answered queries met a break and were finished on the phone "
        f"(`fallback` in the table [queries](results.md)); {told['totals']['failed']} failed, those that were open at "
        f"the end included. Resuming users carried {size(wasted['resuming'])} in vain, the others "
        f"{size(wasted['restarting'])}; {unended['restarting']} of these and {unended['resuming']} of the resuming had "
        "not ended their uploads after three minutes."
    )
    runs = {
        "with faults": result,
        "without (`--set faults=[]`)": ran("flaky", "faults=[]"),
        "with faults, all resuming (`--set users.*.resume=true`)": ran("flaky", "users.*.resume=true"),
        "at home (`--planner local`)": ran("flaky", *HOME),
    }
    rows = [[title, *(seconds(kinds(one)[kind]) for kind in wasted)] for title, one in runs.items()]
    return f"{prose(said)}\n\n{table(['mean latency of users who are', *wasted], rows)}"


def commuters() -> str:
    """Three ways to hand over, and staying at home."""
    result = ran("commuters")
    changes = result.summary["troubles"]["changes"]
    driving = sum(user["handovers"] for user in result.summary["users"] if user["kind"] == "driver")
    said = (
        f"{changes['hand-over']} hand-overs, {driving} of them of drivers, and {changes.get('battery empty', 0)} "
        "walkers whose battery runs out:"
    )
    rows = []
    for how in ("copy", "reupload", "forward"):
        one = result if how == "copy" else ran("commuters", f"faults.*.handover={how}")
        means = kinds(one)
        carried = [size(_from_clients(one)), size(_copied(one)) if how == "copy" else ""]
        rows.append([f"`{how}`", *carried, seconds(means["driver"]), seconds(means["walker"])])
    home = kinds(ran("commuters", *HOME))
    rows.append(["at home (`--planner local`)", "", "", seconds(home["driver"]), seconds(home["walker"])])
    head = ["`handover`", "uploaded by clients", "copied between servers", "mean latency of drivers", "of walkers"]
    return f"{prose(said)}\n\n{table(head, rows)}"


def _from_clients(result: RunResult) -> int:
    """What clients sent but for queries, broken-off uploads included."""
    clients = {user["client"] for user in result.summary["users"]}
    used = result.usage.select(["node", "sent_bytes"]).to_pylist()
    sent = sum(row["sent_bytes"] for row in used if row["node"] in clients)
    return int(sent - sum(result.queries["sent_bytes"].to_pylist()))


def _copied(result: RunResult) -> int:
    rows = result.uploads.select(["client", "source", "bytes", "status"]).to_pylist()
    return sum(row["bytes"] for row in rows if row["source"] != row["client"] and row["status"] == "confirmed")


TWICE = "nodes.0.ghz=[48, 96]"


def rush_hour() -> str:
    """A burst under two policies, and with faster servers; deadlines; other seeds."""
    runs = {
        "`equal` (the file's)": ran("rush-hour"),
        "`first_come`": ran("rush-hour", "nodes.0.policy=first_come"),
        "`equal`, servers twice as fast": ran("rush-hour", TWICE),
    }
    failed = [{one["kind"]: one["failed"] for one in result.summary["kinds"]} for result in runs.values()]
    means = [kinds(result) for result in runs.values()]
    frames = sum(row["user"].startswith("camera") for row in ran("rush-hour").queries.to_pylist())
    rows = [[f"frames dropped as `late`, of {frames:,}", *(f"{each['camera'].get('late', 0):,}" for each in failed)]]
    rows += [
        [f"mean latency of {kind}s", *(seconds(each[kind]) for each in means)]
        for kind in ("camera", "caller", "walker")
    ]
    full = [f"{each['caller'].get('queue full', 0):,}" for each in failed]
    rows.append(["callers' questions refused (`queue full`)", *full])
    alone = kinds(ran("rush-hour", "users.1.count=1"))
    dropped = [
        _dropped(ran("rush-hour", f"seed={seed}", f"nodes.0.policy={name}"))
        for seed in (2, 3)
        for name in ("equal", "first_come")
    ]
    said = (
        f"With `equal` and a single caller (`users.1.count=1`) cameras have {seconds(alone['camera'])} and walkers "
        f"{seconds(alone['walker'])}. Bursts are drawn: seed 2 drops {dropped[0]:,} frames with `equal` and "
        f"{dropped[1]:,} with `first_come`, seed 3 {dropped[2]:,} and {dropped[3]:,}."
    )
    return f"{table(['', *runs], rows)}\n\n{prose(said + ' ' + _deadlines(ran('rush-hour')))}"


FEW, SETTLED_S = "users.0.count=6", 15.0
"""Cameras that one GPU serves one by one with ease; and from when on all have uploaded their network."""
WAITS = {"batches, no wait": "batch_wait_ms=0", "waits of 2 ms (the file's)": "batch_wait_ms=2",
         "waits of 20 ms": "batch_wait_ms=20", "one by one": "max_batch=1"}  # fmt: skip


def gpu_edge() -> str:
    """Many cameras and few, and how long the first of a batch waits."""
    rows = []
    for cameras in ("", FEW):
        for name, setting in WAITS.items():
            result = ran("gpu-edge", f"nodes.0.{setting}", *([cameras] if cameras else []))
            rows.append([cameras.rpartition("=")[2] or "40", name, *_batched(result)])
    head = ["cameras", "the GPU runs", "frames a second", "mean latency", "95th percentile", "batch", "first waits"]
    return table(head, rows, left=2)


def _batched(result: RunResult) -> list[str]:
    """Of frames asked once all is settled: answered a second, latencies; and of batches their size and wait."""
    end_s = result.summary["totals"]["virtual_s"]
    rows = result.queries.select(["asked_s", "status", "latency_s"]).to_pylist()
    times = sorted(row["latency_s"] for row in rows if row["asked_s"] >= SETTLED_S and row["status"] == "answered")
    told = result.summary["servers"][0]["batches"]
    return [
        f"{len(times) / (end_s - SETTLED_S):,.0f}", seconds(fmean(times)), seconds(quantile(times, 0.95)),
        f"{told['mean_size']:.2f}", seconds(told["company_mean_s"]),
    ]  # fmt: skip


ROOMS = {
    "one server": ("nodes.1.autoscale=null", "nodes.1.count=1"),
    "one to four, slow plans are replaced (the file's)": (),
    "one to four, `replan=on_change`": ("users.0.replan=on_change",),
    "one to four, `replan=never`": ("users.0.replan=never",),
    "four servers all the time": ("nodes.1.autoscale=null",),
}


def elastic() -> str:
    """How many servers are on, and what users see who keep a plan, leave it at once, or when slow."""
    rows = []
    for name, settings in ROOMS.items():
        result = ran("elastic", *settings)
        times = sorted(row["latency_s"] for row in result.queries.to_pylist() if row["status"] == "answered")
        asked = result.summary["troubles"]["replans"]
        again = f"{int_sum(asked.values()) - asked.get('worse', 0):,}, {asked.get('worse', 0):,}"
        rows.append([name, seconds(fmean(times)), seconds(quantile(times, 0.95)), again, *_switched_on(result)])
    head = ["servers", "mean latency", "95th percentile", "asked anew, went back", "on, mean", "USD"]
    return table(head, rows, left=1)


def _switched_on(result: RunResult) -> list[str]:
    """How many servers of the cloud were on on average, and what they cost."""
    world, end_s = result.run["world"], result.summary["totals"]["virtual_s"]
    clouds = [node for node in world["nodes"] if node["tier"] == "cloud"]
    price = clouds[0]["price_per_s"] * clouds[0]["cores"]
    scaled = result.summary["scaling"]
    on_s = scaled[0]["on_s"] if scaled else len(clouds) * end_s
    return [f"{on_s / end_s:.1f}", f"{price * on_s:.4f}"]


def _dropped(result: RunResult) -> int:
    return sum(one["failed"].get("late", 0) for one in result.summary["kinds"] if one["kind"] == "camera")


def _deadlines(result: RunResult) -> str:
    from layerlift.emulator.studies.fairness.study import fairness

    met = {one["kind"]: one["deadline"]["queries"] for one in fairness(result)["kinds"]}
    told = ", ".join(f"{share(met[kind])} of the {kind}s'" for kind in ("camera", "caller", "walker"))
    return f"Deadlines (0.2, 2 and 1 s) are met by {told} questions."
