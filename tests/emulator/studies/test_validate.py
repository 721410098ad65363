"""Validating: links that pace themselves, what is tried, phases, bounds, and that a wrong emulation is found."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from made_profile import made_profile
from small_nets import model as made_model
from small_nets import node, normal, tensor

import layerlift
from layerlift.emulator.cli.commands import validate as command
from layerlift.emulator.cli.main import main
from layerlift.emulator.report import validated
from layerlift.emulator.studies.validate import kernel, page
from layerlift.emulator.studies.validate.budget import shares, within_budget
from layerlift.emulator.studies.validate.emulated import Twin, emulate
from layerlift.emulator.studies.validate.kernel import KINDS
from layerlift.emulator.studies.validate.pace import pace
from layerlift.emulator.studies.validate.processes.bucket import Bucket, slots
from layerlift.emulator.studies.validate.processes.messages import HEADER_BYTES, Broken, packed, received, unpacked
from layerlift.emulator.studies.validate.processes.node import Node
from layerlift.emulator.studies.validate.processes.pieces import Described, apart, together
from layerlift.emulator.studies.validate.real import Books
from layerlift.emulator.studies.validate.records import Part, Query, Round, interference
from layerlift.emulator.studies.validate.situations import Situation, Unit, situations
from layerlift.emulator.studies.validate.study import rate, validate
from layerlift.emulator.studies.validate.told import Told
from layerlift.emulator.studies.validate.validation import Validation
from layerlift.emulator.studies.validate.verdicts import Row, Standing, rows
from layerlift.models.errors import LayerliftError, RunError
from layerlift.models.loading.load import from_model, load
from layerlift.models.running.network import Network

MB = 1 << 20
SOURCE: dict[str, Any] = {"name": "squeezenet", "dims": {}, "fix": {}, "outputs": []}
QUIET = Standing(interference=0.01, rate_error=0.001, coverage=1.0)
BUSY = Standing(interference=0.2, rate_error=0.001, coverage=1.0)


class Clock:
    """A clock that somebody sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


# The link


def test_a_sender_alone_has_the_whole_link() -> None:
    clock = Clock()
    bucket = Bucket(1e6, clock=clock)
    for number in range(500):
        clock.now = bucket.reserve(4000, first=number == 0)
    assert clock.now == pytest.approx(100 + 500 * 4000 / 1e6)
    assert bucket.granted == 500 * 4000


@given(st.integers(1, 60), st.integers(1, 60))
def test_two_senders_take_turns(one: int, other: int) -> None:
    clock = Clock()
    bucket = Bucket(1e6, clock=clock)
    left, ends = {"a": one, "b": other}, {"a": 0.0, "b": 0.0}
    due = {name: bucket.reserve(4000, first=True) for name in left}
    while due:
        name = min(due, key=lambda each: due[each])
        clock.now = due.pop(name)
        left[name] -= 1
        if left[name]:
            due[name] = bucket.reserve(4000, first=False)
        else:
            ends[name] = clock.now - 100
    both = 2 * min(one, other) * 0.004
    assert min(ends.values()) == pytest.approx(both, abs=0.0041)
    assert max(ends.values()) == pytest.approx((one + other) * 0.004)


def test_who_wakes_late_catches_up_within_the_burst_and_no_further() -> None:
    clock = Clock()
    bucket = Bucket(1e6, burst_bytes=16_000, clock=clock)
    due = bucket.reserve(4000, first=True)
    clock.now = due + 0.015
    assert bucket.reserve(4000, first=False) == pytest.approx(due + 0.004)  # it is as if it had not been late
    clock.now = due + 0.1
    assert bucket.reserve(4000, first=False) == pytest.approx(clock.now - 0.016 + 0.004)


def test_nothing_is_saved_up_while_nobody_sends() -> None:
    clock = Clock()
    bucket = Bucket(1e6, clock=clock)
    bucket.reserve(4000, first=True)
    clock.now += 50
    assert bucket.reserve(4000, first=True) == pytest.approx(clock.now + 0.004)


@given(st.integers(0, 10**6), st.integers(500, 70_000))
@settings(max_examples=30)
def test_slots_are_all_of_it_once(size: int, most: int) -> None:
    cut = list(slots(size, most))
    assert [begin for begin, _ in cut] == [0, *(end for _, end in cut[:-1])][: len(cut)]
    assert (cut[-1][1] if cut else 0) == size
    assert all(0 < end - begin <= most for begin, end in cut)


def test_the_rate_error_is_of_the_time_that_the_link_was_busy() -> None:
    books = Books()
    books.add(
        [{"crossing_s": 2.0, "granted": 1_960_000, "bytes": 1_000_000, "sent_s": 1.0, "ended_s": 3.5}], [[1e6, 0.1]]
    )
    assert books.rate_error(1e6) == pytest.approx(-0.02)
    assert books.load_s_per_byte == pytest.approx(1e-7)
    assert math.isnan(Books().rate_error(1e6))
    assert Books().load_s_per_byte == 0


# Messages


@given(st.dictionaries(st.sampled_from(["query", "up", "tensor"]), st.integers(0, 2**40)), st.binary(max_size=2000))
@settings(max_examples=30)
def test_messages_arrive_as_they_were_sent(head: dict[str, int], payload: bytes) -> None:
    here, there = socket.socketpair()
    with here, there:
        header = packed(head, len(payload))
        assert len(header) == HEADER_BYTES
        here.sendall(header + payload)
        found, got = received(there, 2000)
    assert (found, bytes(got)) == (head, payload)


@pytest.mark.parametrize(
    "header", [b"", b"x" * HEADER_BYTES, b"[1]", b"{}", b'{"size":-1}', b'{"size":true}', b'{"size":"9"}', b"[" * 5000]
)
def test_what_is_no_header_is_refused(header: bytes) -> None:
    with pytest.raises(Broken):
        unpacked(header)


def test_too_much_and_too_little_are_refused() -> None:
    here, there = socket.socketpair()
    with here, there:
        here.sendall(packed({}, 1000))
        with pytest.raises(Broken, match="1000 bytes came, expected 999"):
            received(there, 999)
        here.sendall(packed({}, 10) + b"12345")
        here.shutdown(socket.SHUT_WR)
        with pytest.raises(Broken, match="ended early"):
            received(there, 10)
    with pytest.raises(Broken, match="expected 256 at most"):
        packed({"name": "x" * 300})


def test_arrays_are_the_same_apart() -> None:
    arrays = [normal(3, 4), np.arange(5, dtype=np.int64), np.float32(2).reshape(())]
    described = [Described(str(n), array.dtype.str, array.shape) for n, array in enumerate(arrays)]
    found = apart(together(arrays), described)
    for number, array in enumerate(arrays):
        assert found[str(number)].tobytes() == array.tobytes()
        assert found[str(number)].shape == array.shape
    with pytest.raises(Broken):
        apart(together(arrays)[1:], described)
    with pytest.raises(Broken):
        described[0].array(memoryview(b"abc"))


def test_strangers_are_not_let_in() -> None:
    setup = {"tensors": [], "situations": [], "limit_s": 5, "token": "right", "bytes_s": 1e6}
    server = Node(1, setup, [], print)
    for told, expected in (
        (packed({"token": "right", "from": 0, "for": "queries"}), (0, "queries")),
        (packed({"token": "wrong", "from": 0, "for": "queries"}), None),
        (packed({"token": "right"}), None),
        (packed({"token": ["right"], "from": 0, "for": "queries"}), None),
        (packed({"token": "right", "from": 0, "for": "queries"}, 5) + b"12345", None),
        (b"GET / HTTP/1.1\r\n\r\n".ljust(HEADER_BYTES), None),
    ):
        here, there = socket.socketpair()
        with here, there:
            here.sendall(told)
            assert server.greeted(there) == expected


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


def row(kind: str, real_s: float, emulated_s: float, n: int = 9, corrected_s: float | None = None) -> Row:
    corrected = (real_s if corrected_s is None else corrected_s,) * n
    return Row("plain", "a phase", kind, (real_s,) * n, corrected, (emulated_s,))  # type: ignore[arg-type]


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


def test_few_queries_are_shown_and_not_judged() -> None:
    found = validation([row("network", 0.3, 9.0, n=4), row("network", 0.3, 0.3, n=5)])
    assert [each.word(QUIET) for each in found.rows] == ["few", "holds"]
    assert found.holds is True
    assert row("upload", 9.0, 9.0, n=1).word(QUIET) == "holds"
    assert validation([row("network", 0.3, 9.0, n=4)]).holds is None


def validation(told: list[Row], standing: Standing = QUIET, **more: Any) -> Validation:
    return Validation(
        **{
            "network": "squeezenet", "link": "a link of 2 MB/s", "rows": tuple(told), "standing": standing,
            "goodput_bytes_s": 1.6e6, "output_error": 0.0, "host": "a machine <b>", "load": 0.1, "cores": 2,
            "versions": {"onnxruntime": "1"}, "date": "2026-01-31", "repeats": 5, **more,
        }
    )  # fmt: skip


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


# What is shown and kept


@pytest.mark.long
def test_the_page_is_whole_and_shows_text_as_text(tmp_path: Path) -> None:
    found = validation([row("network", 0.3, 0.36), row("upload", 9.0, 9.0)], network="<script>x</script>")
    page.write(found, tmp_path / "out")
    text = (tmp_path / "out" / "validate.html").read_text(encoding="utf-8")
    assert "<script>x" not in text
    assert '<tr class="beyond">' in text
    assert "a machine &lt;b&gt;" in text
    assert found.sentences()[1].split(";")[0] in text
    told = json.loads((tmp_path / "out" / "validate.json").read_text(encoding="utf-8"))
    assert told["holds"] is False
    assert [each["verdict"] for each in told["rows"]] == ["beyond", "holds"]
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == ["validate.html", "validate.json"]
    with pytest.raises(RunError, match="already holds a validation"):
        page.check(tmp_path / "out", force=False)
    page.check(tmp_path / "out", force=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is a file"):
        page.check(tmp_path / "file", force=False)
    assert "<table>" in found._repr_html_()
    assert "Validation" in repr(found)


def test_the_last_validation_is_told_of_later_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYERLIFT_CACHE", str(tmp_path))
    assert validated.last() is None
    validated.keep("2026-01-31", 0.0123, True, "squeezenet, a link of 2 MB/s")
    said = "The emulation was validated on this machine on 2026-01-31: within 1.2% (squeezenet, a link of 2 MB/s)."
    assert validated.last() == said
    validated.keep("2026-01-31", 0.2, False, "squeezenet")
    assert "within 20.0%, beyond its bounds" in (validated.last() or "")
    told = json.loads((tmp_path / "validate.json").read_text())
    for change in (
        {"host": "another"},
        {"date": 7},
        {"date": "today"},
        {"worst": math.nan},
        {"worst": "0"},
        {"what": []},
    ):
        (tmp_path / "validate.json").write_text(json.dumps(told | change))
        assert validated.last() is None
    for text in ("", "{", "[]", "null", "[" * 9000, '{"host": 1}', "\x00"):
        (tmp_path / "validate.json").write_text(text)
        assert validated.last() is None


@pytest.mark.long
def test_reports_tell_of_it_and_digests_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYERLIFT_CACHE", str(tmp_path))
    said: list[str] = []
    for out in ("before", "after"):
        line = ["run", "quickstart", "--local", "--set", "execution=none", "--out", str(tmp_path / out)]
        done = CliRunner().invoke(main, line, catch_exceptions=False, env={"COLUMNS": ""})
        said.append(done.stdout)
        validated.keep("2026-01-31", 0.0123, True, "squeezenet")
    digests = [json.loads((tmp_path / out / "run.json").read_text())["digest"] for out in ("before", "after")]
    assert digests[0] == digests[1]
    assert ["was validated on this machine on 2026-01-31: within 1.2%" in text for text in said] == [False, True]


# The command


def shown(monkeypatch: pytest.MonkeyPatch, found: Validation, *line: str, **env: str) -> Any:
    given: dict[str, Any] = {}

    def instead(model: str | None, **more: Any) -> Validation:
        given.update(more, model=model)
        return found

    monkeypatch.setattr(command, "validated", instead)
    done = CliRunner(env=env).invoke(main, ["validate", *line], catch_exceptions=False)
    return done, given


def test_exit_codes_and_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    right, wrong = validation([row("network", 0.3, 0.3)]), validation([row("network", 0.3, 0.5)])
    none = validation([row("network", 0.3, 0.5)], dataclasses.replace(QUIET, interference=0.5))
    for found, code in ((right, 0), (wrong, 1), (none, 0)):
        done, given = shown(monkeypatch, found, COLUMNS="")
        assert done.exit_code == code
        assert done.stdout.startswith(found.sentences()[0])
        assert done.stdout.splitlines()[-1].split()[0] == "plain"
        assert given["bandwidth_bytes_s"] is None
    done, given = shown(monkeypatch, right, "--bandwidth", "80mbit", "--json")
    assert given["bandwidth_bytes_s"] == 10e6
    assert json.loads(done.stdout)["holds"] is True
    assert shown(monkeypatch, right, "--bandwidth", "1.5 MB/s")[1]["bandwidth_bytes_s"] == 1.5 * MB
    for columns in ("40", "80"):
        done, _ = shown(monkeypatch, wrong, COLUMNS=columns)
        assert "…" not in done.stdout
        assert "BEYOND" in done.stdout


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["--bandwidth", "fast"], "--bandwidth is 'fast', expected a number above 0 in MB/s"),
        (["--bandwidth", "0"], "--bandwidth is '0', expected a number above 0"),
        (["--bandwidth", "1.2.3"], "--bandwidth is '1.2.3', expected a number"),
        (["--bandwidth", "9000"], "expected 50000 to 2e+08"),
        (["--model", "sqeezenet"], "did you mean squeezenet"),
        (["--model", "nowhere.onnx"], "nowhere.onnx"),
        (["--out", "README.md"], "is a file, expected a directory"),
    ],
)
def test_mistakes_are_sentences(line: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    done = CliRunner().invoke(main, ["validate", *line], catch_exceptions=False)
    assert done.exit_code == 2
    assert done.stderr.startswith("layerlift: ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_from_python() -> None:
    assert layerlift.validate is validate
    for wrong in (
        {"repeats": 0},
        {"bandwidth_off": 0.0},
        {"ghz_off": 200.0},
        {"bandwidth_bytes_s": math.nan},
        {"repeats": 10**6},
    ):
        with pytest.raises(LayerliftError, match="expected"):
            validate("squeezenet", **wrong)  # type: ignore[arg-type]


# The kernel's links


def test_what_the_kernel_mode_lacks_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kernel.os, "geteuid", lambda: 1000)
    done = CliRunner().invoke(main, ["validate", "--kernel", "modem"], catch_exceptions=False)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "which only root may: run it with sudo" in done.stderr
    monkeypatch.setattr(kernel.os, "geteuid", lambda: 0)
    monkeypatch.setattr(kernel.shutil, "which", lambda name: None if name == "tc" else name)
    with pytest.raises(RunError, match="needs the program tc"):
        kernel.check("modem")
    monkeypatch.setattr(kernel.shutil, "which", str)
    (tmp_path / "available").write_text("reno cubic\n")
    monkeypatch.setattr(kernel, "_CONGESTION", tmp_path / "available")
    kernel.check("modem")
    with pytest.raises(RunError, match="needs TCP's congestion control bbr"):
        kernel.check("bbr")


@pytest.mark.parametrize("shape", kernel.SHAPES)
def test_shapers_stand_where_they_should(shape: kernel.Shape, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, ...]] = []
    monkeypatch.setattr(kernel, "_do", lambda *command: done.append(command))
    with kernel.Namespaces(shape, 2e6) as made:
        way = made.way()
    shapers = [command for command in done if "tc" in command]
    at = {(command[3][-1], command[command.index("dev") + 1]) for command in shapers}
    assert at == ({("r", "r0"), ("r", "r1")} if shape in ("bbr", "modem") else {("c", "c0"), ("s", "s0")})
    rated = [command for command in shapers if "rate" in command]
    assert all("16000000bit" in command and command[command.index("burst") + 1] == "16kb" for command in rated)
    assert ("100000" in rated[0]) == (shape != "fair")
    assert (way.paced, way.congestion, bool(way.priorities)) == (False, KINDS[shape].congestion, shape == "fair")
    assert way.start(0)[3][-1] == "c"
    assert way.start(1)[3][-1] == "s"


def test_what_cannot_be_made_is_a_sentence_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*command: str) -> None:
        raise RunError("no")

    monkeypatch.setattr(kernel, "_do", fail)
    made = kernel.Namespaces("modem", 2e6)
    with pytest.raises(RunError, match="no"):
        made.__enter__()
    assert made._sweeper.returncode is not None
    monkeypatch.undo()
    with pytest.raises(RunError, match=r"--kernel cannot do 'false'.*exit code 1"):
        kernel._do("false")
    with pytest.raises(RunError, match="cannot run no-such-program"):
        kernel._do("no-such-program")


# All of it


@pytest.mark.slow
def test_processes_and_layers_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYERLIFT_CACHE", str(tmp_path / "cache"))
    found = validate("squeezenet", repeats=1, out=tmp_path / "out", bandwidth_bytes_s=8 * MB)
    assert {each.situation for each in found.rows} == {"plain", "split", "two servers"}
    assert {each.phase for each in found.rows} >= {"before", "after", "upload"}
    assert found.output_error < 1e-3
    assert (tmp_path / "out" / "validate.html").exists()
    again = validate("squeezenet", repeats=1, bandwidth_bytes_s=8 * MB, bandwidth_off=0.2)
    after = [each for each in again.rows if (each.situation, each.phase) == ("plain", "after")]
    assert after[0].difference(again.standing) > 0.2


PARENT = """
import sys, time
from layerlift.emulator.studies.validate.processes.children import Child
child = Child("server")
print(child._popen.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_children_end_with_their_parent(number: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(number)
    parent.wait(60)
    parent.stdout.close()
    for _ in range(600):
        if not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().rpartition(")")[2][:3]:
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    pytest.fail("the child has outlived its parent")


NAMESPACES = """
import time
from layerlift.emulator.studies.validate.kernel import Namespaces
with Namespaces("modem", 2e6) as made:
    print(made._client, flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("ip") is None, reason="needs root and iproute2")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_namespaces_go_with_their_maker(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", NAMESPACES], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        place = Path("/run/netns") / parent.stdout.readline().strip()
        assert place.exists()
        parent.send_signal(number)
        parent.wait(60)
    for _ in range(300):
        if not place.exists():
            return
        time.sleep(0.1)
    pytest.fail("the namespace is still there")
