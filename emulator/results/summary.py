"""The numbers that a person asks for after a run, from its tables and the `world` part of its run.json.

What each number means (also in docs/results.md):

* A query counts in a *phase* by when it began: `before` the first part of the user's first plan was sent; `during`
  the upload; `after` the last answer to a part. While a part of the last plan has had no answer, or has never been
  confirmed and was on its way to the end, the upload is `open` and nothing is `after` yet. Latencies (seconds,
  question to answer) are those of answered queries.
* `energy_j` is what the user's client drew over the whole run.
* `money` (USD) of a user = its queries (server seconds and bytes carried) + carrying its confirmed or refused parts (a
  part that was refused when it was asked for was not carried)
  + holding its parameters on servers from admission to release or the end of the run.
* `busy_share` of servers is core-seconds of work over cores x seconds of the run; `node_balance` is its coefficient of
  variation over all servers (None without any).
* `coordination` is the coupling coordination degree of latency, energy and money that the last accepted plan of a user
  promises (None where it is not told), and the mean of that over users.
* `batches` of a server that batches (no other has it): how many ran, pieces in one on average and at most, and for how
  long the first of one waited for company while a core was free, on average and at most; None where none ran.
* Energy of a node whose every power is 0, and money where every price that could have charged it is 0, is None: nothing
  was given to reckon with. Sums are over what is given, and None where nothing is.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from layerlift.emulator.results.batches import batch_figures
from layerlift.emulator.results.described import Given, Prices, layer_runs, prices_per_byte
from layerlift.emulator.results.incidents import incidents, incidents_of_users
from layerlift.emulator.results.scaling import scaled
from layerlift.emulator.results.sums import (
    Asked,
    asked_by_user,
    grouped,
    held_money,
    mean_of,
    seen_period,
    spread,
    summed,
    told_of_plans,
    usage_sums,
    variation,
    worst_errors,
)
from layerlift.models.sums import int_sum

Tables = Callable[[str], Any]
"""Gives a result table, a `pyarrow.Table`, by its name."""

PHASES: Final = ("before", "during", "after")


class Upload(NamedTuple):
    """How a user's upload went. Times are virtual seconds; None where it has not come to that."""

    state: str
    """none (nothing to upload) | open (to the end) | partial (some parts refused or lost for good) | complete."""
    parts: int
    confirmed_parts: int
    bytes: int
    """Of confirmed parts, over all plans."""
    attempts: int
    began_s: float | None
    ended_s: float | None
    """The last confirm result, or the last answer to a part that was never confirmed."""

    def phase(self, begun_s: float) -> str:
        """The phase of a query that began at `begun_s`."""
        if self.began_s is None or begun_s < self.began_s:
            return "before"
        ended = self.state != "open" and self.ended_s is not None and begun_s > self.ended_s
        return "after" if ended else "during"


def summarise(tables: Tables, run: Mapping[str, Any]) -> dict[str, Any]:
    """Summarise a run: `users`, `kinds`, `servers`, `totals`, `troubles` and `scaling`, all JSON.

    `run` is the content of run.json; its `world` is `layerlift.emulator.world.describe.describe_world(world)`. Pure.
    """
    world = run.get("world") or {"users": [], "nodes": [], "models": []}
    end_s = _end_s(tables, run)
    queries = asked_by_user(tables("queries"))
    uploads = grouped(tables("uploads"), "user")
    plans = grouped(tables("plans"), "user")
    nodes = usage_sums(tables("usage"))
    given = Given.of(world)
    held = held_money(tables("allocations"), world, end_s)
    prices = prices_per_byte(world)
    errors = worst_errors(tables("measured"))
    told = told_of_plans(tables("measured"), ("period_s", "coordination"))
    hurt = incidents_of_users(tables, world)
    users: list[dict[str, Any]] = []
    members: dict[str, list[dict[str, Any]]] = defaultdict(list)
    pooled: dict[str, dict[str, list[float]]] = defaultdict(lambda: {phase: [] for phase in PHASES})
    for user in world["users"]:
        name = user["name"]
        latencies: dict[str, list[float]] = {phase: [] for phase in PHASES}
        sent = uploads.get(name, [])
        entry = _user(user, world, queries.get(name, []), sent, plans.get(name, []), latencies)
        if entry["plan"] is not None:
            _told_of(entry, told.get((name, entry["plan"]["version"]), {}), user, queries.get(name, []))
        money = _money(user, prices, queries.get(name, []), sent, held.get(name, 0.0))
        entry["money"] = money if given.priced else dict.fromkeys(money)
        entry.update({key: nodes[user["client"]][key] for key in ("sent_bytes", "received_bytes")})
        entry["energy_j"] = given.energy_j(user["client"], nodes)
        entry["output_error"] = errors.get(name)
        entry["queries_per_j"] = _ratio(entry["answered"], entry["energy_j"])
        entry.update(hurt[name])
        users.append(entry)
        members[user["kind"]].append(entry)
        for phase in PHASES:
            pooled[user["kind"]][phase].extend(latencies[phase])
    return {
        "users": users,
        "kinds": [_kind(kind, members[kind], pooled[kind]) for kind in pooled],
        "servers": _servers(tables, world, nodes, given, end_s),
        "totals": _totals(tables, run, world, users, nodes, given, end_s),
        "troubles": incidents(tables),
        "scaling": scaled(tables, world, end_s),
    }


def _user(
    user: Mapping[str, Any],
    world: Mapping[str, Any],
    queries: Sequence[Asked],
    uploads: Sequence[Mapping[str, Any]],
    plans: Sequence[Mapping[str, Any]],
    latencies: dict[str, list[float]],
) -> dict[str, Any]:
    """One user's entry but for what nodes and servers know; fills `latencies` by phase."""
    accepted = [plan for plan in plans if plan["status"] == "accepted"]
    last = accepted[-1] if accepted else None
    upload = _upload(uploads, last)
    for query in queries:
        if query.answered:
            latencies[upload.phase(query.begun_s)].append(query.latency_s)
    spreads = {phase: spread(latencies[phase]) for phase in PHASES}
    after = spreads["after"]
    return {
        "user": user["name"],
        "client": user["client"],
        "kind": user["kind"],
        "model": user["model"],
        "planner": user["planner"],
        "answered": int_sum(map(len, latencies.values())),
        "failed": dict(Counter(query.reason for query in queries if not query.answered)),
        "latency_s": {**spreads, "all": spread(value for phase in PHASES for value in latencies[phase])},
        "upload": upload._asdict(),
        "plan": _plan(user, world, last, after) if last else None,
        "plans_failed": dict(Counter(plan["reason"] for plan in plans if plan["status"] != "accepted")),
    }


def _plan(
    user: Mapping[str, Any], world: Mapping[str, Any], plan: Mapping[str, Any], after: Mapping[str, float] | None
) -> dict[str, Any]:
    layers: list[str] = next((model["layers"] for model in world["models"] if model["name"] == user["model"]), [])
    return {
        "version": plan["plan_version"],
        "planner": plan["planner"],
        "placement": layer_runs(plan["placement"], layers),
        "local_s": plan["local_s"],
        "predicted_s": plan["predicted_s"],
        "seen_s": after["median"] if after else None,
        "note": plan["note"],
    }


def _told_of(
    entry: Mapping[str, Any], told: Mapping[str, float], user: Mapping[str, Any], queries: Sequence[Asked]
) -> None:
    """Add to a user's plan what was told of it beside its row."""
    plan = entry["plan"]
    plan["coordination"] = told.get("coordination")
    if "period_s" in told:
        plan["period_s"] = told["period_s"]
        plan["stream_s"] = told["period_s"] * user.get("at_once", 1)
        plan["seen_period_s"] = _seen_period_s(entry["upload"], queries)


def _seen_period_s(upload: Mapping[str, Any], queries: Sequence[Asked]) -> float | None:
    """Seconds from answer to answer, of queries that began once all was uploaded, until the last of them began.

    After that no query takes the place of one that ends, so that the last answers come too fast or too slowly.
    """
    known = Upload(**upload)
    wanted = "before" if known.state == "none" else "after"
    seen = [each for each in queries if each.answered and known.phase(each.begun_s) == wanted]
    last_s = max((each.begun_s for each in seen), default=0.0)
    full = [each.ended_s for each in seen if each.ended_s <= last_s]
    return seen_period(full if len(full) > 1 else [each.ended_s for each in seen])


def _upload(rows: Sequence[Mapping[str, Any]], plan: Mapping[str, Any] | None) -> Upload:
    confirmed = [row for row in rows if row["status"] == "confirmed"]
    version, parts = (plan["plan_version"], plan["parts"]) if plan else (0, 0)
    last = {row["part"]: row for row in rows if row["plan_version"] == version}
    held = {row["part"] for row in confirmed if row["plan_version"] == version}
    # What is cancelled and sent no more was under way when its user left or the run ended: the link was never free.
    answered = held | {part for part, row in last.items() if row["status"] != "cancelled"}
    answers = [*confirmed, *(last[part] for part in answered - held)]
    if parts == 0:
        state = "none"
    elif len(answered) < parts:
        state = "open"
    else:
        state = "complete" if len(held) == parts else "partial"
    once = {(row["plan_version"], row["part"]): row["bytes"] for row in confirmed}
    return Upload(
        state=state,
        parts=parts,
        confirmed_parts=len(held),
        bytes=int_sum(once.values()),
        attempts=len(rows),
        began_s=min((row["sent_s"] for row in rows), default=None),
        ended_s=max((row["ended_s"] for row in answers), default=None),
    )


def _money(
    user: Mapping[str, Any],
    prices: Prices,
    queries: Sequence[Asked],
    uploads: Sequence[Mapping[str, Any]],
    held: float,
) -> dict[str, float]:
    asked = math.fsum(query.money for query in queries)
    carried = math.fsum(
        row["bytes" if row["status"] == "confirmed" else "wasted_bytes"] * prices(user["client"], row["server"])
        for row in uploads
        if row["status"] in ("confirmed", "refused")
    )
    return {"queries": asked, "uploads": carried, "memory": held, "total": math.fsum((asked, carried, held))}


def _kind(kind: str, users: Sequence[Mapping[str, Any]], latencies: Mapping[str, list[float]]) -> dict[str, Any]:
    failed: Counter[str] = Counter()
    for user in users:
        failed.update(user["failed"])
    energy_j = summed(user["energy_j"] for user in users)
    told = [user["plan"] for user in users if user["plan"] and "period_s" in user["plan"]]
    keys = ("period_s", "seen_period_s")
    periods = {key: spread(plan[key] for plan in told if plan[key] is not None) for key in keys}
    ended = sorted(user["upload"]["ended_s"] for user in users if user["upload"]["state"] == "complete")
    return {
        "kind": kind,
        "users": len(users),
        "answered": int_sum(user["answered"] for user in users),
        "failed": dict(failed),
        "latency_s": {phase: spread(latencies[phase]) for phase in PHASES},
        "uploads": dict(Counter(user["upload"]["state"] for user in users)),
        "upload_bytes": int_sum(user["upload"]["bytes"] for user in users),
        "upload_ended_s": spread(ended),
        "energy_j": energy_j,
        "queries_per_j": _ratio(int_sum(user["answered"] for user in users), energy_j),
        "lifetime_s": spread(user["lifetime_s"] for user in users if user["lifetime_s"] is not None),
        "money": summed(user["money"]["total"] for user in users),
        "promised_s": spread(user["plan"]["predicted_s"] for user in users if user["plan"]),
        "output_error": max((user["output_error"] for user in users if user["output_error"] is not None), default=None),
        **(periods if told else {}),
    }


def _servers(
    tables: Tables, world: Mapping[str, Any], nodes: Mapping[str, Mapping[str, float]], given: Given, end_s: float
) -> list[dict[str, Any]]:
    servers = [node for node in world["nodes"] if _serves(node)]
    batching = [node["name"] for node in servers if node.get("discipline") == "batch"]
    batches = batch_figures(tables("batches")) if batching else {}
    return [
        {
            **_server(node, nodes, given, end_s),
            **({"batches": batches.get(node["name"])} if node["name"] in batching else {}),
        }
        for node in servers
    ]


def _server(
    node: Mapping[str, Any], nodes: Mapping[str, Mapping[str, float]], given: Given, end_s: float
) -> dict[str, Any]:
    name, used = node["name"], nodes[node["name"]]
    return {
        "name": name,
        "tier": node["tier"],
        "busy_share": _busy_share(node, nodes, end_s),
        **{key: used[key] for key in ("held_bytes", "sent_bytes", "received_bytes")},
        "energy_j": given.energy_j(name, nodes),
        "money": given.money(name, nodes),
    }


def _totals(
    tables: Tables,
    run: Mapping[str, Any],
    world: Mapping[str, Any],
    users: Sequence[Mapping[str, Any]],
    nodes: Mapping[str, Mapping[str, float]],
    given: Given,
    end_s: float,
) -> dict[str, Any]:
    measured = tables("measured").select(["kind", "value"]).to_pylist()
    values: dict[str, list[float]] = defaultdict(list)
    for row in measured:
        values[row["kind"]].append(row["value"])
    answered = int_sum(user["answered"] for user in users)
    wall_s = run.get("wall_s")
    servers = [node for node in world["nodes"] if _serves(node)]
    cores = int_sum(node["cores"] for node in servers)
    busy_s = math.fsum(nodes[node["name"]]["busy_s"] for node in servers)
    return {
        "virtual_s": end_s,
        "queries": tables("queries").num_rows,
        "answered": answered,
        "failed": tables("queries").num_rows - answered,
        "queries_per_virtual_s": answered / end_s if end_s else 0.0,
        "bytes": sum(int(used["sent_bytes"]) for used in nodes.values()),
        "energy_j": summed(given.energy_j(name, nodes) for name in nodes),
        "unmetered": sum(given.energy_j(node["name"], nodes) is None for node in servers),
        "money": summed(given.money(name, nodes) for name in nodes),
        "busy_share": busy_s / (cores * end_s) if cores and end_s else 0.0,
        "node_balance": variation([_busy_share(node, nodes, end_s) for node in servers]) if servers else None,
        "coordination": mean_of(user["plan"]["coordination"] for user in users if user["plan"]),
        "output_error": max(values["output_error"], default=None),
        "planning_s": summed(values["planning_s"]),
        "plans": tables("plans").num_rows,
        "plans_failed": sum(status != "accepted" for status in tables("plans")["status"].to_pylist()),
        "execution_s": summed(values["execution_s"]),
        "executed_pieces": run.get("executed_pieces", len(values["execution_s"])),
        "wall_s": wall_s,
        "queries_per_wall_s": answered / wall_s if wall_s else None,
    }


def _busy_share(node: Mapping[str, Any], nodes: Mapping[str, Mapping[str, float]], end_s: float) -> float:
    return nodes[node["name"]]["busy_s"] / (node["cores"] * end_s) if end_s else 0.0


def _ratio(above: float, below: float | None) -> float | None:
    return above / below if below else None


def _end_s(tables: Tables, run: Mapping[str, Any]) -> float:
    """When the run ended, in virtual seconds: `virtual_s` of run.json, else the last row."""
    if isinstance(run.get("virtual_s"), (int, float)):
        return float(run["virtual_s"])
    return max(
        (value for name in ("queries", "usage", "uploads") for value in tables(name)["at_s"].to_pylist()), default=0.0
    )


def _serves(node: Mapping[str, Any]) -> bool:
    return node["tier"] in ("edge", "cloud")
