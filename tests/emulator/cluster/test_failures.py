"""What Ray says of its failures, told in a sentence with the cause and the remedy; and what a dead driver leaves."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import RayActorError, RayTaskError

from layerlift.emulator.cluster import reaper
from layerlift.emulator.cluster.failures import cause_of, not_started, plain_error
from layerlift.emulator.runtime import placing
from layerlift.emulator.runtime.placing import reach
from layerlift.models.errors import ModelError, RunError

pytestmark = pytest.mark.long

KILLED = (
    "The actor died unexpectedly before finishing this task.\n\tclass_name: HostActor\n\tactor_id: 01\n\tpid: 7\n"
    "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker "
    "unexpectedly exits with a connection error code 2. End of file. (1) The process is killed by the OOM killer."
)


def test_the_cause_of_a_dead_actor_is_told_whole() -> None:
    error = plain_error(RayActorError(error_msg=KILLED))
    assert str(error) == (
        "a host actor failed: Worker unexpectedly exits with a connection error code 2. End of file. (1) The process "
        "is killed by the OOM killer."
    )
    assert "\n" not in cause_of(RuntimeError("one\ntwo"))
    assert len(str(plain_error(RayActorError(error_msg="x" * 5000)))) <= 300


def test_what_a_host_raised_is_told_with_its_line() -> None:
    def task(cause: Exception) -> RayTaskError:
        trace = f'Traceback:\n  File "/a/b/mine.py", line 12, in advance\n    1 / 0\n\x1b[36m{cause!r}\x1b[39m'
        return RayTaskError("advance", trace, cause)

    assert str(plain_error(task(ZeroDivisionError("mine")))).endswith("ZeroDivisionError('mine') (mine.py:12)")
    ours = ModelError("a sentence of ours")
    assert plain_error(task(ours)) is ours


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (OSError("AF_UNIX path length cannot exceed 107 bytes: /long"), "set RAY_TMPDIR (or TMPDIR) to a short one"),
        (OSError(errno.ENAMETOOLONG, "too long", "x"), "set RAY_TMPDIR (or TMPDIR) to a short one"),
        (Exception("The current node timed out during startup. This could happen"), "may be busy: try again"),
        (ValueError("The configured object store size exceeds /dev/shm size"), "--shm-size=1g"),
        (PermissionError(errno.EACCES, "Permission denied", "/home/x"), "HOME to folders that can"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk with its folder is full"),
        (RuntimeError("Version mismatch: The cluster was started with Ray 2.1"), "install the same Ray"),
        (RuntimeError("something\nelse" * 99), "cannot start Ray: something else"),
        (SystemExit(), "cannot start Ray: SystemExit"),
    ],
)
def test_what_keeps_ray_from_starting_comes_with_its_remedy(error: BaseException, remedy: str) -> None:
    said = not_started(error, None)
    assert remedy in said
    assert said.endswith("; --local runs the same without Ray")
    assert len(said) <= 300
    assert "\n" not in said
    joined = not_started(error, "a:1")
    assert joined.startswith("cannot join Ray at a:1: ")
    assert joined.endswith("; without --address it is done on this machine")


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (b"", "nobody answers in time"),
        (b"HTTP/1.1 400 Bad Request\r\n", "what listens there is no Ray"),
        (b"\0\0\0\x04\0\0\0\0\0", ""),
    ],
)
def test_an_address_that_does_not_answer_as_ray_does_is_refused(
    frame: bytes, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "_REACH_S", 60.0 if frame else 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"

        def answer() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(ConnectionError):
                connection.sendall(frame)
                connection.recv(1000)
                connection.recv(1000)  # until it is closed

        thread = threading.Thread(target=answer)
        thread.start()
        if why:
            with pytest.raises(RunError, match=f"{why}; without --address"):
                reach(address)
        else:
            reach(address)
        thread.join()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (6379, "address is 6379, expected auto or HOST:PORT"),
        pytest.param(10**5000, "address is a number of thousands of digits, expected auto", id="huge"),
        ("", "address is '', expected auto or HOST:PORT"),
        ("head..lan:6379", "address is 'head..lan:6379', which names no machine and port; without --address"),
        ("x" * 300 + ":6379", r"address is 'x+\.\.\., which names no machine"),
        ("localhost:\u00b2", "which names no machine and port"),
    ],
)
def test_an_address_that_is_none_is_refused(address: Any, said: str) -> None:
    with pytest.raises(RunError, match=said):
        reach(address)


@pytest.mark.parametrize("orderly", [True, False])
def test_what_a_driver_leaves_is_ended(orderly: bool) -> None:
    """Behind its back, where it ended in order."""
    mark = uuid.uuid4().hex
    sleeping = [sys.executable, "-c", "import time; time.sleep(600)"]
    left = subprocess.Popen(sleeping, env={**os.environ, reaper.MARK: mark})
    other = subprocess.Popen(sleeping, env={**os.environ, reaper.MARK: mark[:-1]})
    try:
        while reaper.marked(mark) != [left.pid]:
            assert left.poll() is None
        waiting = subprocess.Popen([sys.executable, "-I", "-S", reaper.__file__, mark], stdin=subprocess.PIPE)
        waiting.communicate(reaper.DONE if orderly else b"")
        assert waiting.returncode == 0
        assert orderly or left.poll() is not None
        assert left.wait(timeout=60) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        left.kill()
        other.kill()
        left.wait()
        other.wait()


def test_who_writes_a_title_over_its_mark_is_reaped_all_the_same(tmp_path: Path) -> None:
    """As helpers of Ray do; one that is given their number later is not taken for them."""
    mark, seen = uuid.uuid4().hex, tmp_path / "seen"
    sheds = (
        "import os, sys, time\n"
        f"while not os.path.exists({str(seen)!r}): time.sleep(0.05)\n"
        "os.execve(sys.executable, [sys.executable, '-c', 'import time; time.sleep(600)'], {})"
    )
    left = subprocess.Popen([sys.executable, "-c", sheds], env={**os.environ, reaper.MARK: mark})
    waiting = subprocess.Popen([sys.executable, "-I", "-S", reaper.__file__, mark], stdin=subprocess.PIPE)
    try:
        while reaper.marked(mark) != [left.pid]:
            assert left.poll() is None
        time.sleep(2.0)  # it looks four times a second
        seen.touch()
        while reaper.marked(mark):
            assert left.poll() is None
        waiting.communicate(b"")
        assert left.wait(timeout=60) == -signal.SIGKILL
    finally:
        left.kill()
        waiting.kill()
        left.wait()
        waiting.wait()
