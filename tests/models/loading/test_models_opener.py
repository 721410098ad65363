"""The process that opens files: whatever becomes of it, one sentence; and it is nobody's but ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from small_nets import model, node, normal, saved, tensor

from layerlift import models
from layerlift.models.errors import ModelError, sentence
from layerlift.models.loading import frames, opener
from layerlift.models.loading.opener import OPENER, Opener


def plain(folder: Path, name: str = "plain.onnx", **weights: np.ndarray) -> Path:
    held = weights or {"w": normal(4)}
    nodes = [node("Add", ["x", next(iter(held))], ["a"]), node("Relu", ["a"], ["y"])]
    return saved(model(nodes, [tensor("x", 1, 4)], ["y"], held), folder / name)


def program(monkeypatch: pytest.MonkeyPatch, folder: Path, body: str) -> Opener:
    """An opener whose process runs `body` after it has said that it is ready."""
    (folder / "stand_in.py").write_text(f"import os, sys, time\nfrom layerlift.models.loading import frames\n{body}\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(opener, "_MODULE", "stand_in")
    return Opener()


READY = "os.write(1, frames.pack({'ready': True}))\n"
HEARD = READY + "os.read(0, 1 << 16)\n"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (HEARD + "os.abort()", "SIGABRT"),
        (HEARD + "os.kill(os.getpid(), 11)", "SIGSEGV"),
        (HEARD + "os._exit(3)", "exit code 3"),
        (HEARD + "os.write(1, b'hello, this is no answer at all')", "is not an answer"),
        (HEARD + "os.write(1, frames._MAGIC + (1 << 60).to_bytes(8, 'big'))", "is not an answer"),
        (HEARD + "os.write(1, frames._MAGIC + (4).to_bytes(8, 'big') + b'[[[[')", "is not an answer"),
        (HEARD + "os.write(1, frames.pack({}, [1 << 50]))", "larger than 64 bytes"),
        (HEARD + "os.write(1, frames.pack({}, [-1]))", "larger than 64 bytes"),
        (HEARD + "os.write(1, frames.pack({}, [32]) + b'short')", "ends early"),
        (HEARD + "time.sleep(60)", "more than the 1 s"),
        (HEARD + "os.kill(os.getpid(), 24)", "more than the 1 s"),
        (HEARD + "os.write(1, frames.pack({'exhausted': True}))", "needs more than the 2.0 GB"),
        (HEARD + "os.write(1, frames.pack({'error': 'it\\n is bad' * 200}))", "it is bad"),
        ("sys.exit(9)", "does not start .exit code 9."),
        ("os.write(1, b'x' * 64)", "does not start"),
    ],
)
@pytest.mark.long
def test_whatever_becomes_of_the_process_is_told_in_one_sentence(
    body: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAYERLIFT_OPEN_SECONDS", "1")
    with closing(program(monkeypatch, tmp_path, body)) as asked, pytest.raises(ModelError, match=named) as caught:
        asked.ask("network", tmp_path / "x.onnx", 0, 64, dims={})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= 300


@pytest.mark.long
def test_one_that_has_been_idle_is_replaced_and_an_answer_is_plain_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "mark"
    body = f"""
mark = {str(mark)!r}
first = not os.path.exists(mark)
open(mark, "w").close()
{READY}
if first:
    sys.exit(75)
os.read(0, 1 << 16)
os.write(1, frames.pack({{"said": "yes"}}, [3, 0]) + b"abc")
"""
    with closing(program(monkeypatch, tmp_path, body)) as asked:
        head, blobs = asked.ask("network", tmp_path / "x.onnx", 0, 64, dims={})
    assert head == {"said": "yes"}
    assert [blob.tobytes() for blob in blobs] == [b"abc", b""]


@pytest.mark.parametrize("given", ["0", "-1", "nan", "inf", "much"])
def test_limits_are_numbers_above_zero(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYERLIFT_OPEN_MEMORY_GB", given)
    with pytest.raises(ModelError, match=r"LAYERLIFT_OPEN_MEMORY_GB is .* expected a number above 0"):
        models.load(plain(tmp_path))


def test_a_file_is_opened_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = plain(tmp_path)
    first = models.load(path)
    asked: list[str] = []
    real = OPENER.ask
    monkeypatch.setattr(OPENER, "ask", lambda kind, *given, **more: asked.append(kind) or real(kind, *given, **more))
    assert models.load(path).digest == first.digest
    assert asked == []
    plain(tmp_path, w=normal(4, seed=9))
    assert models.load(path).digest != first.digest
    assert asked == ["network"]


@pytest.mark.long
def test_what_is_named_like_a_library_in_the_working_directory_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("onnx", "numpy", "layerlift", "models", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the stranger ran')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", os.environ.get("PYTHONPATH", "")]))
    with closing(Opener()) as asked:
        head, _ = asked.ask("network", plain(tmp_path), 1000, 1 << 20, dims={})
    assert head["parameters"] == ["w"]


@pytest.mark.long
def test_a_script_without_a_main_guard_and_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    path = plain(tmp_path)
    script = f"from layerlift import models\nprint(models.load({str(path)!r}).weights()['w'].shape)\n"
    env = {**os.environ, "HOME": "/nowhere", "TMPDIR": "/nowhere", "LAYERLIFT_CACHE": "/nowhere"}
    done = subprocess.run([sys.executable, "-"], input=script, capture_output=True, text=True, env=env, check=False)
    assert (done.stdout, done.returncode) == ("(4,)\n", 0), done.stderr


@pytest.mark.long
def test_a_working_directory_that_is_gone_and_a_name_that_is_not_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = plain(tmp_path, os.fsdecode(b"odd\xff.onnx"))
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    OPENER.close()
    assert models.load(path).weights().keys() == {"w"}
    with pytest.raises(ModelError, match="the working directory is gone"):
        models.load("near.onnx")
    path.write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"odd.*\.onnx is not a readable") as caught:
        models.load(path)
    str(caught.value).encode("utf-8")


@pytest.mark.long
def test_threads_may_load_at_once_and_a_fork_begins_anew(tmp_path: Path) -> None:
    paths = [plain(tmp_path, f"{at}.onnx", w=normal(4, seed=at)) for at in range(6)]
    found: dict[int, np.ndarray] = {}

    def load(at: int) -> None:
        found[at] = models.load(paths[at]).weights()["w"]

    threads = [threading.Thread(target=load, args=(at,)) for at in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(found[at], normal(4, seed=at)) for at in range(6))
    if not os.fork():
        # In the fork the parent's process is not asked: it would answer into the parent's pipe.
        os._exit(0 if models.load(paths[0]).weights() and OPENER._process is not None else 1)
    assert os.wait()[1] == 0
    assert models.load(plain(tmp_path, "after.onnx")).weights() is not None


def test_weights_of_every_type_come_back_as_they_were(tmp_path: Path) -> None:
    kinds = (np.float32, np.float64, np.float16, np.int8, np.uint8, np.int64, np.bool_)
    weights = {f"w{at}": np.arange(6).reshape(2, 3).astype(kind) for at, kind in enumerate(kinds)}
    weights["scalar"] = np.asarray(2.5, np.float32)
    nodes = []
    for at, (name, array) in enumerate(weights.items()):
        nodes.append(node("Cast", ["x"], [f"x{at}"], to=helper.np_dtype_to_tensor_dtype(array.dtype)))
        nodes.append(node("Equal", [f"x{at}", name], [f"y{at}"]))
    made = model(nodes, [tensor("x", 2, 3)], [f"y{at}" for at in range(len(weights))], weights, opset=19)
    held = models.load(saved(made, tmp_path / "types.onnx")).weights()
    for name, array in weights.items():
        assert held[name].dtype == array.dtype
        assert np.array_equal(held[name], array)


def live(count: int, extent: int) -> onnx.ModelProto:
    weights = {"s": np.asarray([extent, extent], np.int64)}
    nodes = [node("ReduceSum", ["x"], ["z"])]
    nodes += [node("Expand", ["z", "s"], [f"k{at}"]) for at in range(count)]
    nodes += [node("Sum", [f"k{at}" for at in range(count)], ["q"]), node("ReduceSum", ["q"], ["y"])]
    return model(nodes, [tensor("x", 1, 3)], ["y"], weights)


def test_more_than_may_be_alive_at_once_is_refused_before_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = models.load(saved(live(6, 16384), tmp_path / "live.onnx"))
    with pytest.raises(ModelError, match=r"live holds 7\.52 GB .* limit of 4 GB; .* set LAYERLIFT_LIVE_MEMORY_GB"):
        network.weights()
    small = models.load(saved(live(6, 16), tmp_path / "small.onnx"))
    monkeypatch.setenv("LAYERLIFT_LIVE_MEMORY_GB", "0.000007")
    with pytest.raises(ModelError, match=r"holds 0\.00 GB"):
        small.weights()
    answers = model(
        [node("Relu", ["x"], [f"y{at}"]) for at in range(9)], [tensor("x", 100)], [f"y{at}" for at in range(9)]
    )
    monkeypatch.setenv("LAYERLIFT_LIVE_MEMORY_GB", "0.000004")
    with pytest.raises(ModelError, match="answers holds"):
        models.load(saved(answers, tmp_path / "answers.onnx")).weights()
    monkeypatch.setenv("LAYERLIFT_LIVE_MEMORY_GB", "1")
    assert small.weights() is not None


def test_an_answer_that_is_none_is_a_sentence_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = plain(tmp_path)
    network = models.load(path)
    bad = np.frombuffer(b"\x0a\xff", np.uint8)
    for head, blobs in (({}, []), ({"names": ["w"]}, []), ({"names": ["v"]}, [bad]), ({"names": ["w"]}, [bad])):
        monkeypatch.setattr(OPENER, "ask", lambda *given, head=head, blobs=blobs, **more: (head, blobs))
        with pytest.raises(ModelError, match="ends the process that opens it"):
            network.source.fetch(network.light)
    os.utime(path, (1, 1))
    for head, blobs in (({}, []), ({"content": "c", "files": [], "parameters": [], "upload_bytes": {}}, [bad])):
        monkeypatch.setattr(OPENER, "ask", lambda *given, head=head, blobs=blobs, **more: (head, blobs))
        with pytest.raises(ModelError, match="ends the process that opens it"):
            models.load(path)


def test_a_sentence_is_short_and_keeps_its_end() -> None:
    assert sentence("one\n two") == "one two"
    long = sentence(f"/tmp/{'d' * 500}/m.onnx: the tensor {'n' * 5000!r} is wrong; export it again")
    assert len(long) == 300
    assert "m.onnx:" in long
    assert long.endswith("is wrong; export it again")
    assert len(sentence("a b " * 500)) == 300


@pytest.mark.parametrize("most", [0, 8])
def test_a_frame_is_read_from_any_pieces(most: int) -> None:
    body = frames.pack({"a": 1}, [5, 3]) + b"helloyou"
    pieces = iter([body[at : at + 3] for at in range(0, len(body), 3)])
    left = b""

    def read(room: memoryview) -> int:
        nonlocal left
        left = left or next(pieces, b"")
        count = min(len(room), len(left))
        room[:count], left = left[:count], left[count:]
        return count

    if most == 0:
        with pytest.raises(frames.FrameError, match="larger"):
            frames.unpack(read, most)
        return
    head, blobs = frames.unpack(read, most)
    assert head == {"a": 1}
    assert [blob.tobytes() for blob in blobs] == [b"hello", b"you"]
    with pytest.raises(EOFError):
        frames.unpack(read, most)


@pytest.mark.long
def test_one_that_computes_without_end_is_ended_by_the_system() -> None:
    body = "from layerlift.models.loading import child\nchild._limit_time(0.5)\nwhile True: pass\n"
    done = subprocess.run([sys.executable, "-c", body], check=False, timeout=300)
    assert done.returncode == -signal.SIGXCPU


@pytest.mark.long
def test_each_request_has_its_own_limit_of_time(tmp_path: Path) -> None:
    script = tmp_path / "asked.py"
    script.write_text(
        "import os\n"
        "from layerlift.models.loading import answers, child, frames\n"
        "def endless(request, limit):\n"
        "    while True: pass\n"
        "answers.KINDS.update(quick=lambda request, limit: ({}, []), endless=endless)\n"
        "source, sink = os.pipe()\n"
        "for kind in ('quick', 'endless'):\n"
        "    os.write(sink, bytes(frames.pack({'kind': kind, 'seconds': 0.5, 'memory_bytes': 1 << 30, 'path': 'x'})))\n"
        "child.serve(source, 1)\n"
    )
    done = subprocess.run([sys.executable, str(script)], check=False, timeout=120, capture_output=True)
    assert (done.returncode, done.stderr) == (-signal.SIGXCPU, b"")
    assert done.stdout.startswith(bytes(frames.pack({})))
