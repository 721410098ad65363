"""Validating: what is tried, phases, bounds, and that a wrong emulation is found."""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_profile import made_profile
from small_nets import model as made_model
from small_nets import node, tensor
from some_validations import BUSY, MB, QUIET, row, validation

from layerlift.emulator.studies.validate import study
from layerlift.emulator.studies.validate.budget import shares, within_budget
from layerlift.emulator.studies.validate.emulated import Twin, emulate
from layerlift.emulator.studies.validate.pace import pace
from layerlift.emulator.studies.validate.processes.messages import HEADER_BYTES
from layerlift.emulator.studies.validate.records import Part, Query, Round, interference
from layerlift.emulator.studies.validate.situations import Situation, Unit, situations
from layerlift.emulator.studies.validate.study import rate
from layerlift.emulator.studies.validate.told import Told
from layerlift.emulator.studies.validate.verdicts import Standing, rows
from layerlift.models.errors import RunError
from layerlift.models.loading.load import from_model, load
from layerlift.models.running.network import Network

SOURCE: dict[str, Any] = {"name": "squeezenet", "dims": {}, "fix": {}, "outputs": []}


# What is tried


@pytest.fixture(scope="module")
def squeezenet() -> Network:
    return load("squeezenet")


def tried(network: Network, bytes_s: float = 2 * MB) -> list[Situation]:
    return situations(network.graph, (0.0003,) * len(network.graph), bytes_s)


def test_situations_are_placements_of_the_whole_network(squeezenet: Network) -> None:
    found = tried(squeezenet)
    assert [each.name for each in found] == ["plain", "split", "two servers"]
    assert [[part.node for part in each.parts] for each in found] == [[1, 1, 1], [1, 1], [1, 2]]
    for each in found:
        assert each.units[0].first == 0
        assert each.units[-1].last == len(squeezenet.graph) - 1
        assert all(before.last + 1 == after.first for before, after in itertools.pairwise(each.units))
        assert each.placement(0) == [0] * len(squeezenet.graph)
        assert min(each.bytes(squeezenet.graph)) > 0
    assert sum(found[0].bytes(squeezenet.graph)) == squeezenet.graph.upload_bytes(range(len(squeezenet.graph)))
    assert found[1].units[0].node == found[2].units[0].node == 0
    assert sum(found[1].bytes(squeezenet.graph)) <= 3 * 2 * MB


def test_what_goes_from_server_to_server_goes_there_straight(squeezenet: Network) -> None:
    [both] = [each for each in tried(squeezenet) if each.name == "two servers"]
    told = Told.of(squeezenet, [both]).situations[0]
    steps = [step for step in told["routes"][2]["steps"] if step["node"] == 1]
    assert [to for step in steps for to, _ in step["sends"]] == [2]
    for up, route in enumerate(told["routes"]):
        units = [unit for step in route["steps"] for unit in step["units"]]
        assert units == list(range(len(both.units)))
        parts = [both.units[unit] for step in route["steps"] if step["node"] for unit in step["units"]]
        assert parts == list(both.parts[:up])


def test_a_shared_weight_travels_once_to_each_server(squeezenet: Network) -> None:
    graph = squeezenet.graph
    held = dataclasses.replace(graph.layers[40], parameters=graph.layers[0].parameters)
    shared = dataclasses.replace(graph, layers=(*graph.layers[:40], held, *graph.layers[41:]))
    units = (Unit(0, 30, 1), Unit(31, 45, 1), Unit(46, len(graph) - 1, 2))
    moved = Situation("plain", units).moved(shared)
    assert set(moved[0]) & set(moved[1]) == set()
    assert sum(map(len, moved)) == len(graph.parameters_of(range(len(graph)))) - len(graph.layers[40].parameters)


def test_a_network_that_cannot_be_cut_is_refused() -> None:
    small = from_model(made_model([node("Relu", ["x"], ["y"])], [tensor("x", 1, 4)], ["y"]), "small")
    with pytest.raises(RunError, match="can be cut between weights"):
        situations(small.graph, (0.001,), 1e6)


# Phases and verdicts


def made_round(latencies_s: list[float], upload_s: float = 6.0) -> Round:
    """A query in each phase of an upload of two parts, with such a latency."""
    begun = [0.0, 10.5, 10.7 + upload_s / 2, 11 + upload_s]
    ups = [0, 0, 1, 2]
    queries = tuple(Query(b, b + s, up, 0.02, 0.019) for b, s, up in zip(begun, latencies_s, ups, strict=True))
    return Round(10.0, queries, (Part(10.0, 10.0 + upload_s / 2), Part(10.0 + upload_s / 2, 10.0 + upload_s)))


def test_a_query_is_of_the_phase_in_which_it_began() -> None:
    found = made_round([20.0, 20.0, 20.0, 20.0])
    assert [found.phase(query) for query in found.queries] == found.phases()
    assert found.phases() == ["before", "0 of 2 up", "1 of 2 up", "after"]
    assert found.upload_s == 6.0


def test_what_others_had_of_the_processor_is_taken_off() -> None:
    query = Query(1.0, 1.5, 0, wall_s=0.3, cpu_s=0.1)
    assert query.corrected_s == pytest.approx(0.3)
    assert Query(1.0, 1.5, 0, wall_s=0.1, cpu_s=0.11).corrected_s == 0.5
    assert interference([Round(0.0, (query,), ())]) == pytest.approx(2 / 3)
    assert interference([]) == 0


def test_what_servers_ran_belongs_to_the_query() -> None:
    told = {
        "started_s": 1.0,
        "queries": [{"query": 7, "begun_s": 0.0, "ended_s": 2.0, "up": 1, "wall_s": 0.25, "cpu_s": 0.25}],
        "parts": [{"sent_s": 1.0, "ended_s": 3.0}],
        "difference": 1e-6,
    }
    found = Round.really(told, [[7, 0.5, 0.25], [8, 9.0, 9.0], [7, 0.25, 0.25]])
    assert (found.queries[0].wall_s, found.queries[0].cpu_s, found.error) == (1.0, 0.75, 1e-6)


@pytest.mark.parametrize(
    ("kind", "emulated_s", "standing", "bound"),
    [
        ("network", 0.3, QUIET, 0.05),
        ("computing", 0.3, QUIET, 0.05),
        ("computing", 0.0099, QUIET, 0.15),
        ("upload", 4.9, QUIET, 0.05),
        ("upload", 5.0, QUIET, 0.03),
        ("network", 0.3, BUSY, 0.10),
        ("upload", 50.0, BUSY, 0.10),
        ("computing", 0.0099, BUSY, 0.15),
    ],
)
def test_bounds(kind: str, emulated_s: float, standing: Standing, bound: float) -> None:
    for sign in (1, -1):
        inside, outside = (emulated_s / (1 + sign * bound * part) for part in (0.99, 1.01))
        assert row(kind, inside, emulated_s).bound(standing) == bound
        assert row(kind, inside, emulated_s).word(standing) == "holds"
        assert row(kind, outside, emulated_s).word(standing) == "beyond"


def test_a_busy_machine_is_judged_by_what_it_had_for_itself() -> None:
    slowed = row("network", 0.5, 0.3, corrected_s=0.3)
    assert slowed.word(QUIET) == "beyond"
    assert slowed.word(BUSY) == "holds"
    assert slowed.difference(BUSY) == 0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"interference": 0.26}, "others had the processor for 26%"),
        ({"rate_error": -0.021}, "-2.1% off its rate"),
        ({"rate_error": 0.021}, "+2.1% off its rate"),
        ({"coverage": 1.2}, "1.20 of the whole network's time"),
    ],
)
def test_no_verdict_where_nothing_can_be_said(change: dict[str, float], why: str) -> None:
    standing = dataclasses.replace(QUIET, **change)
    found = validation([row("network", 0.3, 9.0)], standing)
    assert found.holds is None
    assert found.rows[0].word(standing) == "none"
    assert why in found.sentences()[0]


def test_a_link_of_the_kernels_has_its_own_bound_and_no_rate_error() -> None:
    standing = dataclasses.replace(QUIET, rate_error=math.nan)
    found = validation([dataclasses.replace(row("network", 0.3, 0.3 * 1.19), widest=0.2)], standing)
    assert found.holds is True
    assert "off its rate" not in " ".join(found.sentences())
    assert found.as_dict()["rate_error"] is None
    assert dataclasses.replace(row("computing", 0.3, 0.33), widest=0.2).word(standing) == "beyond"


def test_what_the_emulated_link_was_told_is_said() -> None:
    assert "emulated link" not in " ".join(validation([row("network", 0.3, 0.3)]).sentences())
    kind = validation([row("network", 0.3, 0.3)], transport={"profile": "bbr"})
    assert "The emulated link has profile: bbr." in kind.sentences()
    fields = {"efficiency": 0.9561, "latency_ms": 0.05, "queue_ms": 41.26, "query_weight": 1.6, "slow_start": False}
    found = validation([row("network", 0.3, 0.3)], transport=fields)
    assert found.as_dict()["transport"] == fields
    said = "efficiency: 0.956, latency_ms: 0.05, queue_ms: 41.3, query_weight: 1.6, slow_start: false"
    assert f"The emulated link has {said}, as layerlift link found it just before." in found.sentences()


def test_few_queries_are_shown_and_not_judged() -> None:
    found = validation([row("network", 0.3, 9.0, n=4), row("network", 0.3, 0.3, n=5)])
    assert [each.word(QUIET) for each in found.rows] == ["few", "holds"]
    assert found.holds is True
    assert row("upload", 9.0, 9.0, n=1).word(QUIET) == "holds"
    assert validation([row("network", 0.3, 9.0, n=4)]).holds is None


def test_the_sentence_says_how_far_it_is_off_and_where_most() -> None:
    right = validation([row("network", 0.3, 0.306), row("upload", 9.0, 9.1), row("computing", 0.005, 0.0055)])
    assert right.worst == pytest.approx(0.02)
    assert right.sentences()[0] == (
        "The emulation is true here, within 2.0% in every phase with the network (squeezenet over a link of 2 MB/s, 5 "
        "repeats; this machine was quiet)."
    )
    wrong = validation([row("network", 0.3, 0.36), row("upload", 9.0, 9.9)])
    assert wrong.holds is False
    assert wrong.sentences()[0].startswith(
        "The emulation is off here in 2 of 2 rows, most in plain, a phase: by +20.0%, where the bound is 5%"
    )
    assert "CPU-corrected" in validation([row("network", 0.3, 0.3)], BUSY).sentences()[0]


# The emulation of what is tried


@pytest.fixture(scope="module")
def twin(squeezenet: Network, tmp_path_factory: pytest.TempPathFactory) -> Twin:
    profile = made_profile(squeezenet, layer_s=0.0003)
    file = tmp_path_factory.mktemp("profile") / "profile.json"
    profile.save(file)
    return Twin(file, profile.ghz, 2.0 * MB, 0.001, 1e-9, {})


def test_the_emulation_is_of_what_was_tried(squeezenet: Network, twin: Twin) -> None:
    [plain, _, both] = tried(squeezenet)
    found = emulate(plain, SOURCE, twin, 0.3, 2.5, 3)
    after = [query for query in found.queries if found.phase(query) == "after"]
    compute_s = 0.0003 * len(squeezenet.graph)
    sent, back = squeezenet.graph.tensors[0].bytes, squeezenet.graph.tensors[squeezenet.graph.outputs[0]].bytes
    alone_s = compute_s + 0.002 + (sent + back + 2 * HEADER_BYTES) / (2 * MB)
    assert len(after) == 3
    assert after[-1].latency_s == pytest.approx(alone_s, rel=1e-9)
    assert after[0].begun_s < found.parts[-1].ended_s + 2 * alone_s  # the first ones, not the last
    assert found.queries[0].latency_s == pytest.approx(compute_s)
    assert {found.phase(query) for query in found.queries} == {"before", "0 of 3 up", "1 of 3 up", "2 of 3 up", "after"}
    # Beside an upload what goes up has half of the link.
    beside = statistics.median(q.latency_s for q in found.queries if found.phase(q) == "1 of 3 up")
    assert beside > alone_s + 0.9 * sent / (2 * MB)
    assert len(emulate(both, SOURCE, twin, 0.3, 2.5, 3).parts) == 2


@pytest.mark.long
@pytest.mark.parametrize("off", [0.8, 1.25])
def test_a_wrong_emulation_is_found(squeezenet: Network, twin: Twin, off: float) -> None:
    plain = tried(squeezenet)[0]
    true = emulate(plain, SOURCE, twin, 0.3, 2.5, 5)
    wrong = emulate(plain, SOURCE, dataclasses.replace(twin, bytes_s=2 * MB * off), 0.3, 2.5, 5)
    rounds = [true] * 5
    profile_s = 0.0003 * len(squeezenet.graph)
    assert validation(list(rows("plain", rounds, profile_s, lambda _: true))).holds is True
    found = validation(list(rows("plain", rounds, profile_s, lambda _: wrong)), bandwidth_off=off)
    assert found.holds is False
    assert {each.word(QUIET) for each in found.rows if each.kind == "network"} == {"beyond"}
    assert {each.word(QUIET) for each in found.rows if each.kind == "computing"} <= {"holds"}
    assert found.sentences()[-1] == f"The emulation was told {off:g} times the real bandwidth, on purpose."
    # It is found on a busy machine, too.
    assert validation(list(rows("plain", rounds, profile_s, lambda _: wrong)), BUSY).holds is False


DRIFT = 1.2
"""How many times longer layers take in the round that is really seen."""


@pytest.fixture(scope="module")
def drifted(squeezenet: Network, twin: Twin) -> list[Round]:
    """Rounds on a machine whose pace has changed since its profile: what servers and the clock say of them."""
    profile_s = 0.0003 * len(squeezenet.graph)
    slower = emulate(tried(squeezenet)[0], SOURCE, twin.at(DRIFT), 0.4, 2.5, 5)
    spent_s = profile_s * DRIFT
    seen = tuple(dataclasses.replace(query, wall_s=spent_s, cpu_s=spent_s) for query in slower.queries)
    return [dataclasses.replace(slower, queries=seen)] * 5


@pytest.mark.parametrize(
    ("ghz_off", "bandwidth_off", "found"),
    [(1.0, 1.0, set()), (0.8, 1.0, {"computing"}), (1.2, 1.0, {"computing"}), (1.0, 0.8, {"network", "upload"})],
)
def test_a_pace_that_drifts_hides_no_wrong_emulation(
    squeezenet: Network, twin: Twin, drifted: list[Round], ghz_off: float, bandwidth_off: float, found: set[str]
) -> None:
    told = dataclasses.replace(twin, ghz=twin.ghz * ghz_off, bytes_s=twin.bytes_s * bandwidth_off)
    profile_s, plain = 0.0003 * len(squeezenet.graph), tried(squeezenet)[0]

    @cache
    def emulation(pace: float) -> Round:
        return emulate(plain, SOURCE, told.at(pace), 0.4, 2.5, 5)

    got = validation(list(rows("plain", drifted, profile_s, emulation)))
    assert [each.drift for each in got.rows] == pytest.approx([DRIFT - 1] * len(got.rows))
    assert got.holds is (not found)
    beyond = {each.kind for each in got.rows if each.word(QUIET) == "beyond"}
    assert beyond >= found
    assert not found or "computing" in found or "computing" not in beyond
    # Were it not told the pace, the true emulation would be far off.
    untold = validation(list(rows("plain", drifted, profile_s, lambda _: emulation(1.0))))
    assert found or untold.holds is False


@given(st.lists(st.tuples(st.floats(0.001, 1), st.floats(0, 9), st.floats(0, 9)), min_size=1))
def test_the_pace_is_of_thread_cpu_time_alone(told: list[tuple[float, float, float]]) -> None:
    seen = [Query(0.0, latency_s, 0, wall_s, cpu_s) for cpu_s, latency_s, wall_s in told]
    bare = [Query(0.0, 0.0, 0, 0.0, cpu_s) for cpu_s, _, _ in told]
    assert pace(seen, 0.01) == pace(bare, 0.01) == pytest.approx(statistics.median(cpu for cpu, _, _ in told) / 0.01)
    assert pace([Query(0.0, 1.0, 0)], 0.01) == pace([], 0.01) == 1  # nobody said what it was


@pytest.mark.parametrize("pace", [1.31, 0.69])
def test_computing_is_not_judged_at_another_pace(pace: float) -> None:
    far = [dataclasses.replace(row(kind, 0.3, 0.3), pace=pace) for kind in ("computing", "network")]
    found = validation(far)
    assert [each.word(QUIET) for each in found.rows] == ["drifted", "holds"]
    assert found.holds is True
    assert f"Layers took {pace - 1:+.0%} to {pace - 1:+.0%} thread CPU time" in found.sentences()[3]
    assert found.sentences()[3].endswith("beyond 30% computing is not judged (1 row).")
    assert found.table()[1][0][6] == f"{pace - 1:+.0%}"
    assert found.as_dict()["rows"][0]["verdict"] == "drifted"
    assert validation([far[0]]).holds is None
    near = dataclasses.replace(far[0], pace=1 + (pace - 1) * 0.95)
    assert near.word(QUIET) == "holds"
    assert "not judged" not in " ".join(validation([near]).sentences())


@given(st.lists(st.floats(0.1, 200), min_size=1, max_size=3), st.integers(1, 30))
def test_it_ends_in_time(round_s: list[float], repeats: int) -> None:
    kept, often = within_budget(round_s, repeats, 155)
    if not kept:
        assert round_s[0] > 155
        return
    plan = shares(often, kept)
    assert plan[0] == often <= repeats
    assert sum(n * s for n, s in zip(plan, round_s, strict=False)) <= 155 * (1 + 1e-9)
    if often < repeats:
        more = shares(often + 1, kept)
        assert sum(n * s for n, s in zip(more, round_s, strict=False)) > 155 * (1 - 1e-9)


def test_rates_in_words() -> None:
    assert [rate(2 * MB), rate(10e6), rate(1.5 * MB), rate(2.5e6)] == ["2 MB/s", "80 Mbit/s", "1.5 MB/s", "20 Mbit/s"]


@pytest.mark.parametrize(("seen", "measured"), [([1.0], 1), ([1.3, 0.95], 2), ([1.3, 0.8, 1.3, 1.0], 3)])
def test_a_machine_that_drifts_while_it_is_profiled_is_profiled_again(
    seen: list[float], measured: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    coverages = iter(seen)
    monkeypatch.setattr(study, "measured", lambda network: SimpleNamespace(coverage=next(coverages)))
    said: list[str] = []
    found = study.steady(SimpleNamespace(name="net"), lambda what, over, total: said.append(what))  # type: ignore[arg-type]
    assert found.coverage == seen[measured - 1]
    assert said == ["profiling net", *["profiling net again"] * (measured - 1)]
