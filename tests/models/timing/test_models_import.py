"""Times from elsewhere: three formats, names that find their layers, and what finds none."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_nets import model, node, normal, tensor

from layerlift import models
from layerlift.models.errors import ModelError
from layerlift.models.timing import foreign
from layerlift.models.timing.importing import Imported, imported
from layerlift.models.timing.predictor import shipped
from layerlift.models.timing.profile import Profile
from layerlift.models.timing.profiles import device_class


def network() -> models.Network:
    nodes = [
        node("MatMul", ["x", "w"], ["a"], name="first"),
        node("Relu", ["a"], ["b"], name="second"),
        node("MatMul", ["b", "v"], ["c"], name="third"),
        node("Sigmoid", ["c"], ["y"], name="fourth"),
    ]
    weights = {"w": normal(64, 128), "v": normal(128, 32, seed=1)}
    return models.from_model(model(nodes, [tensor("x", 8, 64)], ["y"], weights), "mine")


def take(tmp_path: Path, body: Any, **options: Any) -> Imported:
    path = tmp_path / "times.json"
    path.write_text(body if isinstance(body, str) else json.dumps(body))
    return imported(network(), path, **options)


def own(**fields: Any) -> dict[str, Any]:
    return {"format": foreign.OWN, "device": "a GPU", **fields}


def test_named_layers_have_their_own_seconds(tmp_path: Path) -> None:
    times = {"first": 0.004, "second": 0.001, "third": 0.003, "fourth": 0.0005}
    found = take(tmp_path, own(layers=times, ghz=1.5))
    assert found.profile.seconds == tuple(times.values())
    assert (found.profile.host, found.profile.ghz, found.profile.coverage) == ("a GPU", 1.5, 1.0)
    assert (found.strange, found.estimated, found.estimated_share, found.doubt) == ((), (), 0.0, "")
    assert found.profile.fits(network())
    found.profile.save(tmp_path / "p.json")
    assert Profile.load(tmp_path / "p.json") == found.profile


def test_a_tensor_names_the_layer_that_makes_it(tmp_path: Path) -> None:
    found = take(tmp_path, own(layers={"a": 0.004, "b": 0.001, "c": 0.003, "y": 0.0005}))
    assert found.profile.seconds == (0.004, 0.001, 0.003, 0.0005)


def test_an_operators_seconds_go_to_its_layers_that_are_not_named(tmp_path: Path) -> None:
    found = take(tmp_path, own(layers={"first": 0.004}, operators={"MatMul": 0.003, "Relu": 0.002, "Sigmoid": 0.001}))
    assert found.profile.seconds == (0.004, 0.002, 0.003, 0.001)
    assert found.estimated == ()


def test_what_is_not_named_is_predicted_at_the_speed_of_what_is(tmp_path: Path) -> None:
    guess = shipped().seconds(network())
    found = take(tmp_path, own(layers={"first": 10 * guess[0]}))
    assert found.profile.seconds == pytest.approx([10 * s for s in guess], rel=1e-3)
    assert found.estimated == ("second", "third", "fourth")
    assert found.estimated_share == pytest.approx(1 - guess[0] / math.fsum(guess), rel=1e-3)
    assert ("only" in found.doubt) == (found.profile.coverage < 0.9)


def test_trtexec_names_fused_kernels_after_their_layers(tmp_path: Path) -> None:
    body = [
        {"count": 10},
        {"name": "first + second", "timeMs": 50.0, "averageMs": 5.0, "medianMs": 4.0, "percentage": 60.0},
        {"name": "Reformatting CopyNode for Input Tensor 0 to third", "timeMs": 10.0},
        {"name": "PWN(fourth)", "timeMs": 9.0, "averageMs": 2.0, "percentage": 1.0},
        {"name": "third", "averageMs": 3.0},
    ]
    found = take(tmp_path, body, ghz=2.0, host="Orin")
    first, second, third, fourth = found.profile.seconds
    assert first + second == pytest.approx(0.004)
    assert first / second == pytest.approx(shipped().seconds(network())[0] / shipped().seconds(network())[1], rel=1e-3)
    assert (third, fourth) == pytest.approx((0.004, 0.002))
    assert (found.profile.host, found.profile.ghz) == ("Orin", 2.0)


def test_a_run_of_trtexec_covers_what_lies_between(tmp_path: Path) -> None:
    found = take(tmp_path, [{"name": "{ForeignNode[first...third]}", "medianMs": 6.0}])
    assert math.fsum(found.profile.seconds[:3]) == pytest.approx(0.006)
    assert found.profile.seconds[3] == 0, "a whole run has no time for it"


def event(name: str, micros: float, kind: str = "Node") -> dict[str, Any]:
    return {"cat": kind, "name": f"{name}_kernel_time", "dur": micros, "args": {"op_name": "?"}}


def test_onnxruntime_events_are_medians_without_the_first_run(tmp_path: Path) -> None:
    body = [event("model_run", 9e6, "Session")]
    for run, micros in enumerate((900, 40, 50, 60)):
        body += [event("first", micros), event("fused third", 10 * micros), event("Gelu_token_7", run and 5)]
    found = take(tmp_path, body)
    first, second, third, fourth = found.profile.seconds
    assert (first, third) == pytest.approx((50e-6, 500e-6))
    assert second + fourth == pytest.approx(5e-6), "what nobody knows goes to those that have nothing"
    assert found.strange == ("Gelu_token_7",)
    assert found.profile.coverage == pytest.approx(550 / 555, abs=1e-3)


def test_most_of_the_time_unknown_is_doubted_with_a_name(tmp_path: Path) -> None:
    found = take(tmp_path, [{"name": "first", "medianMs": 1.0}, {"name": "elsewhere", "medianMs": 9.0}])
    assert "only 10%" in found.doubt
    assert "'elsewhere'" in found.doubt
    assert math.fsum(found.profile.seconds) == pytest.approx(0.010)


def test_a_real_profile_of_onnxruntime_is_read(tmp_path: Path) -> None:
    from layerlift.models.running.session import uncut_session

    run = uncut_session(network(), profile_prefix=str(tmp_path / "events"))
    for _ in range(3):
        run.run(network().sample_inputs(0))
    found = imported(network(), run.session.end_profiling())
    assert (found.strange, found.estimated) == ((), ())
    assert found.profile.method == "imported from onnxruntime"


def test_merged_layers_have_the_sums_of_their_nodes(tmp_path: Path) -> None:
    from layerlift.models.preprocess import pipeline

    merged = pipeline.apply(network(), ["merge"])
    path = tmp_path / "t.json"
    path.write_text(json.dumps(own(layers={"first": 0.004, "second": 0.001, "third": 0.003, "fourth": 0.0005})))
    assert math.fsum(imported(merged, path).profile.seconds) == pytest.approx(0.0085)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("not json", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ({"format": "other"}, "holds no times"),
        (own(), "no times"),
        (own(layers={"first": -1}), "negative"),
        (own(layers={"first": math.nan}), "not finite"),
        (own(layers={"first": 0}), "no times"),
        (own(layers={"elsewhere": 1}), "no name in the times"),
        (own(layers={"first": 1}, colour="red"), "unknown field 'colour'"),
        (own(layers={"first": 1}, ghz=0), "ghz is 0"),
        (own(layers=[1]), "holds no times"),
        ([], "no times"),
        ([{"name": "first"}], "holds no times"),
        ([{"name": "first", "timeMs": "long"}], "holds no times"),
        ([{"count": 0}, {"name": "first", "timeMs": 1.0}], "holds no times"),
        ([{"cat": "Node", "name": "first_kernel_time"}], "holds no times"),
        (7, "holds no times"),
    ],
)
def test_other_files_are_refused(body: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=said):
        take(tmp_path, body)
    with pytest.raises(ModelError, match="cannot be read"):
        imported(network(), tmp_path / "none.json")


@given(st.dictionaries(st.sampled_from(["first", "second", "third", "fourth", "other"]), st.floats(1e-6, 1.0)))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_whole_run_keeps_its_time(times: dict[str, float]) -> None:
    import tempfile

    known = [name for name in times if name != "other"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.json"
        path.write_text(json.dumps([{"name": name, "medianMs": 1e3 * s} for name, s in times.items()]))
        if not known:
            with pytest.raises(ModelError):
                imported(network(), path)
            return
        found = imported(network(), path)
    assert np.sum(found.profile.seconds) == pytest.approx(math.fsum(times.values()), abs=4e-9)


def test_a_total_is_made_up_by_what_is_not_named(tmp_path: Path) -> None:
    guess = shipped().seconds(network())
    whole = take(tmp_path, own(total=0.01))
    assert whole.profile.seconds == pytest.approx([0.01 * s / math.fsum(guess) for s in guess], rel=1e-5)
    assert (whole.profile.coverage, whole.doubt, whole.estimated_share) == (1.0, "", pytest.approx(1.0))
    some = take(tmp_path, own(total=0.01, layers={"first": 0.004, "third": 0.005}))
    assert math.fsum(some.profile.seconds) == pytest.approx(0.01)
    assert some.profile.seconds[0] == 0.004
    with pytest.raises(ModelError, match=r"a total of 0\.01 s, but what they name takes 0\.012 s"):
        take(tmp_path, own(total=0.01, layers={"first": 0.012}))


def test_batches_come_along(tmp_path: Path) -> None:
    times = {"first": 0.004, "second": 0.0, "third": 0.003, "fourth": 0.001}
    batches = {"8": 0.016, "2": {"layers": {"first": 0.005}, "total": 0.013}, "4": {"layers": {"first": 0.006}}}
    found = take(tmp_path, own(layers=times, batches=batches)).profile
    assert [size for size, _ in found.batches] == [2, 4, 8]
    assert found.batch_seconds(2) == pytest.approx((0.005, 0.0, 0.006, 0.002))
    assert found.batch_seconds(4) == pytest.approx((0.006, 0.0, 0.0045, 0.0015)), "at the speed of what is named"
    assert found.batch_seconds(8) == pytest.approx((0.008, 0.0, 0.006, 0.002)), "shared as one query is"
    found.save(tmp_path / "p.json")
    assert Profile.load(tmp_path / "p.json") == found


@pytest.mark.parametrize(
    "batches",
    [
        {"1": 0.1}, {"two": 0.1}, {"4097": 0.1}, {"2": "long"}, {"2": {"layer": {}}}, {"2": -1.0}, {"2": {}}, [2],
        {"2": None},
    ],
)  # fmt: skip
def test_batches_that_are_none_are_refused(tmp_path: Path, batches: Any) -> None:
    with pytest.raises(ModelError) as caught:
        take(tmp_path, own(total=0.01, batches=batches))
    assert len(str(caught.value)) <= 300 + len(str(tmp_path))


def test_the_shipped_gpu_is_what_its_times_give() -> None:
    """`layerlift profile resnet50 --import models/data/v100_resnet50.json` makes the file again."""
    real = models.load("resnet50")
    times = Path(models.__file__).parent / "data" / "v100_resnet50.json"
    ships = device_class("v100", real)
    assert replace(imported(real, times).profile, date=ships.date) == ships
    assert math.fsum(ships.batch_seconds(8)) == pytest.approx(0.00827648, rel=1e-5)
    with pytest.raises(ModelError, match="no profile of squeezenet ships for the device class v100"):
        device_class("v100", models.load("squeezenet"))


@pytest.mark.parametrize(
    ("kernel", "layers"),
    [
        ("PWN(PWN(second), PWN(fourth))", {1, 3}),
        ("PWN(PWN(PWN(first), PWN(second)), fourth)", {0, 1, 3}),
        ("w + QuantizeLinear_8 + first + PWN(second)", {0, 1}),
        ("first + PWN(second) || third + PWN(fourth)", {0, 1, 2, 3}),
        ("Reformatting CopyNode for Output Tensor 1 to third", {2}),
        ("Reformatting CopyNode for Input Tensor 0 to PWN(PWN(second), fourth)", {1, 3}),
        ("third + v + (Unnamed Layer* 849) [Shuffle] + (Unnamed Layer* 850) [ElementWise]", {2}),
        ("copied_squeeze_after_third", {2}),
        ("unsqueeze_node_after_third", {2}),
        ("reshape_before_third + third", {2}),
        ("second copy", {1}),
        ("a copy", {0}),
        ("third_myl0_18", {2}),
        ("first + second_U3_myl2_0", {0, 1}),
        ("{ForeignNode[first...third]}", {0, 1, 2}),
        ("{ForeignNode[w...second]}", {0, 1}),
        ("{ForeignNode[w + u...PWN(third)]}", {0, 1, 2}),
        ("{ForeignNode[v...fourth]}", {2, 3}),
        ("{ForeignNode[(Unnamed Layer* 7) [Constant]...second]}", {0, 1}),
        ("{ForeignNode[third...(Unnamed Layer* 4183) [Shuffle]]}", {2, 3}),
        (
            "Reformatting CopyNode for Output Tensor 0 to {ForeignNode[second...(Unnamed Layer* 9) [Shuffle]]}",
            {1, 2, 3},
        ),
    ],
)
def test_a_kernels_time_goes_to_the_layers_in_its_name(kernel: str, layers: set[int], tmp_path: Path) -> None:
    found = take(tmp_path, [{"count": 3}, {"name": kernel, "timeMs": 3.0, "averageMs": 1.0, "percentage": 100}])
    assert {at for at, spent in enumerate(found.profile.seconds) if spent} == layers
    assert found.strange == ()
    assert math.fsum(found.profile.seconds) == pytest.approx(0.001, abs=1e-8)


def test_a_layer_inside_a_run_that_has_a_kernel_of_its_own_is_no_part_of_it(tmp_path: Path) -> None:
    body = [{"name": "{ForeignNode[w...fourth]}", "averageMs": 9.0}, {"name": "second", "averageMs": 1.0}]
    assert take(tmp_path, body).profile.seconds[1] == pytest.approx(0.001)
    body = [
        {"name": "{ForeignNode[(Unnamed Layer* 1)...third]}", "averageMs": 9.0},
        {"name": "first", "averageMs": 1.0},
    ]
    first, second, third, fourth = take(tmp_path, body).profile.seconds
    assert (first, fourth) == (pytest.approx(0.001), 0)
    assert second + third == pytest.approx(0.009)
    body = [{"name": "{ForeignNode[alpha...omega]}", "averageMs": 9.0}, {"name": "first", "averageMs": 1.0}]
    assert take(tmp_path, body).strange == ("{ForeignNode[alpha...omega]}",)


def on_gpu(name: str, launch: float, *kernels: float, provider: str = "CUDAExecutionProvider") -> list[dict[str, Any]]:
    node_event = event(name, launch)
    node_event["args"]["provider"] = provider
    return [node_event, *({"cat": "Kernel", "name": "void gemm<float>(...)", "dur": spent} for spent in kernels)]


def test_a_node_that_starts_kernels_takes_as_long_as_they_do(tmp_path: Path) -> None:
    runs = []
    for warm in (900, 0, 0):
        runs += [*on_gpu("first", 5, 300 + warm, 100), *on_gpu("second", 4, 20), *on_gpu("third", 5, 200)]
        runs += [*on_gpu("fourth", 30, provider="CPUExecutionProvider")]
    found = take(tmp_path, [event("model_run", 9e6, "Session"), *runs])
    assert found.profile.seconds == pytest.approx((400e-6, 20e-6, 200e-6, 30e-6))
    assert found.doubt == ""


def test_names_that_onnxruntimes_optimiser_has_given_find_their_layers(tmp_path: Path) -> None:
    def made(name: str, micros: float, operator: str) -> dict[str, Any]:
        return {**event(name, micros), "args": {"op_name": operator, "provider": "CPUExecutionProvider"}}

    body = [
        made("first/MatMulAddFusion", 40, "FusedMatMul"),
        made("Relu_token_12", 2, "Relu"),
        made("third/MatMulActivationFusion/MatMulScaleFusion/", 30, "FusedMatMul"),
        made("Sigmoid", 3, "Sigmoid"),
        made("BiasGelu", 1, "BiasGelu"),
        made("BiasGelu_token_4", 1, "BiasGelu"),
    ]
    found = take(tmp_path, body)
    assert found.strange == ("BiasGelu",)
    assert found.profile.coverage == pytest.approx(75 / 77, abs=1e-3)
    first, second, third, fourth = found.profile.seconds
    assert math.fsum((first, second, third, fourth)) == pytest.approx(77e-6, abs=4e-9)
    assert first / third == pytest.approx(40 / 30, rel=0.05)
    assert second < fourth < third


def test_times_of_starting_kernels_are_doubted(tmp_path: Path) -> None:
    names = ("first", "second", "third", "fourth")
    found = take(tmp_path, [each for name in names for each in on_gpu(name, 5)])
    assert "on CUDAExecutionProvider have the times of starting their kernels only" in found.doubt
    on_cpu = [each for name in names for each in on_gpu(name, 5, provider="CPUExecutionProvider")]
    assert take(tmp_path, on_cpu).doubt == ""
