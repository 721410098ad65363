"""The summary against numbers worked out by hand from tests/helpers/made_run.py."""

from __future__ import annotations

import json

import pytest
from made_run import made_rows, made_run, query

from layerlift.emulator.results.described import layer_runs
from layerlift.emulator.results.rows import UploadRow
from layerlift.emulator.results.sums import quantile, spread
from layerlift.emulator.results.writer import ResultWriter


@pytest.fixture
def rows():
    return made_rows()


def summary_of(rows, run=None):
    writer = ResultWriter(None)
    for table, entries in rows.items():
        writer.add(table, entries)
    writer.close(run or made_run())
    return writer.result().summary


def user(summary, name):
    return next(entry for entry in summary["users"] if entry["user"] == name)


def test_phases_split_at_the_first_send_and_the_last_confirm(rows):
    ann = user(summary_of(rows), "ann")
    assert ann["upload"] == {
        "state": "complete",
        "parts": 2,
        "confirmed_parts": 2,
        "bytes": 300,
        "attempts": 3,
        "began_s": 2.0,
        "ended_s": 6.0,
    }
    before, during, after = (ann["latency_s"][phase] for phase in ("before", "during", "after"))
    assert before == {"count": 2, "mean": 1.25, "median": 1.25, "p95": pytest.approx(1.475)}
    assert (during["count"], during["mean"]) == (2, 2.0)
    assert after == {"count": 3, "mean": pytest.approx(0.7), "median": 0.7, "p95": pytest.approx(0.88)}
    assert ann["latency_s"]["all"]["count"] == ann["answered"] == 7


def test_a_query_begun_at_the_very_last_confirm_is_not_after_it(rows):
    rows["queries"].append(query(6.9, "ann", 7, 6.0, 0.9))
    assert user(summary_of(rows), "ann")["latency_s"]["after"]["count"] == 3


def test_a_query_begun_as_the_first_part_is_sent_is_during_the_upload(rows):
    rows["queries"].append(query(2.9, "ann", 7, 2.0, 0.9))
    assert user(summary_of(rows), "ann")["latency_s"]["during"]["count"] == 3


def test_money_is_queries_and_carriage_and_memory(rows):
    ann = user(summary_of(rows), "ann")
    # carried: the lost attempt is free; held: 100 bytes from 3 to 16, 200 bytes from 6 to the end at 20
    assert ann["money"] == pytest.approx(
        {"queries": 0.75, "uploads": 0.3, "memory": 0.0001 * (1300 + 2800), "total": 0.75 + 0.3 + 0.41}
    )
    assert user(summary_of(rows), "bob")["money"]["total"] == 0.0


def test_energy_bytes_and_error_come_from_the_users_own_client(rows):
    ann = user(summary_of(rows), "ann")
    assert (ann["energy_j"], ann["sent_bytes"], ann["received_bytes"]) == (58.0, 400, 50)
    assert ann["output_error"] == 3e-7
    assert user(summary_of(rows), "bob")["output_error"] is None


def test_the_plan_names_layers_and_compares_its_promise(rows):
    plan = user(summary_of(rows), "ann")["plan"]
    assert [(run["node"], run["first"], run["last"]) for run in plan["placement"]] == [
        ("c1", "conv1", "relu1"),
        ("e1", "fc2", "fc3"),
    ]
    assert (plan["predicted_s"], plan["seen_s"], plan["note"]) == (0.7, 0.7, "cheap")


def test_a_promised_period_stands_beside_the_seen_one(rows):
    assert "period_s" not in user(summary_of(rows), "ann")["plan"]
    assert "period_s" not in summary_of(rows)["kinds"][0]
    rows["measured"] += [
        (1.5, "planner", "period_s", "ann", 9, -1, "ionn", 0.1, 0.1),
        (1.5, "planner", "period_s", "ann", 1, -1, "ionn", 0.4, 0.4),
        (1.6, "planner", "period_s", "bob", 1, -1, "local", 10.0, 10.0),
    ]
    summary = summary_of(rows)
    ann, bob = (user(summary, name)["plan"] for name in ("ann", "bob"))
    # Three answers after the upload, at 7, 8 and 9 s; of bob's one answer there is no period to see.
    assert (ann["period_s"], ann["seen_period_s"]) == (0.4, 1.0)
    assert (bob["period_s"], bob["seen_period_s"]) == (10.0, None)
    [kind] = summary["kinds"]
    assert (kind["period_s"]["count"], kind["period_s"]["median"]) == (2, 5.2)
    assert kind["seen_period_s"]["median"] == 1.0


def test_a_stream_that_runs_dry_says_nothing_of_its_period(rows):
    rows["measured"] += [(1.5, "planner", "period_s", "ann", 1, -1, "ionn", 0.4, 0.4)]
    rows["queries"] = [
        query(8.0, "ann", 0, 7.0, 1.0), query(9.0, "ann", 1, 7.0, 2.0), query(9.2, "ann", 2, 8.0, 1.2),
        query(10.0, "ann", 3, 9.2, 0.8), query(10.0, "ann", 4, 9.2, 0.8),
    ]  # fmt: skip
    # The last begin at 9.2 s: of the answers until then, at 8, 9 and 9.2 s, two follow another.
    assert user(summary_of(rows), "ann")["plan"]["seen_period_s"] == pytest.approx(0.6)


def test_a_user_who_uploads_nothing_is_always_before(rows):
    bob = user(summary_of(rows), "bob")
    assert bob["upload"]["state"] == "none"
    assert bob["latency_s"]["before"]["count"] == 1
    assert bob["latency_s"]["during"] is bob["latency_s"]["after"] is None
    assert bob["failed"] == {"run ended": 1}


def test_an_upload_without_an_answer_is_open_and_nothing_is_after(rows):
    rows["uploads"].pop()
    rows["uploads"].pop()
    ann = user(summary_of(rows), "ann")
    assert (ann["upload"]["state"], ann["upload"]["ended_s"]) == ("open", 3.0)
    assert ann["latency_s"]["after"] is None
    assert ann["plan"]["seen_s"] is None


def cut_off(row, status, ended_s):
    """A row of `uploads` that ends otherwise and at another time."""
    return tuple(UploadRow(*row)._replace(at_s=ended_s, status=status, ended_s=ended_s))


def test_a_part_that_was_under_way_to_the_end_leaves_nothing_after(rows):
    rows["uploads"][-1] = cut_off(rows["uploads"][-1], "cancelled", 19.0)
    ann = user(summary_of(rows), "ann")
    assert (ann["upload"]["state"], ann["upload"]["confirmed_parts"]) == ("open", 1)
    assert ann["latency_s"]["after"] is None
    assert ann["latency_s"]["during"]["count"] == 5


def test_a_part_that_was_confirmed_and_was_on_its_way_again_is_after(rows):
    rows["uploads"].append(cut_off(rows["uploads"][-1], "cancelled", 19.0))
    ann = user(summary_of(rows), "ann")
    assert (ann["upload"]["state"], ann["upload"]["ended_s"]) == ("complete", 6.0)
    assert ann["latency_s"]["after"]["count"] == 3


def test_what_is_refused_for_good_was_on_the_link_until_then(rows):
    rows["uploads"][-1] = cut_off(rows["uploads"][-1], "refused", 6.0)
    ann = user(summary_of(rows), "ann")
    assert (ann["upload"]["state"], ann["upload"]["ended_s"]) == ("partial", 6.0)
    assert ann["latency_s"]["after"]["count"] == 3


def test_a_part_refused_for_good_makes_the_upload_partial(rows):
    rows["uploads"].pop()
    ann = user(summary_of(rows), "ann")
    assert (ann["upload"]["state"], ann["upload"]["confirmed_parts"], ann["upload"]["bytes"]) == ("partial", 1, 100)
    assert ann["latency_s"]["after"]["count"] == 4


def test_only_the_last_accepted_plan_counts(rows):
    late = list(rows["plans"][0])
    late[3], late[5], late[6] = 2, "failed", "planner raised"
    rows["plans"].append(tuple(late))
    ann = user(summary_of(rows), "ann")
    assert ann["plan"]["version"] == 1
    assert ann["plans_failed"] == {"planner raised": 1}


def test_totals(rows):
    totals = summary_of(rows)["totals"]
    assert (totals["queries"], totals["answered"], totals["failed"]) == (9, 8, 1)
    assert totals["queries_per_virtual_s"] == 0.4
    assert totals["queries_per_wall_s"] == 2.0
    assert totals["bytes"] == 450
    assert totals["busy_share"] == pytest.approx(8 / (3 * 20))  # e1 has two cores, k1 one
    assert totals["output_error"] == 3e-7
    assert totals["planning_s"] == 0.75
    assert totals["executed_pieces"] == 12
    assert (totals["money"], totals["energy_j"]) == (0.75, 70.0)


def test_servers(rows):
    e1, k1 = summary_of(rows)["servers"]
    assert (e1["name"], e1["busy_share"], e1["held_bytes"]) == ("e1", 0.2, 300)
    assert (k1["name"], k1["busy_share"]) == ("k1", 0.0)


def test_kinds_pool_their_users(rows):
    (kind,) = summary_of(rows, made_run("tablet"))["kinds"]
    assert (kind["kind"], kind["users"], kind["answered"], kind["failed"]) == ("tablet", 2, 8, {"run ended": 1})
    assert kind["latency_s"]["before"]["count"] == 3
    assert kind["latency_s"]["before"]["median"] == 1.5
    assert kind["uploads"] == {"complete": 1, "none": 1}
    assert kind["upload_ended_s"]["median"] == 6.0


def test_the_summary_is_json_and_the_end_is_found_without_virtual_s(rows):
    run = made_run()
    del run["virtual_s"], run["wall_s"]
    summary = summary_of(rows, run)
    json.dumps(summary, allow_nan=False)
    assert summary["totals"]["virtual_s"] == 20.0
    assert summary["totals"]["queries_per_wall_s"] is None


def test_a_run_without_rows_has_a_summary():
    summary = summary_of({})
    assert summary["totals"]["answered"] == 0
    assert user(summary, "ann")["plan"] is None
    assert user(summary, "ann")["latency_s"]["all"] is None


def test_quantiles_are_linear_between_ranks():
    assert quantile([1.0, 2.0, 4.0], 0.5) == 2.0
    assert quantile([1.0, 2.0, 4.0], 0.75) == 3.0
    assert quantile([5.0], 0.95) == 5.0
    assert spread([]) is None


@pytest.mark.parametrize("text", ["nonsense", "r1:", "r1:a-b", ":1-2"])
def test_a_placement_of_another_form_has_no_runs(text):
    assert layer_runs(text, ["a"]) == []
