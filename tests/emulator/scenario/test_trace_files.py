"""One reader of tables for traces, journeys and arrivals: as strict for each, and each hint tells the remedy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_scenario import Few, small

from layerlift.emulator.scenario import Scenario
from layerlift.emulator.scenario.schema import files
from layerlift.emulator.scenario.schema.files import Files, Source
from layerlift.emulator.scenario.schema.trace_files import read_columns
from layerlift.emulator.world.faults import Trace
from layerlift.emulator.world.laws import RecordedInstants
from layerlift.emulator.world.mobility import Journey
from layerlift.models.errors import ScenarioError

EPOCH_S = 1_700_000_000


def faulty(entry: dict[str, Any], folder: Path) -> Scenario:
    return Scenario.from_dict(small(faults=[entry], folder=str(folder)))


def asking(folder: Path, **more: object) -> Scenario:
    users = [
        {"model": "small", "planner": "local", "queries": 1, "asks": {"trace": "t.csv", **more}, "device": {"ghz": 1.0}}
    ]
    return Scenario.from_dict(small(users=users, folder=str(folder)))


def all_three(folder: Path, **more: object) -> list[Scenario]:
    """A link's trace, a journey and arrivals, each from t.csv."""
    return [
        faulty({"trace": "client-edge", "file": "t.csv", **more}, folder),
        faulty({"journey": "t.csv", **more}, folder),
        asking(folder, **more),
    ]


def written(folder: Path, *instants: float) -> None:
    rows = [f"{at:.12g},1,client1,edge1" for at in instants]
    (folder / "t.csv").write_text("\n".join(["time_s,latency_ms,client,edge", *rows]) + "\n")


def told(scenario: Scenario) -> str:
    with pytest.raises(ScenarioError) as caught:
        scenario.resolve(Few())
    assert len(str(caught.value)) <= 300
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("time_s;latency_ms;client;edge\n0;1;client1;edge1\n", "parted by semicolons, expected commas"),
        ("time_s\tlatency_ms\tclient\tedge\n0\t1\tclient1\tedge1\n", "parted by tabs"),
        ('time_s,latency_ms,client,edge\n"0,5",1,client1,edge1\n', "expected a number with a decimal point"),
        ("time_s,latency_ms,client,edge\n0,5,1,client1,edge1\n", "line 2: has 5 cells, expected 4"),
        ("time_s,latency_ms,client,edge\n5 ms,1,client1,edge1\n", "time_s is '5 ms', expected a number alone"),
        ("time_ms,latency_ms,client,edge\n5,1,client1,edge1\n", "no column time_s but 'time_ms': expected time_s"),
        ("time_s,latency_ms,client,edge\n1_0,1,client1,edge1\n", "time_s is '1_0', expected a finite number"),
        ("time_s,latency_ms,client,edge\n\u0661,1,client1,edge1\n", "expected a finite number"),
        ("time_s,latency_ms,client,edge\n1,1,client1,edge1,\n", "line 2: has 5 cells"),
        ("time_s,time_s,latency_ms,client,edge\n1,1,1,client1,edge1\n", "has two columns time_s"),
        ("time_s,latency_ms,client,edge\n", "t.csv has no rows"),
    ],
)  # fmt: skip
def test_traces_journeys_and_arrivals_are_read_alike(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    for scenario in all_three(tmp_path):
        assert says in told(scenario)


def test_what_counts_from_1970_is_refused_and_the_remedy_works(tmp_path: Path) -> None:
    written(tmp_path, EPOCH_S + 0.25, EPOCH_S + 2.5)
    for scenario in all_three(tmp_path):
        assert told(scenario).endswith(f"give start_s: -{EPOCH_S}")
    trace, journey, arrivals = (scenario.resolve(Few()) for scenario in all_three(tmp_path, start_s=-float(EPOCH_S)))
    assert isinstance(trace.faults[0], Trace)
    assert [at_s for at_s, _, _ in trace.faults[0].points] == [0.25, 2.5]
    assert isinstance(journey.mobility[0], Journey)
    assert [at_s for at_s, _ in journey.mobility[0].stops] == [0.25, 2.5]
    asks = arrivals.users[0].asks
    assert isinstance(asks, RecordedInstants)
    assert (asks.recorded_s, asks.start_s) == ((0.25, 2.5), 0.0)


def test_a_start_behind_the_first_instant_is_refused(tmp_path: Path) -> None:
    written(tmp_path, 5.0, 7.0)
    for scenario in all_three(tmp_path, start_s=-6.0):
        assert "time_s is 5, with start_s -6 before the beginning, expected seconds of at least 0" in told(scenario)


def irregular(folder: Path) -> list[str]:
    os.mkfifo(folder / "pipe.csv")
    (folder / "zero.csv").symlink_to("/dev/zero")
    (folder / "loop.csv").symlink_to("loop.csv")
    return ["pipe.csv", "zero.csv", "loop.csv", "nul\0.csv"]


def test_a_file_is_regular_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in irregular(tmp_path):
        with pytest.raises(ScenarioError, match="cannot be read"):
            Files(tmp_path).source(name)
    monkeypatch.setattr(files, "MOST_BYTES", 3)
    (tmp_path / "a.csv").write_text("abc")
    assert Files(tmp_path).source("a.csv").content == b"abc"
    (tmp_path / "a.csv").write_text("abcd")
    with pytest.raises(ScenarioError, match="larger than"):
        Files(tmp_path).source("a.csv")


def test_what_is_kept_is_read_from_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("other")
    read = Files(tmp_path, {"a.csv": b"kept"})
    assert read.source("a.csv").content == b"kept"
    assert list(read.read) == ["a.csv"]
    assert read.source("a.csv").digest == Source("b.csv", b"kept").digest != Source("b.csv", b"kepT").digest


def test_texts_of_parquet_are_bounded_before_they_are_written_out(tmp_path: Path) -> None:
    rows = 100_000
    column = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), ["x" * 100_000])  # 10 GB written out
    pq.write_table(pa.table({"who": column}), tmp_path / "t.parquet")
    with pytest.raises(ScenarioError, match="a cell of who has 100,000 characters, expected at most 1,000"):
        read_columns(Files(tmp_path).source("t.parquet"), {"who": "text"})


@given(st.binary(max_size=200), st.sampled_from(["t.csv", "t.parquet"]), st.booleans())
def test_any_bytes_are_a_table_or_one_sentence(content: bytes, name: str, magic: bool) -> None:
    source = Source(name, b"PAR1" * magic + content + b"PAR1" * magic)
    said = ""
    try:
        read_columns(source, {"time_s": "float", "client": "text"}, ["client"])
    except ScenarioError as error:
        said = str(error)
    assert len(said) <= 300
    assert "\n" not in said
