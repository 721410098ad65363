"""What a report says of its own numbers: each judgement in a world where it is due, and in one where it is not."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console
from run_world import PHONES, phones
from small_nets import model, node, saved, tensor

from layerlift.emulator import RunResult, Scenario, run
from layerlift.emulator.cli.main import main
from layerlift.emulator.report.bottlenecks import binding, unlimited
from layerlift.emulator.report.demand import demand_above_capacity, growing_queues
from layerlift.emulator.report.judgements import (
    answers_that_are_nan,
    far_above_promised,
    judgements,
    without_regression,
)
from layerlift.emulator.report.report import show
from layerlift.emulator.report.transports import transports

OVERLOAD: dict[str, Any] = {
    "name": "overload",
    "nodes": [{"tier": "edge", "name": "e1", "ghz": 1}],
    "links": {"client-edge": {"bandwidth_mb_s": 500, "latency_ms": 1}},
    "users": [
        {
            "model": "squeezenet",
            "planner": "all_remote",
            "asks": {"every_ms": 20},
            "in_flight": 1000,
            "device": {"ghz": 0.2},
        }
    ],
    "reference_ghz": 10,
    "until_s": 20,
    "execution": "none",
}


FULL = ("nodes.1.memory_mb=4.8", "users.0.planner=all_remote", "users.0.queries=60")
"""A server that holds one SqueezeNet and no more."""


def asked_every(milliseconds: float) -> RunResult:
    return run(Scenario.from_dict(OVERLOAD, [f"users.0.asks={{every_ms: {milliseconds}}}"]), local=True)


@pytest.fixture(scope="module")
def flooded() -> RunResult:
    """The server needs 42 ms for what comes every 20."""
    return asked_every(20)


@pytest.fixture(scope="module")
def calm() -> RunResult:
    return asked_every(100)


@pytest.fixture(scope="module")
def usual() -> RunResult:
    return run(phones(execution="none"), local=True)


def demand(result: RunResult) -> str | None:
    return demand_above_capacity(result.queries, result.segments, result.run["world"])


def queues(result: RunResult) -> str | None:
    return growing_queues(result.queries, result.run["world"], result.run["virtual_s"])


def binds(result: RunResult) -> str | None:
    return binding(result.table, result.run["world"], result.run["virtual_s"])


def test_demand_above_capacity_names_the_server_and_by_how_much(flooded: RunResult) -> None:
    [work_s] = set(flooded.segments.filter(_at(flooded, "e1"))["work_s"].to_pylist()) or {0.0}
    said = demand(flooded)
    assert said is not None
    assert f"the CPU of e1 is asked for {work_s / 0.02:.3g} times what it can do" in said


def _at(result: RunResult, name: str) -> Any:
    import pyarrow.compute as pc

    return pc.equal(result.segments["node"], name)


def test_demand_within_capacity_is_not_told(calm: RunResult, usual: RunResult) -> None:
    assert demand(calm) is None
    assert demand(usual) is None, "who asks back to back never asks for more than there is"


@pytest.mark.long
def test_a_device_that_cannot_keep_up_is_told_apart() -> None:
    slow = run(Scenario.from_dict(OVERLOAD, ["users.0.planner=local", "users.0.in_flight=1"]), local=True)
    said = demand(slow)
    assert said is not None
    assert "1 device for more than they can at home" in said
    assert "the CPU of" not in said


def test_queues_that_grow_to_the_end(flooded: RunResult, calm: RunResult) -> None:
    said = queues(flooded)
    assert said is not None
    last = sum(row["reason"] == "run ended" for row in flooded.queries.to_pylist())
    assert f"and {last:,} questions are open" in said
    assert queues(calm) is None


def test_a_crowd_that_grows_is_no_queue() -> None:
    """Users who come one by one and have one question open each."""
    growing = phones(
        execution="none",
        users=[{"kind": "phone", "count": 20, "device": {"ghz": 1}, "model": "squeezenet", "arrival": {"per_s": 1}}],
        nodes=PHONES["nodes"][1:],
        until_s=15,
    )
    made = run(growing, local=True)
    assert queues(made) is None


def test_seen_far_above_promised(flooded: RunResult, usual: RunResult) -> None:
    said = far_above_promised(flooded.summary)
    assert said is not None
    [user] = flooded.summary["users"]
    ratio = user["latency_s"]["after"]["median"] / user["plan"]["predicted_s"]
    assert f"by 1 of 1 user: {ratio:.3g} times for user-1" in said
    assert far_above_promised(usual.summary) is None


def test_the_processor_binds(flooded: RunResult, calm: RunResult) -> None:
    assert "the CPU of e1 (full for 9" in str(binds(flooded))
    assert "CPU" not in str(binds(calm))


def test_ports_pairs_and_memory_bind() -> None:
    narrow = phones("nodes.1.uplink_mb_s=100", "nodes.1.downlink_mb_s=0.5", "users.0.queries=6", execution="none")
    made = run(narrow, local=True)
    assert "the downlink of node" in str(binds(made)).replace("edge", "node")
    wide = run(phones("users.0.queries=6", execution="none"), local=True)
    assert "the pair " in str(binds(wide))
    assert "downlink" not in str(binds(wide))
    full = run(phones(*FULL, execution="none"), local=True)
    assert "the memory of " in str(binds(full))
    assert "memory" not in str(binds(wide))


def test_idle_periods_count_by_their_length() -> None:
    """Rows of usage may stand for a second or for an hour: time is summed, not rows."""
    made = run(phones(*FULL, execution="none"), local=True)
    coarse = run(phones(*FULL, "sample_s=0.1", execution="none"), local=True)
    found = [str(binds(each)).partition("the memory of ")[2].partition(" %")[0].split()[-1] for each in (made, coarse)]
    assert float(found[0]) == pytest.approx(float(found[1]), abs=20)


def test_links_that_nobody_limited(usual: RunResult) -> None:
    said = unlimited(usual.summary, usual.run)
    assert said is not None
    assert "uplink_mb_s" in said
    limits = [f"nodes.{group}.{port}_mb_s=1000" for group in (1, 2) for port in ("uplink", "downlink")]
    told = run(phones(*limits, execution="none"), local=True)
    assert unlimited(told.summary, told.run) is None
    chosen = [f"nodes.{group}.{port}_mb_s=null" for group in (1, 2) for port in ("uplink", "downlink")]
    said_so = run(phones(*chosen, execution="none"), local=True)
    assert unlimited(said_so.summary, said_so.run) is None, "somebody said that they are unlimited"
    apart = run(phones("share_links=false", execution="none"), local=True)
    assert unlimited(apart.summary, apart.run) is None


def no_number(folder: Path) -> Path:
    """A network whose answer is 0 / 0."""
    nodes = [node("Sub", ["x", "x"], ["zero"]), node("Div", ["zero", "zero"], ["y"])]
    return saved(model(nodes, [tensor("x", 1, 4)], ["y"]), folder / "nan.onnx")


@pytest.mark.long
def test_answers_that_are_nan(tmp_path: Path, usual: RunResult) -> None:
    users = [{"model": str(no_number(tmp_path)), "planner": "local", "queries": 3}]
    made = run(phones(users=users, execution="every"), local=True)
    assert {u["output_error"] for u in made.summary["users"]} == {None}, "nothing could be compared"
    said = answers_that_are_nan(made.measured)
    assert said is not None
    assert said.startswith("6 answers of 2 users held values that are NaN or infinite")
    assert answers_that_are_nan(usual.measured) is None


def test_layers_without_a_regression(tmp_path: Path, usual: RunResult) -> None:
    nodes = [node("Relu", ["x"], ["a"]), node("Hardmax", ["a"], ["y"])]
    strange = saved(model(nodes, [tensor("x", 1, 4)], ["y"]), tmp_path / "strange.onnx")
    users = [{"model": str(strange), "planner": "local", "queries": 1}]
    told = {"users": users, "execution": "none", "planner": {"predictions": "regression"}}
    made = run(phones(**told), local=True)
    (share,) = (each["unpredicted_share"] for each in made.run["world"]["models"])
    assert 0 < share < 1
    assert f"{share:.1%} of the time: Hardmax (1)" in str(without_regression(made.run["world"]))
    known = run(phones("users.0.model=alexnet", "users.0.queries=1", **(told | {"users": PHONES["users"]})), local=True)
    assert without_regression(known.run["world"]) is None
    exact = run(phones(users=users, execution="none"), local=True)
    assert without_regression(exact.run["world"]) is None, "nobody was told a regression"


@pytest.mark.long
def test_show_says_what_the_end_of_the_run_said(tmp_path: Path) -> None:
    made = run(Scenario.from_dict(OVERLOAD), local=True, out=tmp_path / "made")
    read = RunResult.load(tmp_path / "made")
    assert judgements(read) == judgements(made) != []
    text = " ".join(shown(read).split())
    for line in judgements(made):
        assert line in text
    assert text.index("times what it can do") < text.index("Latency of a query")


def shown(result: RunResult) -> str:
    out = io.StringIO()
    show(result, Console(file=out, width=80))
    return out.getvalue()


def test_what_was_not_given_or_not_done_is_not_a_number(usual: RunResult) -> None:
    [server, *_] = usual.summary["servers"]
    assert (server["energy_j"], server["money"]) == (None, None)
    assert usual.summary["totals"]["money"] is None
    assert usual.summary["totals"]["unmetered"] == 3
    assert all(user["energy_j"] > 0 for user in usual.summary["users"])
    text = " ".join(shown(usual).split())
    assert "(of 3 servers: not given), money not given" in text
    assert "no layers executed" in text
    assert "largest output error" not in text
    given = ["nodes.1.idle_w=5", "nodes.2.price_per_core_hour=1", "nodes.2.compute_w=1"]
    dear = run(phones(*given, execution="none"), local=True).summary
    assert [server["energy_j"] is None for server in dear["servers"]] == [False, False, False]
    assert [server["money"] is None for server in dear["servers"]] == [True, True, False]
    assert dear["totals"]["money"] is not None


def test_failed_plans_are_in_the_headline(usual: RunResult) -> None:
    broken = phones("users.*.planner=worlds:Raising", execution="none")
    text = shown(run(broken, local=True))
    head = text.partition("Latency of a query")[0]
    assert "2 of 2 plans failed" in head
    assert "plans failed" not in shown(usual)


def test_what_transports_links_had_is_said_where_they_are_not_fluid() -> None:
    plain = {"efficiency": 1.0, "queue_s": 0.0, "query_weight": 1.0, "slow_start": False}
    modem = {"efficiency": 0.956, "queue_s": 0.04, "query_weight": 0.6, "slow_start": True}
    assert transports({"links": {"client>edge": plain}}) is None
    said = transports({"links": {"client>edge": modem, "edge>client": modem, "edge>cloud": plain}, "pairs": {}})
    assert said == (
        "Transport of client>edge, edge>client: 95.6 % payload, 40.0 ms behind an upload, queries 0.6 to an "
        "upload's 1, idle connections begin slowly. All others are fluid and fair."
    )
    media = [{"name": f"m{k}", **plain, "query_weight": 2.0} for k in range(5)]
    assert transports({"media": media}) == "Transport of m0, m1, m2 and 2 more: queries 2 to an upload's 1."


def test_a_run_says_which_transports_it_had_and_a_plan_what_a_pause_costs() -> None:
    made = run(phones("links.*.profile=modem", execution="none"), local=True)
    assert any(line.startswith("Transport of ") for line in judgements(made))
    slow = ["--set", "links.*.profile=modem", "--set", "links.*.latency_ms=40", "--set", "users.*.planner=all_remote"]
    told = CliRunner().invoke(main, ["plan", "quickstart", *slow])
    assert told.exit_code == 0, told.stderr
    assert "After a pause a query takes" in told.stdout
    usual = CliRunner().invoke(main, ["plan", "quickstart", *slow[2:]])
    assert "After a pause" not in usual.stdout
