"""The networks that are built by code: of the published size, sane in their numbers, cut anywhere to the same bits."""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np
import onnx
import pytest
from cut_runs import long_runs, run_cut
from tiers import long_but

from layerlift import models
from layerlift.models import Network
from layerlift.models.loading import zoo
from layerlift.models.onnx_files import untrusted
from layerlift.models.zoo.registry import BUILDERS

WHISPER_BLOCK = 1500 * (4 * 384 * 384 + 2 * 384 * 1536) + 2 * 1500 * 1500 * 384
LSTM = 2 * 4 * 200 * (130 + 200)
DECODER_LAYER = 4 * 288 * 288 + 3 * 288 * 768

PARAMETERS = {
    "bert_small": 28_763_648,
    "efficientnet_b0": 5_288_548,
    "lstm_tagger": 400_000 * 100 + 100 * 30 + (30 * 30 * 3 + 30) + LSTM + 2 * 8 * 200 + (400 * 45 + 45),
    "mobilenet_v2": 3_504_872,
    "stories15m": 15_191_712,
    "unet": 31_030_658,
    "vit_tiny": 5_717_416,
    "whisper_tiny": 8_208_384,
    "yolov8n": 3_157_200,
}
"""Learnt parameters.

MobileNetV2 and EfficientNet-B0: torchvision's model pages (mobilenet_v2, efficientnet_b0, `num_params`). ViT-Tiny/16:
timm's results table (vit_tiny_patch16_224, 5.72 M), and DeiT's 5.7 M. BERT-Small: 28.8 M in the table of
github.com/google-research/bert. U-Net: 31.0 M, of one channel and two classes. YOLOv8n: the summary that ultralytics
prints (3,157,200, the 16 fixed weights that make distances included). Whisper: the encoder's part of the 39 M of
arXiv 2212.04356, table 1, its 1,500 positions included. stories15M: "15M" in the README of karpathy/llama2.c.
The tagger: by its hyper-parameters (table 1 of arXiv 1603.01354), with both biases of ONNX's LSTM.
"""

GMACS = {
    "bert_small": (3.4 / 2, 0.02),
    "efficientnet_b0": (0.39, 0.02),
    "lstm_tagger": ((50 * (LSTM + 400 * 45 + 16 * 30 * 30 * 3)) / 1e9, 1e-9),
    "mobilenet_v2": (0.300, 0.01),
    "stories15m": ((6 * (DECODER_LAYER + 2 * 129 * 288) + 32_000 * 288) / 1e9, 1e-9),
    "unet": (54.74 - 3 * 4 * 0.537, 0.01),
    "vit_tiny": (1.26, 0.02),
    "whisper_tiny": ((3000 * 80 * 384 * 3 + 1500 * 384 * 384 * 3 + 4 * WHISPER_BLOCK) / 1e9, 1e-9),
    "yolov8n": (8.7 / 2, 0.02),
}
"""1e9 multiply-accumulates, and how far ours may lie off.

BERT-Small: 3.4 billion FLOPs, two per multiply-accumulate, in table 1 of TinyBERT (arXiv 1909.10351). EfficientNet-B0:
0.39 billion, table 2 of arXiv 1905.11946. MobileNetV2: 300 million, table 4 of arXiv 1801.04381. ViT-Tiny/16: timm's
results table. YOLOv8n: 8.7 billion FLOPs at 640 pixels, docs.ultralytics.com. U-Net at 256 pixels: the 54.74 that
counters print for it count each of the four transposed convolutions (0.537) once per product that could reach an
output, which is four times too often. The others have no published number at these inputs: by their formulas.
"""

LARGE = ("bert_small", "efficientnet_b0", "lstm_tagger", "unet", "vit_tiny", "whisper_tiny", "yolov8n")


def learnt(network: Network) -> int:
    """Elements of all parameters but constants of the graph and the statistics of batch normalisation."""
    fixed = set(zoo._prepared(network.name).constants) - {"model.22.dfl.weight"}
    counted = [p for p in network.graph.parameters if p.dtype == "float32" and p.name not in fixed]
    return sum(int(np.prod(p.shape)) for p in counted if "running_" not in p.name)


def test_the_zoo_is_the_nine_and_these() -> None:
    assert set(zoo.names()) == {*zoo.classics(), *BUILDERS}
    assert len(zoo.names()) == len(zoo.classics()) + len(BUILDERS)
    assert set(BUILDERS) == set(PARAMETERS) == set(GMACS)
    assert set(zoo.ALIASES.values()) <= set(zoo.names())
    assert not set(zoo.ALIASES) & set(zoo.names())


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_parameters_and_multiply_accumulates_are_the_published_ones(name: str) -> None:
    network = models.load(name)
    published, tolerance = GMACS[name]
    assert learnt(network) == PARAMETERS[name]
    assert sum(layer.features["macs"] for layer in network.graph.layers) / 1e9 == pytest.approx(
        published, rel=tolerance
    )


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_the_file_would_be_let_in_and_is_built_the_same_every_time(name: str) -> None:
    model = BUILDERS[name]()
    assert model == BUILDERS[name]()
    assert {entry.version for entry in model.opset_import} == {20}
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    del bare.graph.initializer[:]
    untrusted.refuse(bare, name)


@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    [
        *long_but(sorted(set(BUILDERS) - {"unet"}), sorted(set(BUILDERS) - set(LARGE))),
        pytest.param("unet", marks=pytest.mark.slow),
    ],
)
def test_numbers_are_sane_and_any_cut_gives_the_same_bits(name: str) -> None:
    network = models.load(name)
    uncut = models.uncut_session(network, exact=True)
    inputs = network.sample_inputs(7)
    whole = uncut.run(inputs)
    answers = [*network.logits, *(network.graph.tensors[t].name for t in network.graph.outputs)]
    assert all(np.isfinite(whole[answer]).all() for answer in answers)
    assert 0.1 < float(np.std(whole[network.logits[0]])) < 100
    assert not np.array_equal(uncut.run(network.sample_inputs(8))[answers[0]], whole[answers[0]])
    rng = random.Random(name)
    for stay in (0.95, 0.7):
        seen = run_cut(network, long_runs(network, rng, stay), inputs, exact=True)
        assert all(np.array_equal(seen[answer], whole[answer]) for answer in answers)


def rms(x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return x / np.sqrt(np.mean(x**2) + 1e-5) * scale


def llama_step(w: Mapping[str, np.ndarray], fed: Mapping[str, np.ndarray]) -> np.ndarray:
    """The scores of the next token, by the formulas of Llama, one head at a time."""
    place = int(fed["position_ids"][0, 0])
    x = w["embed_tokens.weight"][fed["input_ids"][0, 0]].astype(np.float64)
    turn = np.exp(1j * place * 1e4 ** (-np.arange(24) / 24))

    def turned(head: np.ndarray) -> np.ndarray:
        pairs = (head[:24] + 1j * head[24:]) * turn
        return np.concatenate([pairs.real, pairs.imag])

    for layer in range(6):
        at = f"layers.{layer}"
        y = rms(x, w[f"{at}.norm1.weight"])
        query, key, value = ((y @ w[f"{at}.attn.{part}.weight"]).reshape(6, 48) for part in "qkv")
        mixed = []
        for head in range(6):
            keys = np.vstack([fed[f"past_key_values.{layer}.key"][0, head], turned(key[head])])
            values = np.vstack([fed[f"past_key_values.{layer}.value"][0, head], value[head]])
            scores = np.exp(keys @ turned(query[head]) / np.sqrt(48))
            mixed.append(scores / scores.sum() @ values)
        x = x + np.concatenate(mixed) @ w[f"{at}.attn.o.weight"]
        y = rms(x, w[f"{at}.norm2.weight"])
        gate = y @ w[f"{at}.mlp.gate.weight"]
        x = x + (gate / (1 + np.exp(-gate)) * (y @ w[f"{at}.mlp.up.weight"])) @ w[f"{at}.mlp.down.weight"]
    return np.asarray(w["embed_tokens.weight"] @ rms(x, w["norm.weight"]))


@pytest.mark.long
def test_the_decoder_answers_as_a_llama_does_and_its_cache_grows_by_one() -> None:
    network = models.load("stories15m")
    fed = {**network.sample_inputs(1), "position_ids": np.array([[128]]), "input_ids": np.array([[31_999]])}
    made = models.uncut_session(network).run(fed)
    assert made["logits"][0] == pytest.approx(llama_step(network.weights(), fed), rel=1e-3, abs=1e-2)
    for layer in range(6):
        for of in ("key", "value"):
            present = made[f"present.{layer}.{of}"]
            assert present.shape == (1, 6, 129, 48)
            assert np.array_equal(present[:, :, :128], fed[f"past_key_values.{layer}.{of}"])
            assert np.abs(present[:, :, 128]).max() > 0.1
    tied = [layer for layer in network.graph.layers if layer.op_type in ("Gemm", "Gather") and layer.parameters]
    assert tied[0].parameters[0] == tied[-1].parameters[0], "the words are held once"


@pytest.mark.long
def test_a_masked_word_changes_nothing_for_bert() -> None:
    network = models.load("bert_small")
    uncut = models.uncut_session(network)
    fed = {**network.sample_inputs(0), "attention_mask": np.array([[1] * 100 + [0] * 28])}
    other = {**fed, "input_ids": fed["input_ids"].copy()}
    other["input_ids"][0, 100:] = 7
    first, second = (uncut.run(x)["last_hidden_state"][0] for x in (fed, other))
    assert np.array_equal(first[:100], second[:100])
    assert not np.array_equal(first[100:], second[100:])


@pytest.mark.long
def test_boxes_of_the_detector_lie_around_their_places() -> None:
    network = models.load("yolov8n")
    (name,) = network.sample_inputs(0)
    [across, down, width, height] = models.uncut_session(network).run(network.sample_inputs(0))["output0"][0, :4]
    start = 0
    for stride in (8, 16, 32):
        side = 640 // stride
        rows, columns = np.divmod(np.arange(side**2), side)
        here = slice(start, start + side**2)
        start += side**2
        for centre, line in ((across, columns), (down, rows)):
            assert np.abs(centre[here] / stride - (line + 0.5)).max() <= 7.5
        for extent in (width, height):
            assert 0 <= extent[here].min() <= extent[here].max() <= 30 * stride
    assert start == 8400
    assert name == "images"
