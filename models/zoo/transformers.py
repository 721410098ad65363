"""Encoders: ViT-Tiny on images, BERT-Small on text, Whisper-Tiny's encoder on sound."""

from __future__ import annotations

from typing import Final

import onnx

from layerlift.models.zoo.attention import Shape, attend, layer_norm, linear, self_attention, split_heads, two_layers
from layerlift.models.zoo.builder import Builder

_VIT: Final = Shape(197, 192, 3)
_BERT: Final = Shape(128, 512, 8)
_WHISPER: Final = Shape(1500, 384, 6)
_WORDS: Final = 30_522
_POSITIONS: Final = 512
_FRAMES: Final = 3000


def vit_tiny() -> onnx.ModelProto:
    """ViT-Tiny/16, which is DeiT-Ti without distillation (arXiv 2012.12877), of 224 x 224 pixels and 1,000 classes."""
    b, width = Builder("vit_tiny"), _VIT.width
    parts = b.weight("patch.weight", width, 3, 16, 16), b.weight("patch.bias", width)
    image = b.input("input", 1, 3, 224, 224)
    patches = b.op("Conv", "patch", image, *parts, kernel_shape=[16, 16], strides=[16, 16])
    rows = b.op("Transpose", "patch", b.op("Reshape", "patch", patches, b.integers(1, width, 196)), perm=[0, 2, 1])
    tokens = b.op("Concat", "embed", b.weight("cls_token", 1, 1, width), rows, axis=1)
    x = b.op("Add", "embed", tokens, b.weight("pos_embed", 1, _VIT.tokens, width))
    for number in range(12):
        x = _vit_block(b, f"blocks.{number}", x)
    first = b.op("Gather", "head", layer_norm(b, "norm", x, width, 1e-6), b.integers(0, scalar=True), axis=1)
    b.output(b.dense("head", first, (width, 1000)), "output")
    return b.model()


def _vit_block(b: Builder, at: str, x: str) -> str:
    width = _VIT.width
    mixed = linear(b, f"{at}.attn.qkv", layer_norm(b, f"{at}.norm1", x, width, 1e-6), (width, 3 * width))
    parts = b.ops("Split", f"{at}.attn", 3, mixed, axis=-1, num_outputs=3)
    query, key, value = (split_heads(b, f"{at}.attn", part, _VIT) for part in parts)
    attended = attend(b, f"{at}.attn", query, key, value, _VIT)
    x = b.op("Add", at, x, linear(b, f"{at}.attn.proj", attended, (width, width)))
    return _widened(b, at, x, "norm2", width, 1e-6)


def bert_small() -> onnx.ModelProto:
    """BERT-Small, L=4 and H=512 (arXiv 1908.08962), of 128 tokens; answers are its last states and the pooled one."""
    b, width = Builder("bert_small"), _BERT.width
    x = _bert_embeddings(b)
    hidden = _bert_mask(b, b.input("attention_mask", 1, _BERT.tokens, integers=True))
    for number in range(4):
        at = f"encoder.{number}"
        attended = self_attention(b, f"{at}.attention", x, _BERT, mask=hidden)
        x = layer_norm(b, f"{at}.norm1", b.op("Add", at, attended, x), width, 1e-12)
        wide = two_layers(b, f"{at}.mlp", x, width, 4 * width)
        x = layer_norm(b, f"{at}.norm2", b.op("Add", at, wide, x), width, 1e-12)
    first = b.op("Gather", "pooler", x, b.integers(0, scalar=True), axis=1)
    pooled = b.dense("pooler", first, (width, width))
    b.output(x, "last_hidden_state")
    b.output(b.op("Tanh", "pooler", pooled), "pooler_output")
    return b.model()


def _bert_embeddings(b: Builder) -> str:
    """Words, kinds of sentence and positions, each from a table; positions are fed, for all that a table has."""
    at, width, sums = "embeddings", _BERT.width, ""
    for ids, rows in (("input_ids", _WORDS), ("token_type_ids", 2), ("position_ids", _POSITIONS)):
        fed = b.input(ids, 1, _BERT.tokens, integers=True)
        found = b.op("Gather", f"{at}.{ids}", b.weight(f"{at}.{ids}.weight", rows, width), fed)
        sums = b.op("Add", at, sums, found) if sums else found
    return layer_norm(b, f"{at}.norm", sums, width, 1e-12)


def _bert_mask(b: Builder, mask: str) -> str:
    """0 where a token counts and -10,000 where it does not, to add to the products of all heads."""
    floats = b.op("Cast", "mask", b.op("Unsqueeze", "mask", mask, b.integers(1, 2)), to=onnx.TensorProto.FLOAT)
    return b.op("Mul", "mask", b.op("Sub", "mask", b.constant("one", 1.0), floats), b.constant("hidden", -1e4))


def whisper_tiny() -> onnx.ModelProto:
    """The encoder of Whisper tiny (arXiv 2212.04356), of 30 s of sound: 80 mel bands in 3,000 frames."""
    b, width = Builder("whisper_tiny"), _WHISPER.width
    x = b.op("Gelu", "conv1", _conv1d(b, "conv1", b.input("mel", 1, 80, _FRAMES), (80, width), 1))
    x = b.op("Gelu", "conv2", _conv1d(b, "conv2", x, (width, width), 2))
    rows = b.op("Transpose", "embed", x, perm=[0, 2, 1])
    x = b.op("Add", "embed", rows, b.weight("positional_embedding", _WHISPER.tokens, width))
    for number in range(4):
        at = f"blocks.{number}"
        normed = layer_norm(b, f"{at}.attn_ln", x, width, 1e-5)
        x = b.op("Add", at, x, self_attention(b, f"{at}.attn", normed, _WHISPER, key_bias=False))
        x = _widened(b, at, x, "mlp_ln", width, 1e-5)
    b.output(layer_norm(b, "ln_post", x, width, 1e-5), "output")
    return b.model()


def _widened(b: Builder, at: str, x: str, norm: str, width: int, epsilon: float) -> str:
    """X and what two layers make of it, normalised first."""
    normed = layer_norm(b, f"{at}.{norm}", x, width, epsilon)
    return b.op("Add", at, x, two_layers(b, f"{at}.mlp", normed, width, 4 * width))


def _conv1d(b: Builder, at: str, x: str, channels: tuple[int, int], stride: int) -> str:
    weights = b.weight(f"{at}.weight", channels[1], channels[0], 3), b.weight(f"{at}.bias", channels[1])
    return b.op("Conv", at, x, *weights, kernel_shape=[3], strides=[stride], pads=[1, 1])
