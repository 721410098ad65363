"""A run directory: what is written when, who may overwrite it, and how a damaged one is answered."""

from __future__ import annotations

import json
import math

import pyarrow.parquet as pq
import pytest
from made_run import made_rows, made_run, query

from layerlift.emulator.results import RunResult
from layerlift.emulator.results.columns import batch
from layerlift.emulator.results.digest import RunDigest
from layerlift.emulator.results.tables import TABLES
from layerlift.emulator.results.writer import ResultWriter, jsonable
from layerlift.models.errors import RunError


def many(count):
    return [query(float(number), f"user{number % 7}", number, 0.0, 0.5) for number in range(count)]


def written(directory, rows=None, **options):
    writer = ResultWriter(directory, **options)
    for table, entries in (made_rows() if rows is None else rows).items():
        writer.add(table, entries)
    writer.close(made_run())
    return writer.result()


def parts(directory, table="queries"):
    return [pq.read_metadata(file).num_rows for file in sorted((directory / table).iterdir())]


def test_what_was_added_is_read_back_and_verifies(tmp_path):
    written(tmp_path / "run")
    result = RunResult.load(tmp_path / "run")
    for table in TABLES:
        read = getattr(result, table)
        assert [tuple(row.values()) for row in read.to_pylist()] == made_rows()[table]
        assert read.column_names == [name for name, _ in TABLES[table]]
    assert result.complete
    assert result.verify() == result.digest == result.run["digest"]
    assert result.summary["totals"]["answered"] == 8
    assert result.run["tables"]["queries"] == {"rows": 9, "parts": 1}


def test_disk_and_memory_and_part_sizes_agree(tmp_path):
    rows = {"queries": many(100)}
    memory = written(None, rows)
    whole = written(tmp_path / "whole", rows)
    small = written(tmp_path / "small", rows, part_rows=30)
    assert memory.digest == whole.digest == small.digest
    assert memory.verify() == memory.digest
    assert parts(tmp_path / "small") == [30, 30, 30, 10]
    assert memory.queries.equals(small.queries.combine_chunks())
    expected = RunDigest()
    expected.add("queries", batch("queries", rows["queries"]))
    assert memory.digest == expected.hexdigest()


def test_rows_added_one_at_a_time_are_cut_as_those_added_at_once(tmp_path):
    writer = ResultWriter(tmp_path, part_rows=10)
    for row in many(25):
        writer.add("queries", [row])
    writer.close({})
    assert parts(tmp_path) == [10, 10, 5]
    assert writer.result().queries["query"].to_pylist() == list(range(25))


def test_a_running_run_can_be_read(tmp_path):
    writer = ResultWriter(tmp_path, run={"seed": 7})
    writer.add("queries", many(5))
    assert RunResult.load(tmp_path).queries.num_rows == 0
    writer.flush()
    running = RunResult.load(tmp_path)
    assert (running.run["status"], running.run["seed"], running.complete) == ("running", 7, False)
    assert running.queries.num_rows == 5
    with pytest.raises(RunError, match="has no digest"):
        running.verify()
    writer.add("queries", many(3))
    writer.flush()
    writer.flush()
    writer.close({})
    assert parts(tmp_path) == [8]  # the part that is not full has grown


def test_empty_tables_have_one_part_with_the_schema(tmp_path):
    written(tmp_path, {})
    for table in TABLES:
        assert parts(tmp_path, table) == [0]
        assert pq.read_table(tmp_path / table).column_names == [name for name, _ in TABLES[table]]
    assert RunResult.load(tmp_path).verify()


def test_an_interrupted_run_keeps_what_it_has(tmp_path):
    writer = ResultWriter(tmp_path, run={"seed": 7})

    def job():
        with writer:
            writer.add("queries", many(12))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        job()
    result = RunResult.load(tmp_path)
    assert (result.complete, result.run["status"], result.run["seed"]) == (False, "interrupted", 7)
    assert "KeyboardInterrupt" in result.run["reason"]
    assert result.queries.num_rows == 12
    assert result.verify() == result.digest
    with pytest.raises(RunError, match="interrupted"):
        writer.add("queries", many(1))


def test_a_bad_row_ends_the_run_without_harm_to_the_good_ones(tmp_path):
    good = many(3)
    bad = (*good[0][:-3], math.nan, "", "")

    def job():
        with ResultWriter(tmp_path, part_rows=3) as writer:
            writer.add("queries", good)
            writer.add("queries", [good[0], bad, good[1]])

    with pytest.raises(RunError, match=r"queries\.money holds NaN"):
        job()
    result = RunResult.load(tmp_path)
    assert result.queries.num_rows == 3
    assert result.run["status"] == "interrupted"
    assert result.verify()


def test_a_directory_that_holds_a_run_is_refused_unless_forced(tmp_path):
    written(tmp_path, {"queries": many(100)}, part_rows=30)
    (tmp_path / "notes.txt").write_text("mine")
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(RunError, match=r"already holds a run.*--out.*--force"):
        ResultWriter(tmp_path)
    assert (tmp_path / "run.json").read_bytes() == before
    written(tmp_path, {"queries": many(5)}, force=True)
    assert RunResult.load(tmp_path).queries.num_rows == 5
    assert RunResult.load(tmp_path).verify()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_file_or_a_bad_size_is_no_place_for_a_run(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is a file"):
        ResultWriter(tmp_path / "file")
    with pytest.raises(RunError, match="cannot write"):
        ResultWriter(tmp_path / "file" / "below")
    with pytest.raises(RunError, match="part_rows is 0"):
        ResultWriter(tmp_path / "run", part_rows=0)
    assert not (tmp_path / "run").exists()


def test_a_run_ends_once():
    writer = ResultWriter(None)
    with pytest.raises(RunError, match="has not ended"):
        writer.result()
    writer.close({})
    with pytest.raises(RunError, match="already ended"):
        writer.interrupt("again")
    with pytest.raises(RunError, match="did you mean queries"):
        writer.add("querys", [])


def change_cell(path):
    file = path / "queries" / "part-00001.parquet"
    table = pq.read_table(file)
    column = table.column_names.index("latency_s")
    values = table["latency_s"].to_pylist()
    values[3] += 1e-12
    pq.write_table(table.set_column(column, table.schema.field(column), [values]), file)


def truncate(path):
    file = path / "queries" / "part-00001.parquet"
    file.write_bytes(file.read_bytes()[:-20])


def other_columns(path):
    file = path / "queries" / "part-00000.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["money"]), file)


def other_status(path):
    (path / "run.json").write_text('{"status": "odd"}')


DAMAGES = [
    (change_cell, "not what the run wrote: queries changed"),
    (truncate, r"part-00001\.parquet \(part 1 of queries\) cannot be read"),
    (lambda path: (path / "queries" / "part-00003.parquet").unlink(), "run.json says 100: a part file is missing"),
    (lambda path: (path / "queries" / "part-00001.parquet").unlink(), r"lacks part-00001\.parquet"),
    (other_columns, "has other columns than queries"),
    (lambda path: (path / "run.json").write_text("{"), "cannot be read"),
    (other_status, "no status of a run"),
    (lambda path: (path / "run.json").unlink(), r"holds no run\.json"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_damage_is_named(tmp_path, damage, message):
    written(tmp_path, {"queries": many(100)}, part_rows=30)
    damage(tmp_path)
    with pytest.raises(RunError, match=message):
        RunResult.load(tmp_path).verify()


def test_what_is_not_a_run_is_told_apart(tmp_path):
    with pytest.raises(RunError, match="does not exist"):
        RunResult.load(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is not a directory"):
        RunResult.load(tmp_path / "file")
    with pytest.raises(RunError, match="did you mean queries"):
        written(None).table("querie")


def test_no_temporary_files_stay_and_run_json_is_plain_json(tmp_path):
    written(tmp_path, part_rows=2)
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]
    run = json.loads((tmp_path / "run.json").read_text(), parse_constant=pytest.fail)
    assert run["world"]["until_s"] == "inf"


def test_memory_is_bounded_with_a_directory(tmp_path):
    writer = ResultWriter(tmp_path, part_rows=50)
    for row in many(1000):
        writer.add("queries", [row])
        held = writer._tables["queries"]
        assert len(held.rows) + held.batched < 50
    writer.close({})


def test_jsonable_keeps_plain_values():
    import numpy as np

    given = {
        "a": np.float64(1.5),
        "b": [math.inf, -math.inf, math.nan],
        3: {2, 1},
        "p": np.arange(2),
        "t": (True, None),
    }
    assert jsonable(given) == {"a": 1.5, "b": ["inf", "-inf", None], "3": [1, 2], "p": [0, 1], "t": [True, None]}
