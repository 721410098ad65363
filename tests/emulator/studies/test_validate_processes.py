"""Validating: the kernel's links, processes that end with their parent, and all of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from some_validations import MB

from layerlift.emulator.cli.main import main
from layerlift.emulator.scenario.schema.link_sections import LinkSection
from layerlift.emulator.studies.validate import kernel, real
from layerlift.emulator.studies.validate.kernel import KINDS
from layerlift.emulator.studies.validate.processes.children import Children
from layerlift.emulator.studies.validate.study import validate
from layerlift.models.errors import RunError

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
    # Two packets: what a shaper saves up while the link is idle would go to the next query.
    assert all("16000000bit" in command and command[command.index("burst") + 1] == "3200" for command in rated)
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


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("tc") is None, reason="needs root and iproute2")
def test_a_modems_transport_is_measured_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real, "MEASURED_S", 12.0)
    with kernel.Namespaces("modem", 2e6) as made, Children() as children:
        found = real.measured_transport(children, made.way())
    link = LinkSection.model_validate({"bandwidth_mb_s": 2e6 / MB, **found})
    assert link.efficiency == pytest.approx(0.956, abs=0.05)
    assert link.queue_ms is not None
    assert 15 < link.queue_ms < 60  # its buffer holds 50 ms
    assert not link.slow_start
