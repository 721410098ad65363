"""Signals on real processes: readable tables that say what is in them, no traceback, nobody left behind."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from run_world import phones

from layerlift.emulator import RunResult, run
from layerlift.emulator.cli.main import main
from layerlift.emulator.runtime.conductor import Progress
from layerlift.emulator.runtime.interruption import Interruptions, afterwards
from layerlift.emulator.world.world import World
from layerlift.planners import Plan, Problem
from layerlift.planners.registry.base import PlannerBase

ROOT = Path(__file__).parents[3]
LONG = ["--set", "users.0.queries=100000", "--execution", "none"]
REASONS = {
    signal.SIGINT: "interrupted by the user",
    signal.SIGTERM: "stopped by SIGTERM",
    signal.SIGHUP: "stopped by SIGHUP, as when a terminal is closed",
}
SAID = r"{} at \S+ m?s of virtual time: ([\d,]+) queries of 5 users are in {}"


def _heard() -> None:
    """Hear what `nohup` around the tests would have all their children ignore."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Program:
    """A `layerlift` in a group of processes of its own, as a terminal starts it. All that it starts bears its mark."""

    def __init__(self, *arguments: str) -> None:
        self.mark = f"LAYERLIFT_MARK={uuid.uuid4()}".encode()
        name, _, value = self.mark.decode().partition("=")
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from layerlift.emulator.cli.main import main; main()", *arguments],
            env={**os.environ, name: value}, cwd=ROOT, start_new_session=True, preexec_fn=_heard,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def interrupt(self, ready: Callable[[], bool], number: int = signal.SIGINT) -> None:
        """Send a signal to the whole group, as a terminal or a batch system does, once `ready`."""
        ends = time.monotonic() + 120
        while not ready():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < ends
            time.sleep(0.05)
        os.killpg(self.process.pid, number)

    def ended(self) -> tuple[int, str, str]:
        """Exit code and output."""
        out, err = self.process.communicate(timeout=120)
        return self.process.returncode, out, err

    def worked_s(self) -> float:
        """CPU seconds that its first process has had: on a busy machine later than the wall clock says."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def alive(self) -> list[str]:
        """Command lines of what is left of it."""
        return [line for _, line in self.processes()]

    def processes(self) -> list[tuple[int, str]]:
        """The same, with the numbers of the processes."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark in (folder / "environ").read_bytes():
                    found.append((int(folder.name), (folder / "cmdline").read_text().replace("\0", " ")))
            except OSError:
                continue
        return found

    def left(self) -> list[str]:
        """The same, when those that are about to end have had the time to."""
        ends = time.monotonic() + 60
        while self.alive() and time.monotonic() < ends:
            time.sleep(0.1)
        return self.alive()


@pytest.fixture(autouse=True)
def ctrl_c_is_heard() -> Iterator[None]:
    """A shell lets what it starts in the background ignore Ctrl-C: these tests, and what they start, must hear it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def programs() -> Iterator[list[Program]]:
    """Programs to be killed if a test fails."""
    started: list[Program] = []
    yield started
    for program in started:
        with program.process:  # waits for it, and closes its pipes
            if program.process.poll() is None:
                os.killpg(program.process.pid, signal.SIGKILL)


@pytest.mark.long
@pytest.mark.parametrize(
    ("where", "number"),
    [
        *((["--local"], number) for number in REASONS),
        pytest.param(["--actors", "2"], signal.SIGINT, marks=pytest.mark.ray),
        pytest.param(["--actors", "2"], signal.SIGTERM, marks=[pytest.mark.ray, pytest.mark.slow]),
    ],
)
def test_an_interrupted_run_can_be_read_and_says_what_it_holds(
    programs: list, tmp_path: Path, where: list, number: int
) -> None:
    made = tmp_path / "made"
    programs.append(program := Program("run", "quickstart", *LONG, *where, "--out", str(made)))

    begun: list[float] = []

    def in_the_middle() -> bool:
        if (made / "run.json").exists():
            begun.append(program.worked_s())
        return bool(begun) and begun[-1] - begun[0] > 1.0

    program.interrupt(in_the_middle, number)
    code, out, err = program.ended()
    assert code == 128 + number, err
    assert "Traceback" not in out + err
    assert "***" not in out + err  # as C++ begins its stacks
    reason = REASONS[number]
    said = re.search(SAID.format(reason.capitalize()[0] + reason[1:], re.escape(str(made))), err)
    assert said, err
    assert program.left() == []
    found = RunResult.load(made)
    assert (found.run["status"], found.run["reason"]) == ("interrupted", reason)
    assert found.verify() == found.digest
    assert int(said[1].replace(",", "")) == found.queries.num_rows > 0
    assert max(found.queries.column("ended_s").to_pylist()) <= found.run["virtual_s"]
    shown = CliRunner().invoke(main, ["show", str(made)])
    assert shown.exit_code == 0
    assert f"This run is {found.standing}: the numbers" in " ".join(shown.output.split())


@pytest.mark.ray
@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_before_the_run_begins_nothing_is_written(programs: list, tmp_path: Path, number: int) -> None:
    programs.append(program := Program("run", "quickstart", *LONG, "--out", str(tmp_path / "made")))
    program.interrupt(lambda: any("raylet" in line for line in program.alive()), number)
    code, out, err = program.ended()
    said = "interrupted" if number == signal.SIGINT else REASONS[number]
    assert (code, err.splitlines()[-1:]) == (128 + number, [f"layerlift: {said}"])
    assert "Traceback" not in out + err
    assert program.left() == []
    assert not (tmp_path / "made").exists()


@pytest.mark.ray
def test_nothing_is_left_of_a_driver_that_is_killed_and_its_rows_are_there(programs: list, tmp_path: Path) -> None:
    made = tmp_path / "made"
    programs.append(program := Program("run", "quickstart", *LONG, "--actors", "2", "--out", str(made)))
    program.interrupt(lambda: (made / "queries" / "part-00000.parquet").exists(), signal.SIGKILL)
    assert program.ended()[0] == -signal.SIGKILL
    assert program.left() == []
    found = RunResult.load(made)
    assert found.standing.startswith(f"abandoned (process {program.process.pid} ")
    assert found.queries.num_rows > 0


@pytest.mark.ray
@pytest.mark.parametrize("victim", ["raylet", pytest.param("gcs_server", marks=pytest.mark.slow)])
def test_when_ray_dies_the_run_says_so_and_keeps_what_it_had(programs: list, tmp_path: Path, victim: str) -> None:
    made = tmp_path / "made"
    programs.append(program := Program("run", "quickstart", *LONG, "--actors", "2", "--out", str(made)))
    while not (made / "queries").exists():
        assert program.process.poll() is None
        time.sleep(0.1)
    [process] = [number for number, line in program.processes() if line.split(" ")[0].endswith(f"/{victim}")]
    os.kill(process, signal.SIGKILL)
    code, out, err = program.ended()
    assert code == 2
    [line] = err.splitlines()
    assert re.match(r"layerlift: Ray's (raylet|GCS .*) has died: its logs are in \S+; what the run had .* is in", line)
    assert "aylet" not in out
    assert program.left() == []
    found = RunResult.load(made)
    assert found.run["status"] == "interrupted"
    assert found.verify() == found.digest


class Endless(PlannerBase):
    """Does not return; `deaf` to so many interrupts."""

    def __init__(self, deaf: int = 0) -> None:
        self.deaf = deaf

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        while True:
            try:
                print("planning", flush=True)  # whoever reads it may interrupt at once
                while True:
                    time.sleep(0.05)
            except KeyboardInterrupt:
                self.deaf -= 1
                if self.deaf < 0:
                    raise


@pytest.mark.long
@pytest.mark.parametrize("deaf", [0, 1, 1000])
def test_a_planner_that_never_returns_can_be_interrupted(programs: list, tmp_path: Path, deaf: int) -> None:
    made = tmp_path / "made"
    planner = f"test_ctrl_c:Endless:deaf={deaf}"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)]))
        program = Program("run", "quickstart", "--local", *LONG, "--planner", planner, "--out", str(made))
    programs.append(program)
    assert program.process.stdout is not None
    for _ in range(min(deaf, 2) + 1):
        assert "planning\n" in iter(program.process.stdout.readline, "")
        os.killpg(program.process.pid, signal.SIGINT)
    if deaf > 2 and "planning\n" in iter(program.process.stdout.readline, ""):  # the third in vain ends the process
        os.killpg(program.process.pid, signal.SIGINT)
    code, _, err = program.ended()
    assert code == 130, err
    assert ("swallows interrupts" in err) == (deaf > 2)
    assert RunResult.load(made).standing == "interrupted by the user"


@pytest.mark.long
def test_a_signal_waits_for_the_window_to_end(tmp_path: Path) -> None:
    """Sent from another thread, at any moment: rows are whole windows of the uninterrupted run."""
    whole = run(phones(execution="none"), local=True)
    for attempt in range(5):
        timer = threading.Timer(0.004 * (attempt + 1), os.kill, (os.getpid(), signal.SIGINT))

        def begin(state: Progress, world: World, timer: Any = timer) -> None:
            if state.windows == 0:
                timer.start()

        part = run(phones("users.0.queries=100000", execution="none"), local=True, progress=begin)
        assert not part.complete
        assert part.verify() == part.digest
        for table in ("segments", "uploads"):
            rows = min(part.table(table).num_rows, whole.table(table).num_rows // 2)
            assert part.table(table).slice(0, rows).equals(whole.table(table).slice(0, rows))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_signal_insists_and_a_third_is_not_felt() -> None:
    said: list[str] = []
    with Interruptions(said.append) as interruptions:
        with pytest.raises(KeyboardInterrupt), interruptions.deferred():  # noqa: PT012
            with interruptions.point():
                pass
            os.kill(os.getpid(), signal.SIGINT)
            assert said == ["Stopping after this step; Ctrl-C again stops at once"]
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), Interruptions(said.append) as interruptions, interruptions.deferred():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        with interruptions.point():
            pytest.fail("a signal that waits is felt first")


def test_signals_of_others_are_left_alone() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        with Interruptions(print):
            os.kill(os.getpid(), signal.SIGINT)
        thread = threading.Thread(target=lambda: run(phones(execution="none"), local=True))
        thread.start()
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [signal.SIGINT]


def test_what_must_not_be_left_half_made_is_made_first() -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt), afterwards():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        done.append("all of it")
    assert done == ["all of it"]
    with pytest.raises(KeyboardInterrupt), afterwards():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        raise ValueError("what the signal may have broken")
    with pytest.raises(ValueError, match="its own"), afterwards():
        raise ValueError("its own")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
