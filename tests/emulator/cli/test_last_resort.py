"""How commands end: one sentence and the right exit code, whatever happens; a traceback only for those who want one."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from run_world import phones_file

from layerlift.emulator.cli.last_resort import without_option
from layerlift.emulator.cli.main import main
from layerlift.emulator.runtime.interruption import Stopped
from layerlift.models.errors import ModelError, RunError

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYERLIFT_CACHE", str(tmp_path / "cache"))


def ends_with(error: BaseException, *options: str) -> Result:
    """What becomes of a command that raises this."""

    def failing() -> None:
        raise error

    main.add_command(click.Command("failing", callback=failing))
    try:
        return CliRunner().invoke(main, ["failing", *options])
    finally:
        del main.commands["failing"]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ModelError("no such network"), 2, "no such network"),
        (RunError(), 2, "RunError, without a word"),
        (RunError("\x1b\n" * 900), 2, "\\x1b \\x1b"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (Stopped(signal.SIGTERM), 143, "stopped by SIGTERM"),
        (Stopped(signal.SIGHUP), 129, "stopped by SIGHUP, as when a terminal is closed"),
        (OSError(errno.ENOSPC, "full", "here.txt"), 2, "there is no space left for here.txt: free some, or write els"),
        (MemoryError(), 70, "this machine has not enough memory for it (test_last_resort.py:"),
        (ZeroDivisionError("by\x00 \udcff nothing"), 70, "ZeroDivisionError: by"),
        (RecursionError("x" * 10_000), 70, "RecursionError: xxx"),
    ],
)
def test_whatever_is_raised_ends_in_one_sentence(error: BaseException, code: int, said: str, tmp_path: Path) -> None:
    result = ends_with(error)
    assert result.exit_code == code
    [line] = result.stderr.splitlines()
    assert line.startswith(f"layerlift: {said}")
    assert len(line) <= 311
    assert result.stdout == ""
    logs = list((tmp_path / "cache").rglob("error-*.txt"))
    assert len(logs) == (code == 70)
    if logs:
        assert str(logs[0]) in line
        assert "Traceback (most recent call last)" in logs[0].read_text()
        assert "test_last_resort.py" in logs[0].read_text()


@pytest.mark.parametrize("error", [ModelError("mend it"), ZeroDivisionError("mine"), KeyboardInterrupt()])
def test_a_traceback_is_shown_to_who_asks(error: BaseException, tmp_path: Path) -> None:
    result = ends_with(error, "--traceback")
    assert "Traceback (most recent call last)" in result.stderr
    assert "test_last_resort.py" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("layerlift: ")
    assert not (tmp_path / "cache").exists()


def test_where_nothing_can_be_written_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYERLIFT_CACHE", "/dev/null/cache")
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/dev/null/tmp")
    assert "could not be written anywhere; --traceback shows it" in ends_with(ZeroDivisionError()).stderr


def test_who_has_stopped_reading_is_no_mistake() -> None:
    result = ends_with(BrokenPipeError())
    assert (result.exit_code, result.output) == (0, "")


def test_the_option_may_stand_anywhere_but_after_two_dashes() -> None:
    assert without_option(["run", "--traceback", "a"]) == (["run", "a"], True)
    assert without_option(["run", "--", "--traceback"]) == (["run", "--", "--traceback"], False)
    assert without_option([]) == ([], False)


def test_a_stranger_s_planner_and_policy_are_told_with_their_line(tmp_path: Path) -> None:
    scenario = str(phones_file(tmp_path, execution="none"))
    run = ["run", scenario, "--local", "--quiet", "--force", "--out", str(tmp_path / "made")]
    raised = CliRunner().invoke(main, [*run, "--planner", "worlds:Raising"])
    assert raised.exit_code == 0
    [line] = raised.stderr.splitlines()
    assert re.fullmatch(
        r"layerlift: planner worlds:Raising raised ZeroDivisionError: a bug of mine \(worlds\.py:\d+\); .* local", line
    )
    shown = CliRunner().invoke(main, [*run, "--planner", "worlds:Raising", "--traceback"])
    assert "worlds.py" in shown.stderr.replace(line, "")
    assert "Traceback (most recent call last)" in shown.stderr
    policy = CliRunner().invoke(main, [*run, "--policy", "test_last_resort:Mistaken"])
    assert policy.exit_code == 2
    assert re.search(r"raised KeyError: 'mine' \(test_last_resort\.py:\d+\)$", policy.stderr.strip())


class Mistaken:
    """A policy with a mistake."""

    def grants(self, capacity: object, claims: object, before: object) -> object:
        raise KeyError("mine")


class Unmakable:
    """Cannot even be made."""

    def __init__(self) -> None:
        raise SystemExit("not today")

    def plan(self, problem: object, rng: object) -> object:
        return None

    grants = plan


@pytest.mark.parametrize("kit", ["planners", "policies"])
def test_kits_tell_the_line_too(kit: str) -> None:
    result = CliRunner().invoke(main, [kit, "test_last_resort:Unmakable", "--check"])
    assert result.exit_code == 2
    assert "raised SystemExit: not today (test_last_resort.py:" in " ".join(result.output.split())


@pytest.mark.long
@pytest.mark.parametrize("command", [["planners"], ["planners", "--json"], ["models", "--help"], ["--help"], []])
def test_pipes_that_close_and_disks_that_are_full(command: list[str]) -> None:
    """In a shell, where Python itself has a last word when it ends."""
    layerlift = [sys.executable, "-m", "layerlift", *command]
    process = subprocess.Popen(layerlift, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    with open("/dev/full", "w") as full:
        ended = subprocess.run(layerlift, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, check=False)
    assert ended.returncode == 2
    assert ended.stderr == b"layerlift: there is no space left: free some, or write elsewhere" + os.linesep.encode()


@pytest.mark.parametrize(
    "command",
    [
        ("models", "squeezenet", "--dim", "x" * 900),
        ("planners", "x" * 900),
        ("x" * 900,),
        ("run", "--seed", "x" * 900, "quickstart"),
        ("run", "--" + "x" * 900),
        ("plan", "quickstart", "--user", "x" * 900),
    ],
)
def test_what_was_typed_at_length_is_quoted_in_short(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*command])
    assert result.exit_code == 2
    assert len(" ".join(result.stderr.split())) <= 311
    assert "xxx" in result.stderr
