"""What a person reads after a run, and the commands that show it."""

from __future__ import annotations

import io
import json

import pytest
from click.testing import CliRunner
from made_run import made_rows, made_run, query

from layerlift.emulator.cli.commands.results import COMMANDS
from layerlift.emulator.report import formatting
from layerlift.emulator.report.chart import chart
from layerlift.emulator.report.report import show
from layerlift.emulator.report.screen import Screen
from layerlift.emulator.results.writer import ResultWriter
from layerlift.models.errors import RunError


def finished(directory=None, rows=None, run=None):
    writer = ResultWriter(directory)
    for table, entries in (made_rows() if rows is None else rows).items():
        writer.add(table, entries)
    writer.close(made_run() if run is None else run)
    return writer.result()


def text_of(result, width=80):
    out = io.StringIO()
    show(result, Screen(file=out, width=width))
    return out.getvalue()


def line_with(text, start):
    return next(" ".join(line.split()) for line in text.splitlines() if line.startswith(start))


def flat(text):
    return " ".join(text.split())


def crowd(users):
    """A run of many users of two kinds; user i answers in i ms before its upload and in 1 ms after it."""
    run, rows = made_run(), {"queries": [], "plans": [], "uploads": []}
    node = run["world"]["nodes"][0]
    run["world"]["nodes"] = [{**node, "name": f"c{i}"} for i in range(users)] + run["world"]["nodes"][2:]
    run["world"]["users"] = [
        {**run["world"]["users"][0], "name": f"u{i}", "client": f"c{i}", "kind": f"kind{i % 2}"} for i in range(users)
    ]
    for i in range(users):
        name, client = f"u{i}", f"c{i}"
        rows["queries"] += [query(1.0, name, 0, 0.0, i / 1000), query(9.0, name, 1, 8.0, 0.001)]
        rows["plans"].append(
            (1.0, client, name, 1, "ionn", "accepted", "", 1.0, 2, 2, 1, 9, 1.0, 0.1, "c:0-3", "", "arrival")
        )
        rows["uploads"].append((5.0, client, name, 1, 0, 0, "e1", 1, 2**20, 2.0, 5.0, "confirmed", "", 0, client))
    return finished(rows=rows, run=run)


def test_each_client_has_its_numbers():
    text = text_of(finished())
    assert line_with(text, "ann") == "ann (c1) 7 1.25 s 2.00 s 700 ms 700 ms 880 ms"
    assert line_with(text, "bob") == "bob (p1) 1 10.0 s - - 10.0 s -"
    costs = text[text.index("Upload and cost") :]
    assert line_with(costs, "ann") == "ann (c1) 300 B 2 of 2 6.00 s 58.0 J 1.46 3.0e-07"
    assert line_with(costs, "e1") == "e1 edge 20.0 % 300 B 400 B 50 B 12.0 J 0.75"


def test_the_rest_is_said_in_words():
    text = flat(text_of(finished()))
    assert "made: 2 users, 2 servers, seed 7" in text
    assert "8 queries answered, 0 failed, 1 open at the end in 20.0 s of virtual time: 0.4 a second" in text
    assert "Failed:" not in text
    assert "ann (c1), tiny by ionn: conv1..relu1 here, fc2..fc3 on e1; all here would take 1.00 s (cheap)" in text
    assert "Real cost: 4.00 s wall, 2 plans made in 750 ms, 12 pieces of models executed in 20.0 ms" in text
    assert "2 queries per wall second" in text
    assert "1 assumption, each with its source" in text
    assert "largest output error 3.0e-07" in text


def test_it_fits_a_narrow_terminal_and_a_pipe(tmp_path):
    for result in (finished(), crowd(40)):
        text = text_of(result)
        assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
        assert text.isascii()
        assert "\x1b" not in text


def test_names_are_never_taken_for_markup():
    run = made_run()
    run["world"]["name"] = "[red]odd[/nonsense]"
    assert "[red]odd[/nonsense]" in text_of(finished(run=run))


def test_a_crowd_is_told_by_kind():
    text = text_of(crowd(300))
    assert len(text.splitlines()) < 40
    latency = text[text.index("Latency") : text.index("Upload and cost")]
    # kind0 has the even users 0..298: mean and median 149 ms, p95 = 0.95 x 298
    assert line_with(latency, "kind0") == "kind0 (150 users) before 150 149 ms 149 ms 283 ms"
    assert "after" in latency
    assert "during" not in latency
    costs = text[text.index("Upload and cost") :]
    assert line_with(costs, "kind1") == "kind1 150 of 150 150 MiB 5.00 s 5.00 s 0 J 1,049 -"


def test_an_interrupted_run_says_so():
    writer = ResultWriter(None)
    writer.add("queries", made_rows()["queries"])
    writer.interrupt("Ctrl-C", made_run())
    assert "This run is interrupted (Ctrl-C)" in text_of(writer.result())


def test_a_user_whose_planning_failed_is_local_with_the_reason():
    rows = made_rows()
    plan = rows["plans"][0]
    rows["plans"][0] = (*plan[:5], "failed", "planner raised ValueError", *plan[7:])
    rows["uploads"] = []
    assert "no plan (1 x planner raised ValueError), all layers here" in flat(text_of(finished(rows=rows)))


def test_a_run_that_was_late_is_not_to_be_trusted():
    run = made_run()
    run["fidelity"] = {"median_s": 0.001, "p99_s": 0.02, "worst_s": 1.5, "trusted": False, "reason": "5 % too late"}
    text = flat(text_of(finished(run=run)))
    assert "median 1.00 ms, p99 20.0 ms, worst 1.50 s" in text
    assert "Not to be trusted: 5 % too late." in text


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (formatting.seconds(0.0), "0 ms"),
        (formatting.seconds(0.9996), "1.00 s"),
        (formatting.seconds(0.0000421), "42.1 us"),
        (formatting.seconds(12345.6), "12,346 s"),
        (formatting.seconds(None), "-"),
        (formatting.rate(1559.6), "1,560"),
        (formatting.rate(999.6), "1,000"),
        (formatting.rate(0.4), "0.4"),
        (formatting.joules(None), "not given"),
        (formatting.dollars(None), "not given"),
        (formatting.size(1023), "1023 B"),
        (formatting.size(1024), "1.00 KiB"),
        (formatting.size(243905331), "233 MiB"),
        (formatting.size(2**41), "2.00 TiB"),
        (formatting.joules(999.6), "1.00 kJ"),
        (formatting.dollars(0.00012345), "0.000123"),
        (formatting.error(0.0), "0"),
        (formatting.count(1, "query"), "1 query"),
        (formatting.count(1200, "query"), "1,200 queries"),
        (formatting.reasons({"a": 1, "": 2}), "2 x no reason given, 1 x a"),
    ],
)
def test_numbers_are_words(said, expected):
    assert said == expected


def test_a_placement_of_many_runs_is_cut():
    runs = [{"node": f"r{i}", "first": f"a{i}", "last": f"a{i}", "first_layer": i, "last_layer": i} for i in range(20)]
    said = formatting.placement(runs, "r0")
    assert said.startswith("a0 here, a1 on r1, ")
    assert said.endswith("a7 on r7, ... (20 runs of layers in all)")


def invoke(name, *arguments):
    command = next(command for command in COMMANDS if command.name == name)
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_show_and_verify(tmp_path):
    result = finished(tmp_path / "run")
    shown = invoke("show", tmp_path / "run")
    assert shown.exit_code == 0
    assert result.digest in shown.output
    as_json = invoke("show", tmp_path / "run", "--json")
    assert json.loads(as_json.output)["totals"]["answered"] == 8
    verified = invoke("verify", tmp_path / "run")
    assert verified.exit_code == 0
    assert result.digest in verified.output


def test_commands_answer_bad_directories_with_a_run_error(tmp_path):
    assert isinstance(invoke("show", tmp_path).exception, RunError)
    finished(tmp_path / "run")
    (tmp_path / "run" / "queries" / "part-00000.parquet").unlink()
    assert isinstance(invoke("verify", tmp_path / "run").exception, RunError)


@pytest.mark.long
def test_charts(tmp_path):
    result = finished()
    for name in ("run.svg", "run.html", "run.png"):
        chart(result, tmp_path / name)
    svg = (tmp_path / "run.svg").read_text()
    assert svg.count('aria-roledescription="point"') == 8
    assert svg.count('aria-roledescription="rule mark"') == 2
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")
    html = (tmp_path / "run.html").read_text()
    assert "<script src" not in html
    assert "<link" not in html


@pytest.mark.long
def test_charts_refuse_what_cannot_be_drawn(tmp_path):
    with pytest.raises(RunError, match=r"\.html, \.svg, \.png"):
        chart(finished(), tmp_path / "run.pdf")
    with pytest.raises(RunError, match="no answered query"):
        chart(finished(rows={}), tmp_path / "run.svg")
    with pytest.raises(RunError, match="cannot write"):
        chart(finished(), tmp_path / "nowhere" / "run.svg")
