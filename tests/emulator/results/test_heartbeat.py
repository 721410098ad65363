"""Who writes a run, and what becomes of a run whose disk is full."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerlift.emulator import RunResult
from layerlift.emulator.results import heartbeat, writer
from layerlift.emulator.results.heartbeat import HEARTBEAT_FILE, RESERVE_FILE, begin, end, writer_of
from layerlift.emulator.results.rows import ChangeRow, MeasuredRow
from layerlift.emulator.results.writer import ResultWriter
from layerlift.models.errors import RunError


def changes(first: int, count: int) -> list[ChangeRow]:
    return [ChangeRow(float(n), f"node{n}", "crash", "", "", f"{n} " * 50) for n in range(first, first + count)]


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_who_writes_is_known_until_it_ends(tmp_path: Path) -> None:
    begin(tmp_path, 10)
    assert writer_of(tmp_path).alive
    assert f"process {os.getpid()} on " in writer_of(tmp_path).words
    end(tmp_path)
    assert writer_of(tmp_path) == (False, "no process says that it writes here")
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_is_gone_or_another_with_its_number_does_not_write(tmp_path: Path) -> None:
    begin(tmp_path, 10)
    file = tmp_path / HEARTBEAT_FILE
    told = json.loads(file.read_text())
    file.write_text(json.dumps(told | {"process": dead_process()}))
    assert not writer_of(tmp_path).alive
    file.write_text(json.dumps(told | {"began": "1"}))
    found = writer_of(tmp_path)
    assert not found.alive
    assert "is no more, last heard of at 2" in found.words


def test_on_another_machine_a_sign_of_life_counts(tmp_path: Path) -> None:
    begin(tmp_path, 10)
    file = tmp_path / HEARTBEAT_FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | {"machine": "far\x1b[31m pid:[1]"}))
    assert writer_of(tmp_path).alive
    assert "\x1b" not in writer_of(tmp_path).words
    os.utime(file, (1e9, 1e9))
    assert not writer_of(tmp_path).alive
    heartbeat.beat(tmp_path)
    assert writer_of(tmp_path).alive


@given(
    st.binary(max_size=40) | st.sampled_from([b'{"process": 1e999}', b"[]", b'{"process": "a", "began": 1}', b"null"])
)
def test_whatever_the_file_holds_nothing_is_raised(content: bytes) -> None:
    folder = Path(os.environ["PYTEST_TMP"])
    (folder / HEARTBEAT_FILE).write_bytes(content)
    assert not writer_of(folder).alive


def test_what_stands_in_its_place_is_never_read_without_end(tmp_path: Path) -> None:
    file = tmp_path / HEARTBEAT_FILE
    places: list[Callable[[], object]] = [
        lambda: file.write_bytes(b"[" * 100_000),
        lambda: file.write_bytes(b"[" * 4000),
        lambda: file.symlink_to("/dev/zero"),
        lambda: os.mkfifo(file),
    ]
    for place in places:
        place()
        assert writer_of(tmp_path) == (False, "no process says that it writes here")
        file.unlink()


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_TMP", str(tmp_path))


def test_a_run_that_is_written_elsewhere_is_not_replaced(tmp_path: Path) -> None:
    with ResultWriter(tmp_path):
        file = tmp_path / HEARTBEAT_FILE
        assert (tmp_path / RESERVE_FILE).stat().st_size > heartbeat._RESERVE_BYTES
        assert RunResult.load(tmp_path).standing.startswith("running (process ")
        file.write_text(json.dumps(json.loads(file.read_text()) | {"process": 1, "began": heartbeat._began(1)}))
        with pytest.raises(RunError, match=r"under way \(process 1 on "):
            ResultWriter(tmp_path, force=True)
    assert RunResult.load(tmp_path).standing == "interrupted (the run ended without a close)"


@pytest.mark.long
@pytest.mark.parametrize("flushes", [1, 3, 40])
def test_files_do_not_tell_how_often_they_were_written(tmp_path: Path, flushes: int) -> None:
    for name, times in (("once", 1), ("often", flushes)):
        with ResultWriter(tmp_path / name, part_rows=50) as made:
            for number in range(0, 120, 120 // times):
                made.add("changes", changes(number, min(120 // times, 120 - number)))
                made.flush()
            made.close({})
    files = sorted(file.relative_to(tmp_path / "once") for file in (tmp_path / "once").rglob("*.parquet"))
    assert len([file for file in files if file.parent.name == "changes"]) == 3
    for file in files:
        assert (tmp_path / "once" / file).read_bytes() == (tmp_path / "often" / file).read_bytes()
    assert RunResult.load(tmp_path / "often").verify() == RunResult.load(tmp_path / "once").digest


@pytest.mark.long
@pytest.mark.parametrize("full", [False, True])
def test_no_table_is_shown_before_all_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: bool) -> None:
    """Whoever is killed while tables are written, one after the other, has those of one moment."""
    seen: list[tuple[int, int]] = []
    real = pq.write_table

    def look(table: Any, where: Path, **how: Any) -> None:
        found = RunResult.load(tmp_path)
        seen.append((found.changes.num_rows, found.measured.num_rows))
        real(table, where, **how)

    monkeypatch.setattr(writer, "FLUSH_S", 1e6)
    monkeypatch.setattr(pq, "write_table", look)
    with ResultWriter(tmp_path, part_rows=10) as made:
        for number in range(0, 40, 5):
            made.add("measured", [MeasuredRow(float(number), "a", "lateness_s", "", -1, -1, "window", 0.0, 0.0)] * 5)
            made.add("changes", changes(number, 5))
            if not full:
                made.flush()
        made.close({})
    assert len(seen) > 8
    assert all(abs(one - other) <= (5 if full else 0) for one, other in seen), seen


def test_rows_are_written_while_nothing_is_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "FLUSH_S", 0.01)
    with ResultWriter(tmp_path) as made:
        made.add("changes", changes(0, 5))
        os.utime(tmp_path / HEARTBEAT_FILE, (1e9, 1e9))
        seen = iter(lambda: RunResult.load(tmp_path).changes.num_rows, 5)
        assert all(count == 0 for count in seen)  # ends when all five are there
        while (tmp_path / HEARTBEAT_FILE).stat().st_mtime == 1e9:
            pass
        made.close({})


# A disk that fills up


class FullDisk:
    """Lets files be written until so many bytes have been."""

    def __init__(self, room: int) -> None:
        self.room, self.real = room, pq.write_table

    def write_table(self, table: Any, where: Path, **how: Any) -> None:
        self.real(table, where, **how)
        self.room -= where.stat().st_size
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(where))


@pytest.mark.parametrize("room", [0, 5_000, 9_000])
@pytest.mark.parametrize("keeper", [False, True])
def test_a_full_disk_ends_a_run_that_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, keeper: bool
) -> None:
    monkeypatch.setattr(pq, "write_table", FullDisk(room).write_table)
    monkeypatch.setattr(writer, "FLUSH_S", 0.001 if keeper else 1e6)
    full = pytest.raises(RunError, match="No space left on device; give another directory")
    with full, ResultWriter(tmp_path / "made", part_rows=20) as made:
        for number in range(0, 10_000, 10):
            made.add("changes", changes(number, 10))
    _is_interrupted(tmp_path / "made")


def test_a_disk_that_is_full_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match="No space left on device"), ResultWriter(tmp_path) as made:  # noqa: PT012
        made.add("changes", changes(0, 10))
        monkeypatch.setattr(pq, "write_table", FullDisk(0).write_table)
        made.close({})
    assert _is_interrupted(tmp_path) == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 300 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)], capture_output=True, check=False
    ) if os.geteuid() == 0 else None  # fmt: skip
    if mounted is None or mounted.returncode:
        pytest.skip("a small disk can be mounted by root only")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.long
def test_a_disk_that_really_is_full(small_disk: Path) -> None:
    with pytest.raises(RunError, match="No space left on device"), ResultWriter(small_disk / "made") as made:  # noqa: PT012
        for number in range(0, 400_000, 1000):
            made.add("changes", changes(number, 1000))
            made.flush()
    assert _is_interrupted(small_disk / "made") > 0


def _is_interrupted(folder: Path) -> int:
    found = RunResult.load(folder)
    assert found.run["status"] == "interrupted"
    assert "No space left on device" in found.run["reason"]
    assert found.verify() == found.digest
    assert not (folder / HEARTBEAT_FILE).exists()
    assert not (folder / RESERVE_FILE).exists()
    assert not list(folder.rglob("*.tmp"))
    rows = found.changes.num_rows
    assert found.changes.column("at_s").to_pylist() == [float(n) for n in range(rows)]
    return int(rows)
