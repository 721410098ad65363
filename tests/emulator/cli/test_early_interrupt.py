"""Ctrl-C while the command line is still being imported, or has just been, is no traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

BEGUN = """
import signal
import layerlift.__main__ as face

set_handler = signal.signal

def first(*given):
    signal.signal = set_handler
    set_handler(*given)
    print("begun", flush=True)

signal.signal = first
face.main()
"""
"""Python's own beginning, and the lines above, are over when this says so: `main` has just taken the signal over."""


@pytest.mark.long
@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.2, 0.5, 1.0])
def test_an_interrupt_ends_a_command_quietly_however_early(after_s: float, tmp_path: Path) -> None:
    command = [sys.executable, "-c", BEGUN, "run", "paper", "--out", str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(after_s)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in said
    assert len(said.splitlines()) <= 1


def test_one_just_before_the_command_line_or_just_after_it_is_quiet_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from layerlift import __main__ as face
    from layerlift.emulator.cli import main as module

    def interrupted(prog_name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "main", interrupted)
    with pytest.raises(SystemExit) as ended:
        face.main()
    assert ended.value.code == 130


def test_who_ignores_interrupts_goes_on_ignoring_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from layerlift import __main__ as face
    from layerlift.emulator.cli import main as module

    seen = []
    monkeypatch.setattr(module, "main", lambda prog_name: seen.append((prog_name, signal.getsignal(signal.SIGINT))))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        face.main()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        face.main()
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [("layerlift", signal.SIG_IGN), ("layerlift", signal.default_int_handler)]
