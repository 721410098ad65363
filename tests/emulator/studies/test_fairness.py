"""Fairness from result tables, worked out by hand on the run of tests/helpers/made_run.py and small ones like it."""

from __future__ import annotations

import json
import math

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from made_run import made_rows, made_run, query
from run_world import phones

from layerlift.emulator import Scenario, run
from layerlift.emulator.cli.main import main
from layerlift.emulator.results.writer import ResultWriter
from layerlift.emulator.studies.fairness.alone import alone_latencies
from layerlift.emulator.studies.fairness.measure import deadline_of, deadlines_of, fairness, group
from layerlift.emulator.studies.fairness.people import (
    Person,
    Waited,
    deadline_attainment,
    envy_pairs,
    envy_share,
    people,
    user_cost,
)
from layerlift.emulator.studies.fairness.shares import disruptions, dominant_shares, handed_out, window_edges, window_of
from layerlift.emulator.studies.fairness.windows import over_time, window_costs
from layerlift.models.errors import RunError

INF = math.inf


def result_of(rows, info=None):
    writer = ResultWriter(None)
    for table, entries in rows.items():
        writer.add(table, entries)
    writer.close(info or made_run())
    return writer.result()


@pytest.fixture
def made():
    return result_of(made_rows())


def _local(scenario):
    return run(Scenario.from_dict(scenario.model_dump(mode="json"), ["execution=none"]), local=True)


def asked(number, at, latency, state="answered"):
    return Waited(number, at, at + latency, latency, state)


def person(name, *waits, kind="phone", model="tiny", arrival=0.0):
    return Person(name, kind, model, arrival, waits)


def test_open_queries_enter_at_their_age_and_users_count_alike(made):
    found = fairness(made)
    latency = found["all"]["latency_s"]
    assert latency["queries"]["count"] == 9
    assert latency["queries"]["mean"] == pytest.approx((8.6 + 20) / 9)
    assert latency["users"]["count"] == 2
    assert latency["users"]["mean"] == pytest.approx((8.6 / 7 + 10) / 2)
    assert (found["cost"], found["all"]["slowdown"], found["all"]["price"]) == ("latency_s", None, None)
    assert [found["all"][state] for state in ("answered", "open", "failed")] == [8, 1, 0]


def test_indices_are_of_one_over_the_cost(made):
    found = fairness(made, {"phone": [1.0]})["all"]
    a, b = 7 / 8.6, 1 / 10
    assert found["slowdown"]["users"]["max"] == pytest.approx(10)
    assert found["jain"] == pytest.approx((a + b) ** 2 / (2 * (a * a + b * b)))
    assert found["min_max"] == pytest.approx(b / a)
    assert found["gini"] == pytest.approx((a - b) / (2 * (a + b)))
    assert found["welfare"]["0"] == pytest.approx(a + b)
    assert found["welfare"]["inf"] == pytest.approx(b)
    assert found["price"] == pytest.approx(1 - (a + b) / 2)
    assert found["envy"] == 1
    assert fairness(made, {"phone": [1.0]}, best_total=a + b)["all"]["price"] == pytest.approx(0)


def test_slowdown_pairs_queries_by_number_and_the_last_stands_for_later_ones():
    user = person("u", asked(0, 0, 4), asked(1, 4, 3), asked(2, 7, 3))
    assert user_cost(user, {"phone": [2.0, 1.0]}) == pytest.approx(10 / 4)
    assert user_cost(user, {"phone": [9.0], "phone/tiny": [5.0], "u": [2.0]}) == pytest.approx(10 / 6)
    assert user_cost(user, {"phone": [9.0], "phone/tiny": [5.0]}) == pytest.approx(10 / 15)
    assert math.isnan(user_cost(user, {"other": [1.0]}))


def test_edges_of_a_users_cost():
    assert math.isnan(user_cost(person("none")))
    assert user_cost(person("lost", asked(0, 0, 1, "failed"))) == INF
    young = person("young", asked(0, 9, 0.5, "open"))
    assert user_cost(young) == 0.5
    assert user_cost(young, {"phone": [2.0]}) == 1
    assert user_cost(person("old", asked(0, 0, 8, "open")), {"phone": [2.0]}) == 4


def test_a_run_of_nobody_who_asks():
    rows = {table: [] for table in made_rows()}
    found = fairness(result_of(rows, made_run() | {"virtual_s": 0.0}), {"phone": [1.0]})
    assert found["windows"] == []
    assert found["all"]["jain"] is found["all"]["gini"] is found["all"]["price"] is None
    json.dumps(found, allow_nan=False)


def test_a_user_who_never_had_an_answer_is_infinitely_slow():
    rows = made_rows()
    rows["queries"] = [
        row if row[2] == "ann" else (*row[:4], "failed", "no server", *row[6:]) for row in rows["queries"]
    ]
    found = fairness(result_of(rows), {"phone": [1.0]})
    assert found["users"][1]["slowdown"] == "inf"
    assert (found["all"]["jain"], found["all"]["min_max"], found["all"]["gini"]) == (0.5, 0, 0.5)
    assert found["all"]["welfare"]["1"] == "-inf"
    assert found["all"]["unanswered"] == 0.5
    json.dumps(found, allow_nan=False)


def test_envy_is_between_users_of_one_kind_and_model_only():
    crowd = [person("a"), person("b"), person("c"), person("d", model="big"), person("e", kind="car"), person("f")]
    costs = [1.0, 1.04, 2.0, 9.0, 9.0, math.nan]
    assert envy_pairs(crowd, costs) == [("b", "a"), ("c", "a"), ("c", "b")]
    assert envy_pairs(crowd, costs, 0.05) == [("c", "a"), ("c", "b")]
    assert envy_share(crowd, costs, 0.05) == pytest.approx(2 / 3)
    assert math.isnan(envy_share(crowd[3:5], costs[3:5]))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=9), st.sampled_from([0.0, 0.5]))
def test_counting_envy_agrees_with_listing_it(entries, tolerance):
    crowd = [person(str(i), model=str(big)) for i, (_, big) in enumerate(entries)]
    costs = [INF if value == 5 else float(value) for value, _ in entries]
    possible = sum(a.model == b.model for i, a in enumerate(crowd) for b in crowd[:i])
    share = envy_share(crowd, costs, tolerance)
    if possible:
        assert share * possible == pytest.approx(len(envy_pairs(crowd, costs, tolerance)))
        assert 0 <= share <= 1


def test_deadlines_count_failures_and_old_open_queries_as_missed():
    waits = [asked(0, 0, 1), asked(1, 1, 2), asked(2, 3, 0.1, "failed"), asked(3, 4, 3, "open"), asked(4, 7, 1, "open")]
    assert deadline_attainment(waits, 1.5) == 1 / 4
    assert deadline_attainment(waits, 2.0) == 2 / 4
    assert math.isnan(deadline_attainment([waits[4]], 2.0))
    crowd = [person("a", *waits), person("b", asked(0, 0, 1)), person("c", asked(0, 0, 9))]
    found = deadline_of(crowd, {"a": 1.5, "b": 1.5})
    assert found == {"queries": pytest.approx(2 / 5), "users": pytest.approx((1 / 4 + 1) / 2)}


def test_each_user_has_its_own_deadline():
    users = [{"name": "a", "objective": {"deadline_s": 2}}, {"name": "b", "objective": {"deadline_s": None}}]
    assert deadlines_of({"users": [*users, {"name": "c"}]}) == {"a": 2.0}
    crowd = [person("a", asked(0, 0, 1)), person("b", asked(0, 0, 1)), person("c", asked(0, 0, 9))]
    assert deadline_of(crowd, {"a": 0.5, "b": 2.0}) == {"queries": 0.5, "users": 0.5}


def test_arrival_bias_is_above_zero_when_late_users_fare_worse():
    crowd = [person(str(i), asked(0, i, 1 + i), arrival=float(i)) for i in range(4)]
    assert group(crowd)["arrival_bias"] == 1
    assert group([p._replace(arrival_s=-p.arrival_s) for p in crowd])["arrival_bias"] == -1
    assert group(crowd * 2)["jain"] == pytest.approx(group(crowd)["jain"])


def test_windows_are_whole_sampling_periods():
    assert window_edges(3.5, 1.0, 60) == [0, 1, 2, 3, 3.5]
    assert window_edges(4.0, 1.0, 60) == [0, 1, 2, 3, 4]
    assert window_edges(10.0, 1.0, 4) == [0, 3, 6, 9, 10]
    assert window_edges(10.0, INF, 60) == [0, 10]
    assert window_edges(0.0, 1.0, 60) == []
    assert [window_of([0, 1, 2], at) for at in (-1, 0, 0.5, 1, 1.1, 2, 9)] == [0, 0, 0, 0, 1, 1, 1]


def test_a_starved_user_shows_while_it_waits():
    edges = [0.0, 2.0, 4.0, 6.0, 8.0]
    starved = person("s", asked(0, 0, 1), asked(1, 1, 6))  # answered at 1, then at 7
    assert window_costs(starved, edges) == [1, 3, 5, 6]
    assert window_costs(starved, edges, {"phone": [1.0]}) == [1, 3, 5, 6]
    busy = person("b", asked(0, 0, 1.5), asked(1, 1.5, 1.5), asked(2, 3, 1.5))  # leaves at 4.5
    assert window_costs(busy, edges) == [1.5, 1.5, 1.5, None]
    resumed = person("r", asked(0, 0, 1.9), asked(1, 3.5, 1.5))  # half a second old at 4
    assert window_costs(resumed, edges) == [1.9, 1.9, 1.5, None]
    forever = person("f", asked(0, 3, 5, "open"))
    assert window_costs(forever, edges) == [None, 1, 3, 5]


def test_what_was_handed_out_by_hand():
    rows = made_rows()
    rows["segments"] += [(6.0, "e1", "bob", 0, 0, 2, 3, 4.0, 4.0, 6.0, 1.0)]
    made = result_of(rows)
    handed = handed_out(made.table, made.run["world"], [0.0, 5.0, 20.0])
    assert [sum(amounts) for amounts in handed["bob"]] == pytest.approx([1.0, 0.0, 60])
    assert handed["bob"][0] == pytest.approx([0.5, 0.5])
    # ann: 100 bytes from 3 to 16, 200 from 6 to the end at 20.
    assert handed["ann"][1] == pytest.approx([200, 11 * 100 + 14 * 200])
    assert handed["ann"][0] == [0, 0]  # its own device is nobody's grant
    # Seven queries of 30 bytes; parts of 100 (sent 2 to 3) and 200 (4 to 6).
    assert sum(handed["ann"][2]) == pytest.approx(7 * 30 + 300)
    assert dominant_shares(handed, ["ann", "bob", "nobody"], 1) == [1.0, 1.0, 0.0]


def test_what_is_released_leaves_no_dust():
    rows = made_rows()
    parts = [110000000, 123456789, 987654321, 55555]
    rows["allocations"] = [(0.5, "e1", "ann", "admitted", 1, 0, 1, size, 0, "") for size in parts]
    rows["allocations"] += [(0.6, "e1", "ann", "released", 0, -1, 1, sum(parts), 0, "user left")]
    edges = [0.0, 1.0, *(1.0 + 0.1 * i + 0.013 for i in range(1, 40))]
    handed = handed_out(result_of(rows).table, made_run()["world"], edges)
    assert handed["ann"][1][0] == pytest.approx(0.1 * sum(parts))
    assert set(handed["ann"][1][1:]) == {0.0}


def test_disruptions_are_what_was_taken_not_what_was_left():
    rows = made_rows()
    rows["allocations"] += [
        (17.0, "e1", "ann", "released", 0, -1, 1, 200, 0, "user left"),
        (18.0, "e1", "bob", "evicted", 0, 0, 1, 200, 0, "memory is another's"),
    ]
    made = result_of(rows)
    assert disruptions(made.table) == [18.0]
    assert fairness(made)["disruptions"] == {"all": 1, "most": 1, "mean": 1.0}


def test_over_time_by_hand(made):
    persons = people(made.queries, made.run["world"])
    first, second = over_time(made.table, made.run["world"], persons, [0.0, 10.0, 20.0])
    assert first["min_max"] == pytest.approx((8.6 / 7) / 10)
    assert first["users"] == 2
    assert first["waiting"] == 1  # bob's plan wants nothing of the servers
    assert (first["starved"], first["fairness_ratio"]) == (0, 1)
    assert (second["users"], second["jain"], second["waiting"]) == (1, 1, 0)
    assert first["busy_share"] == pytest.approx((3 / 20 + 0) / 2)
    assert second["busy_share"] == pytest.approx((5 / 20 + 0) / 2)
    assert first["node_balance"] == pytest.approx(1)
    assert math.isnan(second["starved"])


def test_a_query_asked_at_an_edge_waits_in_the_window_after_it():
    rows = made_rows()
    rows["queries"] = [query(6.0, "ann", 0, 5.0, 1.0), query(20.0, "bob", 0, 0.0, 20.0)]
    made = result_of(rows)
    persons = people(made.queries, made.run["world"])
    found = over_time(made.table, made.run["world"], persons, [0.0, 5.0, 10.0, 20.0])
    assert [row["waiting"] for row in found] == [0, 1, 0]


def test_starvation_over_the_run_counts_each_waiting_user_in_each_window():
    rows = made_rows()
    rows["plans"].append(
        (1.7, "p1", "bob", 2, "ionn", "accepted", "", 1.0, 2, 2, 2, 300, 1.0, 0.7, "p1:0-1 e1:2-3", "", "arrival")
    )
    found = fairness(result_of(rows), most_windows=2)
    assert [row["waiting"] for row in found["windows"]] == [2, 1]
    # bob got 30 bytes of 540, below a quarter; then, alone in waiting, all of them.
    assert [row["starved"] for row in found["windows"]] == [0.5, 0]
    assert found["starved"] == pytest.approx(1 / 3)
    assert found["fairness_ratio"]["min"] == pytest.approx(2 * 30 / 540)


def test_costs_by_kind_are_those_of_the_summary(made):
    found = fairness(made)
    assert [entry["kind"] for entry in found["kinds"]] == ["phone"]
    assert found["kinds"][0]["money"] == made.summary["kinds"][0]["money"] > 0
    assert found["kinds"][0]["energy_j"] == 58
    assert [server["busy_share"] for server in found["servers"]] == pytest.approx([8 / 40, 0])
    assert found["node_balance"] == pytest.approx(1)


def test_users_who_do_not_meet_have_no_slowdown():
    lone = phones("users.0.queries=4", "users.0.planner=local")
    alone = alone_latencies(lone, each=True)
    assert set(alone) == {"user-1", "user-2"}
    assert [len(latencies) for latencies in alone.values()] == [4, 4]
    assert alone["user-1"][0] > alone["user-2"][0]
    assert alone_latencies(lone) == {"user": alone["user-1"]}  # of two, the slower device
    found = fairness(_local(lone), alone)
    assert [user["slowdown"] for user in found["users"]] == pytest.approx([1, 1])
    assert found["all"]["jain"] == pytest.approx(1)
    assert found["all"]["price"] == pytest.approx(0)


def test_sharing_a_server_slows_users_down_and_being_alone_does_not():
    narrow = {"tier": "edge", "name": "e", "ghz": 16, "downlink_mb_s": 2}
    nodes = [{"tier": "client", "count": 6, "ghz": 1}, narrow]
    links = {"client-edge": {"bandwidth_mb_s": 4, "latency_ms": 3}}
    crowd = phones("users.0.queries=12", nodes=nodes, links=links)
    alone = alone_latencies(crowd)
    assert set(alone) == {"user"}
    found = fairness(_local(crowd), alone)
    assert max(user["slowdown"] for user in found["users"]) > 1.05
    assert found["all"]["price"] > 0


def test_users_alike_run_alone_once_and_a_mix_has_a_key_for_each_model():
    told: list[str] = []
    alike = phones("nodes.0.ghz=1", "users.0.queries=2", "users.0.planner=local")
    alone = alone_latencies(alike, each=True, notice=told.append)
    assert len(told) == 1
    assert alone["user-1"] == alone["user-2"]
    mixed = phones(
        "nodes.0.count=12", "users.0.queries=1", "users.0.planner=local", "users.0.model={squeezenet: 1, alexnet: 1}"
    )
    assert set(alone_latencies(mixed)) == {"user/squeezenet", "user/alexnet"}


def test_measured_time_cannot_run_alone():
    with pytest.raises(RunError, match="measured"):
        alone_latencies(phones("compute=measured"))


@pytest.mark.long
def test_the_command_prints_and_answers_mistakes(tmp_path):
    out = tmp_path / "run"
    scenario = Scenario.from_dict(phones().model_dump(mode="json"), ["execution=none", "users.0.queries=3"])
    run(scenario, local=True, out=out)
    shown = CliRunner().invoke(main, ["fairness", str(out)])
    assert shown.exit_code == 0
    assert "Jain" in shown.output
    assert "--alone" in shown.output
    told = CliRunner().invoke(main, ["fairness", str(out), "--alone", "--each", "--json"])
    found = json.loads(told.stdout)
    assert found["cost"] == "slowdown"
    assert all(user["slowdown"] >= 0.999 for user in found["users"])
    assert CliRunner().invoke(main, ["fairness", str(tmp_path / "nowhere")]).exit_code == 2
    assert CliRunner().invoke(main, ["fairness", str(out), "--each"]).exit_code == 2
