"""The command line: what a person types, what comes back, and one sentence with exit code 2 for every mistake."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper
from run_world import phones_file

from layerlift.emulator import RunResult
from layerlift.emulator.cli.main import main
from layerlift.planners import registry


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    return str(phones_file(tmp_path, execution="none"))


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def refused(*arguments: str) -> str:
    """The one sentence on stderr; nothing on stdout, no traceback, and nothing written."""
    before = sorted(Path().rglob("*"))
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert sorted(Path().rglob("*")) == before
    [line] = result.stderr.splitlines()
    assert line.startswith("layerlift: ")
    return line.removeprefix("layerlift: ")


# What works


def test_run_show_verify_replay(scenario: str) -> None:
    made = call("run", scenario, "--local", "--out", "made")
    assert made.exit_code == 0
    result = RunResult.load("made")
    assert result.complete
    for word in ("user-1", "user-2", "before", "after", "edge2"):
        assert word in made.stdout
    shown = call("show", "made")
    assert (shown.exit_code, shown.stdout) == (0, made.stdout)
    assert json.loads(call("show", "made", "--json").stdout) == result.run["summary"]
    verified = call("verify", "made")
    assert verified.exit_code == 0
    assert result.digest in verified.stdout
    again = call("replay", "made", "--out", "again")
    assert (again.exit_code, again.stdout) == (0, f"Same digest: {result.digest}\n")
    assert RunResult.load("again").verify() == result.digest


@pytest.mark.long
def test_a_measured_run_is_replayed_from_its_costs(scenario: str) -> None:
    measured = ("--compute", "measured", "--execution", "every")
    assert call("run", scenario, "--local", *measured, "--out", "made", "--quiet").stdout == ""
    assert call("replay", "made").stdout == f"Same digest: {RunResult.load('made').digest}\n"


def test_runs_have_a_directory_of_their_own_by_default(scenario: str) -> None:
    assert call("run", scenario, "--local", "--quiet").exit_code == 0
    [made] = Path("runs").iterdir()
    assert re.fullmatch(r"phones-\d{8}-\d{6}", made.name)
    assert RunResult.load(made).complete


@pytest.mark.long
def test_options_reach_the_run(scenario: str) -> None:
    call(
        "run", scenario, "--local", "--quiet", "--out", "made", "--planner", "direct", "--seed", "7",
        "--execution", "once", "--set", "users.0.queries=2",
    )  # fmt: skip
    told = RunResult.load("made")
    assert set(told.plans.column("planner").to_pylist()) == {"direct"}
    assert (told.run["seed"], told.run["execution"], told.queries.num_rows) == (7, "once", 4)


@pytest.mark.long
def test_the_planners_of_another_module_are_used_by_name_of_class(scenario: str, tmp_path: Path) -> None:
    (tmp_path / "strange_mod.py").write_text(
        "from layerlift.planners import Plan\n"
        "class Last:\n"
        "    def plan(self, problem, rng):\n"
        "        last = len(problem.graph) - 1\n"
        "        from layerlift.planners.problem.plan import offload\n"
        "        return offload([0] * last + [1], note='mine')\n"
    )
    done = layerlift(
        "run", scenario, "--local", "--quiet", "--out", "made", "--planner", "strange_mod:Last", "--strict"
    )
    assert (done.returncode, done.stderr) == (0, "")
    plans = RunResult.load("made").plans
    assert set(plans.column("note").to_pylist()) == {"mine"}
    assert set(plans.column("p1_layers").to_pylist()) == {1}


@pytest.mark.long
def test_a_strangers_package_offers_its_planner(scenario: str, tmp_path: Path) -> None:
    site = tmp_path / "site"
    info = site / "strangers_planner-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strangers-planner\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\nstay = strangers_planner:Stay\n")
    (site / "strangers_planner.py").write_text(
        '"""Planners of a stranger."""\n'
        "from layerlift.planners.registry.base import PlannerBase\n"
        "from layerlift.planners.problem.plan import all_local\n"
        "class Stay(PlannerBase):\n"
        '    """Stay at home."""\n'
        "    def __init__(self, mood: str = 'calm') -> None:\n"
        "        self.mood = mood\n"
        "    def plan(self, problem, rng):\n"
        "        return all_local(problem, note=self.mood)\n"
    )
    run = ("run", scenario, "--local", "--quiet", "--out", "made", "--planner")
    done = layerlift(*run, "stay:mood=wild", path=site)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(RunResult.load("made").plans.column("note").to_pylist()) == {"wild"}
    off = layerlift("run", scenario, "--local", "--planner", "stay", path=site, LAYERLIFT_NO_PLUGINS="1")
    assert off.returncode == 2
    assert "there is no planner 'stay'" in off.stderr


def test_help_lists_every_command_with_running_first() -> None:
    text = call("--help").stdout
    commands = re.findall(r"^  (\w+)  ", text[text.index("Commands:") :], re.MULTILINE)
    assert commands[:4] == ["run", "replay", "show", "verify"]
    for command in commands:
        told = call(command, "--help")
        assert told.exit_code == 0
        assert "\\b" not in told.stdout, f"{command}: click's mark is shown as two characters"
    assert "layerlift, version" in call("--version").stdout


# What does not


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("links.client-edge.latency_ms=0", "links.client-edge.latency_ms is 0, expected a number above 0"),
        ("links.edge-cloud.bandwidth_mb_s=-3", "links.edge-cloud.bandwidth_mb_s is -3, expected a number above 0"),
        ("nodes=[{tier: client, ghz: 1}]", "nodes has no servers"),
        ("nodes.1.ghz=fast", "nodes.1.ghz"),
        ("nodes.1.gzh=8", "nodes.1.gzh is not a known field; did you mean ghz?"),
        ("users.0.plannr=ionn", "users.0.plannr is not a known field; did you mean planner or replan?"),
        ("users.0.planner=ionm", "there is no planner 'ionm'; did you mean ionn?"),
        ("users.0.model=sqeezenet", "there is no network 'sqeezenet' in the zoo; did you mean squeezenet"),
        ("users.0.queries=-1", "users.0.queries is -1"),
        ("users.9.queries=1", "users.9"),
    ],
)
def test_a_field_that_cannot_be_is_named_with_its_path(scenario: str, setting: str, why: str) -> None:
    told = refused("run", scenario, "--local", "--set", setting)
    assert told.startswith(f"--set {setting}: ")
    assert why in told


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["run", "papr"], "no scenario 'papr': expected a file or the name of a bundled scenario; did you mean paper?"),
        (["run", "."], "is a folder"),
        (["run", "quickstart", "--actors", "lots"], "actors is 'lots', expected auto or a whole number of at least 1"),
        (["run", "quickstart", "--actors", "0"], "expected auto or a whole number"),
        (["run", "quickstart", "--local", "--pace", "0"], "pace is 0.0, expected a positive number"),
        (["run", "quickstart", "--local", "--pace", "nan"], "pace is nan"),
        (["run", "quickstart", "--local", "--seed", "-1"], "seed is -1"),
        (
            ["run", "quickstart", "--local", "--planner", "efficiency:querys=2"],
            "planner efficiency has no option 'querys'",
        ),
        (["run", "quickstart", "--local", "--planner", "gone_module:Planner"], "there is no module 'gone_module'"),
        (["run", "quickstart", "--local", "--planner", "ionn+local"], "cannot order uploads, expected one of:"),
        (["run", "quickstart", "--local", "--execution", "none", "--out", "/proc/no/such"], "give another with --out"),
        (["run", "quickstart", "--address", "127.0.0.1:1"], "cannot join Ray at 127.0.0.1:1"),
        (["show", "nowhere"], "nowhere does not exist: expected the directory that `layerlift run --out` wrote"),
        (["verify", "."], "holds no run.json"),
        (["replay", "nowhere"], "nowhere does not exist"),
        (["scenario", "papr"], "did you mean paper?"),
    ],
)
def test_a_choice_that_cannot_be_is_one_sentence(arguments: list[str], why: str) -> None:
    assert why in refused(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["rum"],
        ["run"],
        ["run", "paper", "--pace", "x"],
        ["run", "paper", "--execution", "some"],
        ["stress", "ionn", "--fail-above", "nan"],
        ["stress", "ionn", "--gather", "inf"],
        ["train", "crowd", "--minutes", "nan"],
        ["link", "--serve", "--for", "nan"],
        ["link", "there", "--seconds", "nan"],
    ],
)
def test_a_command_that_cannot_be_is_answered_with_its_usage(arguments: list[str]) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: ")
    assert list(Path().iterdir()) == []


def _model(*nodes: onnx.NodeProto, weights: dict[str, np.ndarray] | None = None, domain: str = "") -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    opsets = [helper.make_opsetid("", 17)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _outside() -> onnx.ModelProto:
    made = _model(helper.make_node("Add", ["x", "w"], ["y"]), weights={"w": np.ones(4, np.float32)})
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/passwd")
    return made


def _huge() -> onnx.ModelProto:
    made = _model(helper.make_node("Add", ["x", "w"], ["y"]), weights={"w": np.ones(4, np.float32)})
    made.graph.initializer[0].dims[:] = [1 << 20, 1 << 20]
    return made


def _loops() -> onnx.ModelProto:
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("d", TensorProto.BOOL, [])],
    )
    return _model(helper.make_node("Loop", ["n", "b"], [], body=body), helper.make_node("Relu", ["x"], ["y"]))


FILES = {
    "empty": (b"", "empty.onnx"),
    "noise": (b"\x8f\x01 this is no model \xff" * 40, "noise.onnx is not a readable ONNX model"),
    "half": (_model(helper.make_node("Relu", ["x"], ["y"])).SerializeToString()[:-30], "half.onnx"),
    "outside": (_outside().SerializeToString(), "outside"),
    "huge": (_huge().SerializeToString(), "w"),
    "loops": (_loops().SerializeToString(), "Loop"),
    "custom": (
        _model(helper.make_node("Evil", ["x"], ["y"], domain="evil.ops"), domain="evil.ops").SerializeToString(),
        "Evil",
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("name", FILES)
def test_a_corrupt_or_hostile_model_is_refused(scenario: str, tmp_path: Path, name: str) -> None:
    content, why = FILES[name]
    (tmp_path / f"{name}.onnx").write_bytes(content)
    told = refused("run", scenario, "--local", "--set", f"users.0.model={name}.onnx", "--execution", "every")
    assert "users.0.model" in told
    assert why in told


def test_a_model_that_is_not_there_is_refused(scenario: str) -> None:
    assert "gone.onnx is not a file" in refused("run", scenario, "--set", "users.0.model=gone.onnx")


def test_a_file_that_is_no_scenario_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("nodes: [\n")
    assert "bad.yaml" in refused("run", "bad.yaml")
    (tmp_path / "bad.yaml").write_bytes(b"\xff\xfe\x00")
    assert "not text in UTF-8" in refused("run", "bad.yaml")
    (tmp_path / "bad.yaml").write_text("just words\n")
    assert "holds no scenario" in refused("run", "bad.yaml")


@pytest.mark.long
@pytest.mark.parametrize(
    ("planner", "why"),
    [
        ("worlds:Illegal", "layer 0 is placed on a server but in no upload: the parts must make up P1 exactly"),
        ("worlds:Fixed:placement=" + "/".join("0" * 65 + "9"), "layer 65 is placed on node 9, expected 0"),
        ("worlds:Raising", "worlds:Raising raised ZeroDivisionError: a bug of mine"),
    ],
)
def test_a_plan_that_is_illegal_stops_a_strict_run(scenario: str, planner: str, why: str) -> None:
    done = call("run", scenario, "--local", "--strict", "--quiet", "--planner", planner, "--out", "made")
    assert (done.exit_code, done.stdout) == (2, "")
    *warned, line = done.stderr.splitlines()
    assert len(warned) == (planner == "worlds:Raising"), "where it raised"
    assert why in line
    assert RunResult.load("made").complete, "what happened can be read"
    assert call("run", scenario, "--local", "--quiet", "--planner", planner, "--out", "lenient").exit_code == 0


@pytest.mark.long
def test_a_directory_that_holds_a_run_is_not_written_to(scenario: str) -> None:
    assert call("run", scenario, "--local", "--quiet", "--out", "made").exit_code == 0
    digest = RunResult.load("made").digest
    assert "made already holds a run: give another directory with --out, or replace it with --force" in refused(
        "run", scenario, "--out", "made", "--set", "seed=2"
    )
    assert RunResult.load("made").verify() == digest
    assert call("run", scenario, "--local", "--quiet", "--out", "made", "--force", "--set", "users.0.queries=1")
    assert RunResult.load("made").verify() != digest


def test_a_changed_table_is_seen(scenario: str) -> None:
    call("run", scenario, "--local", "--quiet", "--out", "made")
    call("run", scenario, "--local", "--quiet", "--out", "other", "--set", "users.0.queries=2")
    source, target = Path("other/queries/part-00000.parquet"), Path("made/queries/part-00000.parquet")
    target.write_bytes(source.read_bytes())
    assert "rows of queries, run.json says" in refused("verify", "made")


def test_a_replay_that_differs_is_told(scenario: str) -> None:
    call("run", scenario, "--local", "--quiet", "--out", "made")
    told = json.loads(Path("made/run.json").read_text())
    told["scenario"]["users"][0]["queries"] = 3
    Path("made/run.json").write_text(json.dumps(told))
    assert "the replay's digest is" in refused("replay", "made")


# As a process


def layerlift(*arguments: str, path: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the console command as a shell would."""
    paths = [*([str(path)] if path else []), *filter(None, [os.environ.get("PYTHONPATH")])]
    code = "import sys; from layerlift.emulator.cli.main import main; sys.argv[0] = 'layerlift'; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment},
        capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


@pytest.mark.long
def test_a_process_ends_with_one_sentence_and_code_2(scenario: str) -> None:
    done = layerlift("run", scenario, "--local", "--out", "/proc/no/such")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1, "not even a warning besides"
    assert "Traceback" not in done.stderr
    assert not Path("runs").exists()


@pytest.mark.long
def test_output_may_be_piped_into_something_that_stops_reading(scenario: str) -> None:
    call("run", scenario, "--local", "--quiet", "--out", "made")
    code = "from layerlift.emulator.cli.main import main; main(['show', 'made'])"
    head = f'{sys.executable} -c "{code}" | head -1; echo ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["bash", "-c", head],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
