"""Publications emulated again: rows find their layers, planners choose what brute scans find, nothing half stays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from math import fsum, isinf
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from layerlift import Scenario
from layerlift.emulator.cli.main import main
from layerlift.emulator.studies.reproduce.dads import runs as dads_runs
from layerlift.emulator.studies.reproduce.dads.runs import LINKS_MBIT_S, PLANNERS, Measured
from layerlift.emulator.studies.reproduce.dads.study import dads
from layerlift.emulator.studies.reproduce.dads.study import run_count as dads_count
from layerlift.emulator.studies.reproduce.ionn import rows as ionn_rows
from layerlift.emulator.studies.reproduce.ionn.rows import CLASSES, Row, mapped, profile, published, rows
from layerlift.emulator.studies.reproduce.ionn.runs import link_s
from layerlift.emulator.studies.reproduce.ionn.study import ionn
from layerlift.emulator.studies.reproduce.ionn.study import run_count as ionn_count
from layerlift.emulator.studies.reproduce.known import EXPERIMENTS
from layerlift.emulator.studies.reproduce.lin.runs import DEVICE_GHZ, PRICES_PER_GB
from layerlift.emulator.studies.reproduce.lin.study import lin
from layerlift.emulator.studies.reproduce.lin.study import run_count as lin_count
from layerlift.emulator.studies.reproduce.neurosurgeon.cuts import Line, best, lines, stretches
from layerlift.emulator.studies.reproduce.neurosurgeon.runs import inputs, place_of
from layerlift.emulator.studies.reproduce.neurosurgeon.study import neurosurgeon
from layerlift.emulator.studies.reproduce.neurosurgeon.study import run_count as cut_count
from layerlift.emulator.studies.reproduce.reproduction import Emulator, Reproduction
from layerlift.emulator.studies.reproduce.told import html, markdown
from layerlift.models import load as loaded
from layerlift.models.errors import RunError
from layerlift.models.timing.profiles import device_class, reference

NETWORKS = ("alexnet", "googlenet", "resnet50")
load = cache(loaded)


# IONN's rows


@pytest.mark.parametrize("name", NETWORKS)
def test_rows_find_their_layers_and_nothing_is_lost(name: str) -> None:
    network = load(name)
    found = mapped(network)
    for side in CLASSES:
        told_ms = fsum(getattr(row, f"{side}_ms") for row in rows(name))
        strange_ms = fsum(getattr(row, f"{side}_ms") for row in found.strange)
        assert 1e3 * fsum(found.seconds[side]) == pytest.approx(told_ms - strange_ms, rel=1e-6)
        assert found.lost(side) == pytest.approx(strange_ms / told_ms, rel=1e-6)
        assert found.lost(side) < 0.0021
    assert set(found.without) == {"Reshape"}
    assert all(row.name in ("data", "input") or row.name.endswith("_split") for row in found.strange)
    unheard = [layer.op_type for layer in network.graph.layers if found.seconds["client"][layer.index] == 0.0]
    assert unheard == list(found.without)


def test_rows_by_hand() -> None:
    graph, seconds = load("alexnet").graph, mapped(load("alexnet")).seconds["client"]
    assert [seconds[0], seconds[16], seconds[23]] == [0.0706632, 0.200224, 0.0000832]
    assert [graph.layers[at].op_type for at in (0, 16, 23)] == ["Conv", "Gemm", "Softmax"]
    wide = load("resnet50")
    skipping = mapped(wide).seconds["client"].index(0.0637974)
    assert wide.graph.held_bytes([skipping]) == 4 * 512 * 256  # res3a_branch1: from 256 to 512 channels
    assert place_of(15) == "pool5"


def test_a_row_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    told = list(rows("alexnet"))
    for changed in ([*told[:3], *told[4:]], told[:-1], [*told, Row("conv6", 1.0, 1.0)]):
        monkeypatch.setattr(ionn_rows, "rows", lambda name, changed=changed: tuple(changed))
        with pytest.raises(RunError, match="expected the zoo's own network"):
            mapped(load("alexnet"))
    monkeypatch.undo()
    with pytest.raises(RunError, match="no rows of 'vgg19'"):
        rows("vgg19")


@pytest.mark.parametrize("name", NETWORKS)
def test_the_shipped_classes_are_what_the_rows_give(name: str) -> None:
    """`python -m benchmarks.ionn_profiles` makes the files again."""
    network = load(name)
    for side, shipped in CLASSES.items():
        assert device_class(shipped, network) == profile(network, side)
    assert set(published()["networks"]) == set(NETWORKS)


# Cuts


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=9),
    st.lists(st.integers(1, 4000), min_size=1, max_size=6),
)
@settings(max_examples=150, derandomize=True, deadline=None, database=None)
def test_stretches_are_what_looking_at_all_cuts_finds(pairs: list[tuple[int, int]], rates: list[int]) -> None:
    cuts = [Line(number, float(fixed), float(bits)) for number, (fixed, bits) in enumerate(pairs)]
    cuts.append(Line(len(cuts), 61.0, 0.0))
    found = stretches(cuts)
    assert found[0].above == 0.0
    assert isinf(found[-1].up_to)
    for before, after in pairwise(found):
        assert before.up_to == after.above
        assert before.line.at(after.above) == pytest.approx(after.line.at(after.above), rel=1e-12)
    for rate in (value / 40 for value in rates):
        inside = next(each for each in found if each.above < rate <= each.up_to)
        assert inside.line.at(rate) == pytest.approx(best(cuts, rate).at(rate), rel=1e-12)


def test_lines_of_a_chain_by_hand() -> None:
    given_ = inputs()[0]
    graph, cuts = given_.graph, given_.cuts
    told = mapped(load("alexnet")).seconds
    assert len(cuts) == 25
    assert cuts[24] == Line(24, pytest.approx(fsum(told["client"])), 0.0)
    assert cuts[0].bits == 8 * (3 * 224 * 224 * 4 + 1000 * 4)
    assert cuts[15].bits == 8 * (256 * 6 * 6 * 4 + 1000 * 4)
    assert cuts[15].fixed_s == pytest.approx(fsum(told["client"][:15]) + fsum(told["server"][15:]) + 2e-3)
    with pytest.raises(RunError, match="branches"):
        lines(load("squeezenet").graph, (), (), 0.0)
    assert graph.is_chain


@pytest.fixture(scope="module")
def cut() -> Reproduction:
    return neurosurgeon()


@pytest.mark.long
def test_the_planner_takes_the_best_cut_and_the_emulation_its_latency(cut: Reproduction) -> None:
    assert len(cut.runs) == cut_count()
    assert cut.numbers
    for point in cut.numbers:
        assert point["device_layers"] == point["best_of_all_layers"], point
        assert point["latency_s"] == pytest.approx(point["best_of_all_s"], rel=1e-9), point
    floats = [point for point in cut.numbers if point["input"] == "floats"]
    assert {point["device_layers"] for point in floats} == {24, 15, 8, 4, 0}
    near = {place: [p["device_layers"] for p in floats if p["place"] == place] for place in ("below", "above")}
    assert all(slow > fast for slow, fast in zip(near["below"], near["above"], strict=True))
    assert cut.findings[0].outcome == "seen"


# IONN


@pytest.fixture(scope="module")
def uploads() -> Reproduction:
    return ionn(["alexnet"])


@pytest.mark.long
def test_finer_uploads_answer_more(uploads: Reproduction) -> None:
    assert len(uploads.runs) == ionn_count(["alexnet"]) - 1  # one of them is in both tables
    held = load("alexnet").graph.held_bytes(range(24))
    main = {
        each["planner"]: each for each in uploads.numbers[:12] if each["links"] == "shared" and each["pause_s"] == 0.5
    }
    answers = {name: each["answered_during"] for name, each in main.items()}
    assert answers["direct"] < answers["ionn"] <= answers["efficiency"] < answers["recursive"]
    assert [len(each["parts_bytes"]) for each in main.values()] == [1, 3, 4, 8]
    assert all(sum(each["parts_bytes"]) == held for each in uploads.numbers)
    outcomes = {each.about.split(":")[0]: each.outcome for each in uploads.findings}
    assert outcomes["Queries answered during the upload"] == "seen"
    assert outcomes["A query takes longer while the large last piece is uploaded"] == "seen"


@pytest.mark.long
def test_an_upload_takes_what_the_link_needs(uploads: Reproduction) -> None:
    """Alone on its link it takes the bytes over the bandwidth and a round trip for each confirm result."""
    for each in uploads.numbers:
        if each["links"] == "independent" or each["planner"] in ("direct", "all_remote"):
            parts = each["parts_bytes"]
            assert each["uploaded_s"] == pytest.approx(link_s(sum(parts)) + 2e-3 * len(parts), abs=1e-9), each
        else:
            assert each["uploaded_s"] > link_s(sum(each["parts_bytes"])) + 0.5


# DADS


@pytest.fixture(scope="module")
def loads() -> Reproduction:
    return dads(["alexnet"])


@pytest.mark.long
def test_light_and_heavy_cuts_are_those_of_a_brute_scan(loads: Reproduction) -> None:
    network = load("alexnet")
    device_s, server_s = mapped(network).seconds["client"], reference(network).seconds
    cuts = lines(network.graph, device_s, server_s, 10e-3)
    answer_bits = 8 * 1000 * 4
    assert len(loads.runs) == dads_count(["alexnet"])
    found = {(each["link"], each["planner"]): each for each in loads.numbers}
    for link, mbit_s in LINKS_MBIT_S.items():
        light = best(cuts, mbit_s * 1e6)
        for planner in ("DADS, light", "Neurosurgeon"):
            assert found[link, planner]["lone_s"] == pytest.approx(light.at(mbit_s * 1e6), rel=1e-9)
            assert found[link, planner]["remote"] == 24 - light.layers
        stages = [
            max(
                fsum(device_s[: each.layers]),
                max(0.0, each.bits - answer_bits) / (mbit_s * 1e6),
                fsum(server_s[each.layers :]) / dads_runs.CORES,
            )
            for each in cuts
        ]
        heavy = found[link, "DADS, heavy"]["period_s"]
        assert min(stages) * (1 - 1e-9) <= heavy <= 1.02 * min(stages)
        assert found[link, "least period"]["period_s"] <= heavy * (1 + 1e-9)


@pytest.mark.long
def test_streams_keep_up_at_their_throughput_and_pile_up_beyond(loads: Reproduction) -> None:
    for each in loads.numbers:
        found = Measured(**each)
        assert found.keeps_up, found
        if found.planner == "DADS, heavy":
            assert found.rushed_s is not None
            # Of 40 questions at 0.95 of the period the last waits for 39 times 5 % of it.
            assert found.rushed_s == pytest.approx(found.lone_s + 39 * 0.05 * found.period_s, rel=0.05)
    assert {each["planner"] for each in loads.numbers} == set(PLANNERS)


def test_a_stream_that_piles_up_is_told() -> None:
    found = Measured("n", "4G", "DADS, light", 5.85, 1.0, 0.5, "device", 3, 1.04, None)
    assert found.keeps_up
    assert found.per_s == 2.0
    assert not replace(found, last_s=1.06).keeps_up


# Lin


@pytest.fixture(scope="module")
def money() -> Reproduction:
    return lin(["alexnet"], [2.0])


def _cheapest(deadline_s: float) -> float:
    """The least money of all plans that run layers first..last on one server and the others on the device."""
    network, world = load("alexnet"), Scenario.load("paper").resolve()
    graph = network.graph
    seconds = [value * 72.5 for value in reference(network).seconds]
    sizes = [graph.tensors[graph.inputs[0]].bytes, *(graph.tensors[each.outputs[0]].bytes for each in graph.layers)]
    cheapest = 0.0 if fsum(seconds) / DEVICE_GHZ <= deadline_s else float("inf")
    for node in world.nodes:
        if node.tier == "client":
            continue
        pair = "client-edge" if node.tier == "edge" else "client-cloud"
        rate, latency_s = (10 * 2**20, 2e-3) if node.tier == "edge" else (0.5 * 2**20, 20e-3)
        for first in range(len(graph)):
            for last in range(first, len(graph)):
                busy_s = fsum(seconds[first : last + 1]) / node.ghz
                carried = sizes[first] + sizes[last + 1]
                here_s = fsum([*seconds[:first], *seconds[last + 1 :]]) / DEVICE_GHZ
                if here_s + busy_s + carried / rate + 2 * latency_s <= deadline_s:
                    paid = busy_s * node.price_per_s + carried * PRICES_PER_GB[pair] / 2**30
                    cheapest = min(cheapest, paid)
    return cheapest


@pytest.mark.long
def test_the_least_money_is_that_of_a_brute_scan(money: Reproduction) -> None:
    assert len(money.runs) == lin_count(["alexnet"], [2.0])
    found = {each["planner"]: each for each in money.numbers}
    assert found["exact"]["met"]
    assert found["exact"]["money_usd"] == pytest.approx(_cheapest(found["exact"]["deadline_s"]), rel=1e-6)
    for each in found.values():
        assert not each["met"] or each["money_usd"] >= found["exact"]["money_usd"] * (1 - 1e-9)
    assert found["PSO-GA"]["met"]
    assert "1 of 1 cases" in money.answer


# What is written


@pytest.mark.long
def test_pages_say_what_was_printed_and_why(uploads: Reproduction) -> None:
    text, page = markdown(uploads, "layerlift reproduce ionn"), html(uploads, "layerlift reproduce ionn")
    assert text.splitlines()[2].startswith("**While alexnet is uploaded")
    for each in uploads.findings:
        assert each.why
        assert each.source
        assert each.outcome in page
    for table in uploads.tables:
        assert f"## {table.title}" in text
        assert all(len(row) == len(table.heads) for row in table.rows)
    assert uploads.digest in text
    assert replace(uploads, answer="another").digest != uploads.digest


def asked(*words: str) -> Any:
    return CliRunner().invoke(main, ["reproduce", *words])


@pytest.mark.long
def test_the_command_leaves_its_files_and_the_same_digest(
    cut: Reproduction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = asked("neurosurgeon", "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["digest"] == cut.digest
    folder = tmp_path / "neurosurgeon"
    assert {path.name for path in folder.iterdir()} == {
        f"neurosurgeon.{x}" for x in ("md", "html", "svg", "png", "json")
    }
    kept = json.loads((folder / "neurosurgeon.json").read_text())
    assert kept["digest"] == cut.digest
    assert kept["command"] == "layerlift reproduce neurosurgeon"
    again = asked("neurosurgeon")
    assert again.exit_code == 2
    assert "--force" in again.stderr

    def stopped(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Emulator, "__call__", stopped)
    assert asked("neurosurgeon", "--force").exit_code == 130
    assert not list(folder.iterdir())


def test_every_experiment_has_a_line() -> None:
    listed = asked("--list")
    assert listed.exit_code == 0
    assert [line.split()[0] for line in listed.output.splitlines()] == ["figure5", *EXPERIMENTS]
    for name in EXPERIMENTS:
        assert asked(name, "--help").exit_code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["inon"], "there is no experiment 'inon'; did you mean ionn?"),
        (
            ["ionn", "--factors", "3"],
            "--factors is an option of layerlift reproduce figure5, and ionn does not have it",
        ),
        (
            ["neurosurgeon", "--models", "alexnet"],
            "neurosurgeon does not have it: expected some of --out, --force, --json",
        ),
        (["figure5", "--json"], "--json is an option of layerlift reproduce ionn, and figure5 does not have it"),
        (
            ["ionn", "--models", "alexnt"],
            "--models names 'alexnt', whose rows IONN did not publish; did you mean alexnet?",
        ),
        (["dads", "--models", "vgg19"], "--models names 'vgg19', whose rows were not published for a board"),
        (["lin", "--models", "alexnt"], "--models names 'alexnt', which the zoo has not; did you mean alexnet"),
        (["lin", "--models", ","], "expected names or numbers with commas between"),
    ],
)
def test_mistakes_are_answered_in_a_sentence_and_leave_nothing(
    words: Sequence[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = asked(*words)
    assert refused.exit_code == 2
    assert said in " ".join(refused.stderr.split())
    assert not list(tmp_path.iterdir())
