"""The `faults` of a scenario: what they become in a world, and how wrong ones are answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_scenario import Few, small

from layerlift.emulator.conditions.conditions import Conditions
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.scenario.schema.fields import MB
from layerlift.emulator.scenario.schema.files import Files
from layerlift.emulator.scenario.schema.trace_files import read_columns
from layerlift.emulator.world.describe import describe_world
from layerlift.emulator.world.faults import Crash, Loss, OnOff, Outage, Pairs, Trace
from layerlift.emulator.world.machines import INF
from layerlift.emulator.world.mobility import Journey, Waypoint
from layerlift.emulator.world.world import World
from layerlift.models.errors import ScenarioError

USERS = [
    {"model": "small", "queries": 1, "count": 2, "kind": "desk"},
    {"model": "small", "queries": 1, "kind": "walker", "count": 2, "device": {"ghz": 1}},
]
CLIENT1, CLIENT2, WALKER1, WALKER2, EDGE1, EDGE2, EDGE3, FAR, _ = range(9)


def scenario(*faults: dict[str, Any], **changes: Any) -> Scenario:
    return Scenario.from_dict(small(users=USERS, faults=list(faults), **changes))


def world(*faults: dict[str, Any], **changes: Any) -> World:
    return scenario(*faults, **changes).resolve(Few())


def refusal(*faults: dict[str, Any], **changes: Any) -> str:
    with pytest.raises(ScenarioError) as caught:
        world(*faults, **changes)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 400
    return message


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (
            {"outage": "client-edge", "at_s": 10, "for_s": 5},
            Outage(Pairs("client", "edge"), 10, 5),
        ),
        (
            {"outage": "edge2", "at_s": 0, "for_s": 5, "every_s": 6, "one_way": True},
            Outage(Pairs(EDGE2, None, True), 0, 5, 6),
        ),
        ({"on_off": ["edge1", "edge3"], "on_s": 20, "off_s": 3}, OnOff(Pairs(EDGE1, EDGE3), 20, 3)),
        ({"on_off": ["edge1", "client"], "on_s": 20, "off_s": 3}, OnOff(Pairs(EDGE1, "client"), 20, 3)),
        ({"loss": "cloud-edge", "share": 0.02}, Loss(Pairs("cloud", "edge"), 0.02)),
        (
            {"loss": "walker-2", "share": 0, "bad_share": 0.5, "good_s": 9, "bad_s": 1},
            Loss(Pairs(WALKER2), 0, 0.5, 9, 1),
        ),
        ({"crash": "edge3", "at_s": 3, "for_s": 1}, Crash((EDGE3,), 3, 1)),
        ({"crash": "far", "at_s": 3}, Crash((FAR,), 3, INF)),
        ({"crash": ["cloud", "edge2"], "at_s": 3, "for_s": 1, "every_s": 2}, Crash((FAR, EDGE2), 3, 1, 2)),
        (
            {"crash": ["edge1", "edge"], "mean_up_s": 60, "mean_down_s": 2},
            Crash((EDGE1, EDGE2, EDGE3), 0, INF, None, 60, 2),
        ),
    ],
)
def test_what_breaks(given: dict[str, Any], made: object) -> None:
    assert world(given).faults == (made,)
    assert world(given).mobility == ()


def test_who_moves() -> None:
    move = {
        "move": ["walker", "client2"],
        "within_m": [1000, 500],
        "speed_m_s": [1, 2],
        "pause_s": 3,
        "edges_m": {"edge3": [0, 500], "edge1": [100, 200]},
        "hysteresis_m": 20,
        "interruption_ms": 50,
        "handover": "copy",
    }
    places = ((EDGE1, 100, 200), (EDGE3, 0, 500))
    walkers = (WALKER1, WALKER2, CLIENT2)
    made = world(move, {"outage": "far", "at_s": 1, "for_s": 1})
    assert made.mobility == (Waypoint(walkers, (1000, 500), (1, 2), (3, 3), places, 20, 0.05, "copy"),)
    assert len(made.faults) == 1
    assert Conditions(made).attached(WALKER1, 3.0) in (EDGE1, EDGE3)
    del move["edges_m"]
    (spec,) = world(move).mobility
    assert isinstance(spec, Waypoint)
    assert spec.edges == ((EDGE1, 166.666666667, 250), (EDGE2, 500, 250), (EDGE3, 833.333333333, 250))
    desks = {"move": "desk", "within_m": [9, 9], "speed_m_s": 1}
    assert world(desks).mobility[0].clients == (CLIENT1, CLIENT2)


TRACE = "time_s,bandwidth_mb_s,latency_ms,cell\n1,4,,a\n2,0,500,b\n\n4.5,,7,c\n"
POINTS = ((1.0, 4 * MB, None), (2.0, 0.0, 0.5), (4.5, None, 0.007))


def test_a_trace_from_csv_and_from_parquet(tmp_path: Path) -> None:
    (tmp_path / "lte.csv").write_text("\ufeff" + TRACE, encoding="utf-8")
    columns = {"bandwidth_mb_s": [4, 0, None], "time_s": [1.0, 2.0, 4.5], "latency_ms": [None, 500.0, 7.0]}
    pq.write_table(pa.table(columns), tmp_path / "lte.parquet")
    for file in ("lte.csv", "lte.parquet"):
        told = {"trace": ["edge1", "edge2"], "file": file}
        assert world(told, folder=str(tmp_path)).faults == (Trace(Pairs(EDGE1, EDGE2), POINTS),)
        again = world({**told, "repeat": True}, {**told, "repeat": 3.75}, folder=str(tmp_path)).faults
        assert [fault.repeat_s for fault in again if isinstance(fault, Trace)] == [6.0, 3.75]
    sky = Conditions(world({"trace": "client-edge", "file": "lte.csv"}, folder=str(tmp_path)))
    assert [(at, state.up, state.latency_s) for at, state in sky.changes(CLIENT1, EDGE1)] == [
        *((1.0, True, 0.002), (2.0, False, 0.5), (4.5, True, 0.007))
    ]


def test_a_trace_of_latencies_alone_bounds_the_lookahead(tmp_path: Path) -> None:
    (tmp_path / "rtt.csv").write_text("time_s,latency_ms\n0,0.25\n")
    made = world({"trace": "client-edge", "file": "rtt.csv"}, folder=str(tmp_path))
    assert made.lookahead_s == 0.00025


def test_journeys_from_a_file(tmp_path: Path) -> None:
    rows = "client,time_s,edge\nwalker-1,5,edge2\nclient1,0,edge3\nwalker-1,7.5,edge1\n"
    (tmp_path / "bus.csv").write_text(rows)
    told = {"journey": "bus.csv", "handover": "forward", "interruption_ms": 20}
    stops = ((5.0, EDGE2), (7.5, EDGE1))
    assert world(told, folder=str(tmp_path)).mobility == (
        Journey((CLIENT1,), ((0.0, EDGE3),), 0.02, "forward"),
        Journey((WALKER1,), stops, 0.02, "forward"),
    )


SPAN = {"at_s": 1, "for_s": 1}
WALK = {"within_m": [9, 9], "speed_m_s": 1}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"outge": 1}, "faults.0 is {'outge': 1}, expected one with the key outage, on_off, loss, trace, crash, move"),
        ({"outage": "client-edge", "at_s": 1}, "faults.0.for_s is missing"),
        ({"outage": "client-edge", "at_s": -1, "for_s": 1}, "faults.0.at_s is -1, expected a number of at least 0"),
        ({"outage": "client-edge", "at_s": 1, "for_s": 0}, "faults.0.for_s is 0, expected a number of at least 0.001"),
        (
            {"outage": "client-edge", "at_s": 1, "for_s": 2, "every_s": 2},
            "for_s is 2, expected less than every_s (2)",
        ),
        ({"outage": "client-edge", "at_s": 1, "fr_s": 2}, "faults.0.fr_s is not a known field; did you mean for_s?"),
        (
            {"outage": "client-egde", **SPAN},
            "faults.0.outage is 'client-egde', expected a pair of tiers",
        ),
        ({"outage": "client-egde", **SPAN}, "did you mean client-edge"),
        ({"outage": "edg2", **SPAN}, "did you mean edge2"),
        ({"outage": 3, **SPAN}, "faults.0.outage is 3, expected a pair of tiers such as client-edge"),
        ({"outage": ["a", "b", "c"], **SPAN}, "faults.0.outage is ['a', 'b', 'c'], expected a pair"),
        (
            {"outage": ["edge1", "edge9"], **SPAN},
            "faults.0.outage.1 is 'edge9', which is neither a node",
        ),
        ({"outage": ["edge1", "edge1"], **SPAN}, "faults.0.outage names 'edge1' twice"),
        ({"outage": ["client1", "client2"], **SPAN}, "between which `links` has none"),
        ({"outage": "cloud-cloud", **SPAN}, "names cloud and cloud, between which `links` has none"),
        ({"on_off": "client-edge", "on_s": 1}, "faults.0.off_s is missing"),
        ({"loss": "client-edge", "share": 1}, "faults.0.share is 1, expected less than 1"),
        ({"loss": "client-edge", "share": 0.1, "good_s": 1}, "faults.0.bad_share is missing: bursts take bad_share"),
        ({"crash": "edge4", "at_s": 1}, "faults.0.crash names 'edge4', which is no server: expected servers"),
        ({"crash": "client1", "at_s": 1}, "faults.0.crash names 'client1', which is a client: expected servers"),
        ({"crash": [], "at_s": 1}, "faults.0.crash is [], expected a name or a list of names"),
        ({"crash": "edge1"}, "faults.0.at_s is missing: expected at_s, or mean_up_s and mean_down_s"),
        ({"crash": "edge1", "mean_up_s": 1}, "faults.0.mean_down_s is missing"),
        ({"crash": "edge1", "mean_up_s": 1, "mean_down_s": 1, "for_s": 1}, "faults.0.for_s is given beside mean_up_s"),
        ({"crash": "edge1", "at_s": 1, "every_s": 1}, "faults.0.for_s is missing: what crashes every_s"),
        (
            {"move": "walkr", **WALK},
            "names 'walkr', which is no kind of users and no client",
        ),
        (
            {"move": "edge1", **WALK},
            "names 'edge1', which is no kind of users and no client",
        ),
        (
            {"move": "walker", **WALK, "within_m": [9, 0]},
            "within_m.1 is 0, expected a number of at least 1",
        ),
        ({"move": "walker", **WALK, "speed_m_s": 0}, "faults.0.speed_m_s is 0, expected a number above 0"),
        (
            {"move": "walker", **WALK, "speed_m_s": [1, 2000]},
            "faults.0.speed_m_s is [1.0, 2000.0], expected 0.001 to 1000",
        ),
        (
            {"move": "walker", **WALK, "edges_m": {"edge1": [3, 10]}},
            "faults.0.edges_m.edge1 is [3.0, 10.0], expected a place within_m [9.0, 9.0]",
        ),
        (
            {"move": "walker", **WALK, "edges_m": {"far": [3, 3]}},
            "faults.0.edges_m.far is no edge server",
        ),
        (
            {"move": "walker", **WALK, "handover": "cpy"},
            "faults.0.handover is 'cpy', expected reupload, copy or forward; did you mean copy?",
        ),
        (
            {"trace": "client-edge", "file": "none.csv"},
            "faults.0.file is 'none.csv': none.csv cannot be read: No such",
        ),
        ({"journey": "none.csv"}, "faults.0.journey is 'none.csv': none.csv cannot be read: No such"),
    ],
)
def test_a_wrong_fault_is_answered_with_its_path(given: dict[str, Any], says: str) -> None:
    message = refusal(given)
    assert says in message
    assert message.startswith("faults.0")


def test_the_line_is_told(tmp_path: Path) -> None:
    text = (
        json.dumps(small(users=USERS))[:-1]
        + ',\n"faults": [\n{"crash": "edge1", "at_s": 1},\n{"crash": "egde1", "at_s": 1}]}'
    )
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ScenarioError, match=r"^x\.yaml, line 4: faults\.1\.crash names 'egde1', .*did you mean edge1"):
        Scenario.load(tmp_path / "x.yaml")


def test_a_client_moves_once() -> None:
    move = {"within_m": [9, 9], "speed_m_s": 1}
    told = refusal({"move": "walker", **move}, {"crash": "far", "at_s": 1}, {"move": ["client1", "walker-2"], **move})
    assert told == "faults.2 moves walker-2, which faults.0 moves already"


def test_moving_needs_somewhere_to_go() -> None:
    nodes = [node for node in small()["nodes"] if node["tier"] != "edge"]
    move = {"move": "desk", "within_m": [9, 9], "speed_m_s": 1}
    assert "moves clients between edge servers, but nodes has none" in refusal(move, nodes=nodes)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "x.csv has no column time_s"),
        ("time_s,bandwidth_mb_s\n", "x.csv has no rows"),
        ("time,bandwidth_mb_s\n1,2\n", "x.csv has no column time_s; did you mean time?"),
        ("time_s,time_s\n1,2\n", "x.csv has two columns time_s"),
        ("time_s\n1\n", "has neither bandwidth_mb_s nor latency_ms"),
        ("time_s,bandwidth_mb_s\n0,1\n\n3,x\n", "x.csv, line 4: bandwidth_mb_s is 'x', expected a finite number"),
        ("time_s,bandwidth_mb_s\n0,nan\n", "x.csv, line 2: bandwidth_mb_s is 'nan', expected a finite number"),
        ("time_s,bandwidth_mb_s\n,1\n", "x.csv, line 2: time_s is empty, expected a number"),
        ("time_s,bandwidth_mb_s\n0,-1\n", "x.csv, line 2: bandwidth_mb_s is -1, expected at least 0"),
        ("time_s,latency_ms\n0,0\n", "x.csv, line 2: latency_ms is 0, expected above 0"),
        ("time_s,latency_ms\n-1,1\n", "x.csv, line 2: time_s is -1, expected seconds of at least 0"),
        ("time_s,latency_ms\n1,1\n1,2\n", "x.csv, line 3: time_s is 1, expected more than that before (1)"),
        ("time_s,latency_ms\n1,1,3\n", "x.csv, line 2: has 3 cells, expected 2"),
        ('time_s,latency_ms\n1,"1\n', "x.csv, line 2: this is not CSV"),
        ("time_s,latency_ms\n1,\0\n", "x.csv, line 2: "),
        ("PAR1 and so on", "x.csv is a Parquet file: expected its name to end in .parquet"),
        ("time_s,latency_ms\n3,1\n", "faults.0.repeat is true, but x.csv has one row"),
    ],
)
def test_a_wrong_file_is_answered_with_its_line(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(text)
    told = refusal({"trace": "client-edge", "file": "x.csv", "repeat": True}, folder=str(tmp_path))
    assert told.startswith(("faults.0.file is 'x.csv'", "faults.0.repeat"))
    assert says in told


def test_a_file_that_is_no_text_and_a_period_too_short(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00")
    told = {"trace": "client-edge", "file": "x.csv"}
    assert "neither Parquet nor text in UTF-8" in refusal(told, folder=str(tmp_path))
    (tmp_path / "x.csv").write_text(TRACE)
    told["repeat"] = 3.5  # type: ignore[assignment]
    assert "faults.0.repeat is 3.5, expected more than the 3.5 s that x.csv lasts" in refusal(
        told, folder=str(tmp_path)
    )


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("1,walkr-1,edge1", "x.csv, line 3: client is 'walkr-1', which is none; did you mean walker-1"),
        ("1,walker-1,far", "x.csv, line 3: edge is 'far', which is none; known: edge1, edge2, edge3"),
        ("0,walker-1,edge2", "x.csv, line 3: time_s is 0, expected more than that before (0)"),
        ("1,walker-1,", "x.csv, line 3: edge is empty, expected a text"),
    ],
)
def test_a_wrong_journey(row: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f"time_s,client,edge\n0,walker-1,edge1\n{row}\n")
    assert says in refusal({"journey": "x.csv"}, folder=str(tmp_path))


def test_a_table_too_long_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layerlift.emulator.scenario.schema.trace_files.MOST_ROWS", 2)
    (tmp_path / "x.csv").write_text("time_s\n1\n2\n3\n")
    pq.write_table(pa.table({"time_s": [1, 2, 3]}), tmp_path / "x.parquet")
    for name in ("x.csv", "x.parquet"):
        with pytest.raises(ScenarioError, match=f"{name} has more than 2 rows"):
            read_columns(Files(tmp_path).source(name), {"time_s": "float"})
    monkeypatch.setattr("layerlift.emulator.scenario.schema.trace_files.MOST_ROWS", 3)
    assert read_columns(Files(tmp_path).source("x.csv"), {"time_s": "float"}) == {"time_s": [1.0, 2.0, 3.0]}
    found = read_columns(Files(tmp_path).source("x.parquet"), {"time_s": "text", "note": "text"}, ["note"])
    assert found == {"time_s": ["1", "2", "3"], "note": [None] * 3}
    assert found.place(2) == "x.parquet, row 3"


def everything(folder: Path) -> list[dict[str, Any]]:
    (folder / "lte.csv").write_text(TRACE)
    (folder / "bus.csv").write_text("client,time_s,edge\nclient1,0,edge2\n")
    return [
        {"outage": "client-edge", "at_s": 10, "for_s": 5},
        {"loss": ["edge1", "edge2"], "share": 0.02, "one_way": True},
        {"trace": "edge3", "file": "lte.csv", "repeat": True},
        {"crash": "edge", "mean_up_s": 60, "mean_down_s": 2},
        {"move": ["walker"], "within_m": [1000, 500], "speed_m_s": [1, 2]},
        {"journey": "bus.csv", "handover": "forward"},
    ]


def test_written_out_and_read_again_it_is_the_same(tmp_path: Path) -> None:
    made = scenario(*everything(tmp_path), folder=str(tmp_path))
    again = Scenario.from_dict(json.loads(json.dumps(made.model_dump(mode="json"))))
    assert again == made
    assert again.resolve(Few()) == made.resolve(Few())
    changed = Scenario.from_dict(made.model_dump(mode="json"), ["faults.1.share=0.5"]).resolve(Few())
    assert changed.faults[1] == Loss(Pairs(EDGE1, EDGE2, True), 0.5)


def test_defaults_are_assumptions(tmp_path: Path) -> None:
    told = {
        entry["path"]: entry["value"] for entry in scenario(*everything(tmp_path), folder=str(tmp_path)).assumptions()
    }
    assert {path: value for path, value in told.items() if path.startswith("faults")} == {
        "faults.4.pause_s": 0,
        "faults.4.hysteresis_m": 0,
        "faults.4.interruption_ms": 0,
        "faults.5.interruption_ms": 0,
    }


def test_a_described_world_tells_its_faults_by_name(tmp_path: Path) -> None:
    told = describe_world(world(*everything(tmp_path), folder=str(tmp_path)))
    assert [fault.get("links", fault.get("nodes")) for fault in told["faults"]] == [
        *("client-edge", "edge1>edge2", "edge3-*", ["edge1", "edge2", "edge3"])
    ]
    assert told["faults"][2] == {"kind": "trace", "links": "edge3-*", "points": 3, "repeat_s": 6.0}
    walk, ride = told["mobility"]
    assert (walk["kind"], walk["clients"]) == ("waypoint", ["walker-1", "walker-2"])
    assert walk["edges_m"]["edge2"] == [500, 250]
    assert (ride["kind"], ride["clients"], ride["stops"], ride["handover"]) == ("journey", ["client1"], 1, "forward")
