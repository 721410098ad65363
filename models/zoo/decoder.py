"""stories15M: one step of a Llama with a key-value cache, which goes in and comes out."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx

from layerlift.models.zoo.attention import Shape, attend, linear, split_heads
from layerlift.models.zoo.builder import Builder
from layerlift.models.zoo.convolutions import silu

PAST: Final = 128
"""Tokens in the cache before this step."""
_STEP: Final = Shape(1, 288, 6)
_LAYERS, _HIDDEN, _WORDS, _LONGEST = 6, 768, 32_000, 256


def stories15m() -> onnx.ModelProto:
    """The 15 million parameters of github.com/karpathy/llama2.c: RMSNorm, rotary positions, gated layers, tied words.

    One token is read at `position_ids`, after 128 that are in `past_key_values.N.key` and `.value`; the answers are the
    scores of the next token, and `present.N.key` and `.value` with 129.
    """
    b, width = Builder("stories15m"), _STEP.width
    token, place = (b.input(name, 1, 1, integers=True) for name in ("input_ids", "position_ids"))
    words = b.weight("embed_tokens.weight", _WORDS, width)
    x = b.op("Gather", "embed_tokens", words, token)
    turns = _turns(b, place)
    presents: list[tuple[str, str]] = []
    for number in range(_LAYERS):
        at = f"layers.{number}"
        attended, pair = _attention(b, f"{at}.attn", number, _rms_norm(b, f"{at}.norm1", x), turns)
        x = b.op("Add", at, x, attended)
        x = b.op("Add", at, x, _gated(b, f"{at}.mlp", _rms_norm(b, f"{at}.norm2", x)))
        presents.append(pair)
    last = b.op("Reshape", "lm_head", _rms_norm(b, "norm", x), b.integers(1, width))
    b.output(b.op("Gemm", "lm_head", last, words, transB=1), "logits")
    for number, (key, value) in enumerate(presents):
        b.output(key, f"present.{number}.key")
        b.output(value, f"present.{number}.value")
    return b.model()


def _rms_norm(b: Builder, at: str, x: str) -> str:
    mean = b.op("ReduceMean", at, b.op("Pow", at, x, b.constant("two", 2.0)), b.integers(-1), keepdims=1)
    root = b.op("Sqrt", at, b.op("Add", at, mean, b.constant("epsilon", 1e-5)))
    return b.op("Mul", at, b.op("Div", at, x, root), b.weight(f"{at}.weight", _STEP.width))


def _turns(b: Builder, place: str) -> tuple[str, str]:
    """Cosines and sines of this position's angles, the same for both halves of a head."""
    angles = np.outer(np.arange(_LONGEST), 1e4 ** -(np.arange(0, _STEP.head, 2) / _STEP.head))
    both = np.concatenate([angles, angles], 1)
    cosines, sines = b.constant("cosines", np.cos(both)), b.constant("sines", np.sin(both))
    return b.op("Gather", "rotary", cosines, place), b.op("Gather", "rotary", sines, place)


def _turned(b: Builder, at: str, x: str, turns: tuple[str, str]) -> str:
    first, second = b.ops("Split", at, 2, x, axis=-1, num_outputs=2)
    across = b.op("Concat", at, b.op("Neg", at, second), first, axis=-1)
    return b.op("Add", at, b.op("Mul", at, x, turns[0]), b.op("Mul", at, across, turns[1]))


def _attention(b: Builder, at: str, number: int, x: str, turns: tuple[str, str]) -> tuple[str, tuple[str, str]]:
    """What the layer adds, and its keys and values with this step's."""
    sizes = _STEP.width, _STEP.width
    query, key, value = (
        split_heads(b, f"{at}.{part}", linear(b, f"{at}.{part}", x, sizes, bias=False), _STEP)
        for part in ("q", "k", "v")
    )
    past = [b.input(f"past_key_values.{number}.{of}", 1, _STEP.heads, PAST, _STEP.head) for of in ("key", "value")]
    keys = b.op("Concat", f"{at}.k", past[0], _turned(b, f"{at}.k", key, turns), axis=2)
    values = b.op("Concat", f"{at}.v", past[1], value, axis=2)
    mixed = attend(b, at, _turned(b, f"{at}.q", query, turns), keys, values, _STEP)
    return linear(b, f"{at}.o", mixed, sizes, bias=False), (keys, values)


def _gated(b: Builder, at: str, x: str) -> str:
    gate = silu(b, at, linear(b, f"{at}.gate", x, (_STEP.width, _HIDDEN), bias=False))
    wide = b.op("Mul", at, gate, linear(b, f"{at}.up", x, (_STEP.width, _HIDDEN), bias=False))
    return linear(b, f"{at}.down", wide, (_HIDDEN, _STEP.width), bias=False)
