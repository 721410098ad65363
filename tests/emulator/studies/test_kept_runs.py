"""Runs that are kept in a folder: believed only as they were written, by one study at a time, on any disk."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from layerlift.emulator.scenario import Scenario
from layerlift.emulator.studies import answer_files, many
from layerlift.emulator.studies.many import Kept, outcomes
from layerlift.emulator.studies.size import jobs
from layerlift.emulator.studies.size.study import size
from layerlift.models.errors import RunError


class Letter:
    def __init__(self, text: str) -> None:
        self.text = text

    def told(self) -> dict[str, Any]:
        return {"text": self.text}


def test_kept_outcomes_are_of_their_own_run_and_version_only(tmp_path: Path) -> None:
    asked: list[str] = []

    def call(job: Letter) -> dict[str, Any]:
        asked.append(job.text)
        return {"failed": "x"} if job.text == "bad" else {"said": job.text.upper()}

    works = [Letter("a"), Letter("b"), Letter("bad")]
    for version, fresh in (("1", ["a", "b", "bad"]), ("1", ["bad"]), ("2", ["a", "b", "bad"])):
        asked[:] = []
        found = dict(
            outcomes(
                call, works, local=True, kept=Kept(tmp_path / "runs.jsonl", version, lambda found: "said" in found)
            )
        )
        assert asked == fresh
        assert [found[number].get("said") for number in range(3)] == ["A", "B", None]


@pytest.mark.parametrize("damage", [b"\xff\xfe\n", b"[" * 100_000 + b"\n", b"\0" * 100 + b"\n", b"[1, 2]\nnull\n"])
def test_lines_of_kept_runs_that_cannot_be_read_are_passed_over(tmp_path: Path, damage: bytes) -> None:
    path, work = tmp_path / "runs.jsonl", Letter("a")
    Kept(path, "1", lambda found: True).put(work, {"said": "A"})
    path.write_bytes(damage + path.read_bytes() + damage)
    assert Kept(path, "1", lambda found: True).get(work) == {"said": "A"}


def test_what_is_no_file_is_not_read_as_kept_runs(tmp_path: Path) -> None:
    os.symlink("/dev/zero", tmp_path / "runs.jsonl")
    with pytest.raises(RunError, match=r"cannot keep runs in .*a device"):
        Kept(tmp_path / "runs.jsonl", "1", lambda found: True)


WHOLE: dict[str, Any] = {
    "numbers": {"answered": 4.0, "arrival_bias": -0.2, "envy": 0.5, "latency_mean_queries_s": 0.25},
    "kinds": {"camera": {"answered": 4.0}},
    "binds": "",
    "note": "",
    "digest": "0123",
}


@pytest.mark.parametrize(
    "numbers",
    [
        {"latency_mean_queries_s": -0.25},
        {"answered": -1.0},
        {"envy": 1.5},
        {"money": -1e-9},
        {"answered": True},
        {"answered": "4"},
        {"answered": None},
        {"latency_mean_queries_s": 1e301},
        {"arrival_bias": float("nan")},
        {"no_such_metric": 1.0},
    ],
)
def test_numbers_that_no_run_has_are_not_believed(numbers: dict[str, Any]) -> None:
    assert jobs.sound(WHOLE)
    assert not jobs.sound(WHOLE | {"numbers": numbers})
    assert not jobs.sound(WHOLE | {"kinds": {"camera": numbers}})


@pytest.mark.parametrize("change", [b'"x"', b"17.0", b"-17.5", b"NaN", b"[]", b"17", b'{"said": 17.5}'])
def test_a_line_that_was_changed_is_not_believed(tmp_path: Path, change: bytes) -> None:
    path, work = tmp_path / "runs.jsonl", Letter("a")
    Kept(path, "1", lambda found: True).put(work, {"said": 17.5})
    assert Kept(path, "1", lambda found: True).get(work) == {"said": 17.5}
    path.write_bytes(path.read_bytes().replace(b"17.5", change))
    assert Kept(path, "1", lambda found: True).get(work) is None


def test_every_line_is_whole_wherever_the_file_was_cut(tmp_path: Path) -> None:
    path, works = tmp_path / "runs.jsonl", [Letter("a"), Letter("b")]
    first = Kept(path, "1", lambda found: True)
    for work in works:
        first.put(work, {"said": work.text})
    whole = path.read_bytes()
    ends = [at + 1 for at, byte in enumerate(whole) if byte == 10]
    for size_bytes in range(0, len(whole) + 1, 7):
        path.write_bytes(whole[:size_bytes])
        kept = Kept(path, "1", lambda found: True)
        # A line that lacks nothing but its end is whole.
        assert [kept.get(work) is not None for work in works] == [size_bytes >= end - 1 for end in ends]
        kept.put(works[1], {"said": "again"})
        assert Kept(path, "1", lambda found: True).get(works[1]) == {"said": "again"}


def test_a_disk_that_is_full_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, real = Kept(tmp_path / "runs.jsonl", "1", lambda found: True), Path.open
    monkeypatch.setattr(Path, "open", lambda path, *how, **more: real(Path("/dev/full"), *how, **more))
    with pytest.raises(RunError, match=r"cannot keep runs in .*No space left on device.*--out"):
        kept.put(Letter("a"), {"said": "A"})


def test_a_folder_that_may_not_be_written_to_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(RunError, match=r"cannot keep runs in .*may not be written to.*--out"):
        Kept(tmp_path / "runs.jsonl", "1", lambda found: True)
    with pytest.raises(RunError, match=r"cannot write to .*may not be written to.*--out"), answer_files.held(tmp_path):
        pass


def test_an_answer_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()  # no file can take its place
    with pytest.raises(RunError, match="cannot write to"):
        answer_files.write(tmp_path, {"a": "first", "b": "second", "c": b"third"})
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_folder_is_one_studys_at_a_time(tmp_path: Path) -> None:
    with answer_files.held(tmp_path / "out"), answer_files.held(None), answer_files.held(tmp_path / "other"):
        with pytest.raises(RunError, match=r"another study is writing to .*out: wait .*--out"):
            size(Scenario.load("quickstart"), {"nodes.0.ghz": [1, 2]}, "p95_ms <= 1", out=tmp_path / "out")
        assert list((tmp_path / "out").iterdir()) == []
    with answer_files.held(tmp_path / "out"):  # it is let go at the end
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write to .*file"), answer_files.held(tmp_path / "file"):
        pass


def test_outcomes_that_were_made_up_are_run_again(tmp_path: Path) -> None:
    small = Scenario.load("quickstart", ["users.0.count=1", "users.0.queries=2"])

    def sized() -> Any:
        return size(small, {"nodes.0.ghz": [4, 8]}, "p95_ms <= 250", seeds=1, local=True, out=tmp_path, force=True)

    whole, path = sized(), tmp_path / "runs.jsonl"
    assert len(whole.steps) == 2
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    right = lines[0]["outcome"]
    strange: list[Any] = [[], None, {}, right | {"numbers": {"failed": "none"}}, right | {"binds": 7}]
    for outcome in strange:
        key = lines[0]["key"]
        made_up = {"key": key, "outcome": outcome, "sum": many._sum(key, outcome)}
        path.write_text(f"{json.dumps(made_up)}\n{json.dumps(lines[1])}")
        assert sized() == whole
