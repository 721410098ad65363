"""What transformers are made of: linear layers, normalisation, attention of many heads, the two-layer part."""

from __future__ import annotations

from dataclasses import dataclass

from layerlift.models.zoo.builder import Builder


@dataclass(frozen=True, slots=True)
class Shape:
    """Of the tokens that a transformer carries."""

    tokens: int
    width: int
    heads: int

    @property
    def head(self) -> int:
        """Numbers per token and head."""
        return self.width // self.heads


def linear(b: Builder, at: str, x: str, sizes: tuple[int, int], *, bias: bool = True) -> str:
    """A matrix from `sizes[0]` to `sizes[1]` numbers per token, and a bias."""
    made = b.op("MatMul", at, x, b.weight(f"{at}.weight", *sizes))
    return b.op("Add", at, made, b.weight(f"{at}.bias", sizes[1])) if bias else made


def layer_norm(b: Builder, at: str, x: str, width: int, epsilon: float) -> str:
    """Each token to mean 0 and variance 1, then scale and shift."""
    parts = b.weight(f"{at}.weight", width), b.weight(f"{at}.bias", width)
    return b.op("LayerNormalization", at, x, *parts, axis=-1, epsilon=epsilon)


def split_heads(b: Builder, at: str, x: str, shape: Shape) -> str:
    """From 1 x tokens x width to 1 x heads x tokens x numbers of a head."""
    apart = b.op("Reshape", at, x, b.integers(1, shape.tokens, shape.heads, shape.head))
    return b.op("Transpose", at, apart, perm=[0, 2, 1, 3])


def attend(b: Builder, at: str, query: str, key: str, value: str, shape: Shape, mask: str = "") -> str:
    """Scaled products, softmax, weighted values, heads beside each other again.

    `query`, `key` and `value` are split into heads; `mask` is added to the products where there is one.
    """
    scaled = b.op("Mul", at, query, b.constant("head_scale", shape.head**-0.5))
    scores = b.op("MatMul", at, scaled, b.op("Transpose", at, key, perm=[0, 1, 3, 2]))
    if mask:
        scores = b.op("Add", at, scores, mask)
    mixed = b.op("MatMul", at, b.op("Softmax", at, scores, axis=-1), value)
    joined = b.op("Transpose", at, mixed, perm=[0, 2, 1, 3])
    return b.op("Reshape", at, joined, b.integers(1, shape.tokens, shape.width))


def self_attention(b: Builder, at: str, x: str, shape: Shape, *, key_bias: bool = True, mask: str = "") -> str:
    """Attention with a matrix each for query, key and value, and one for what comes out."""
    sizes = shape.width, shape.width
    apart = [
        split_heads(b, f"{at}.{part}", linear(b, f"{at}.{part}", x, sizes, bias=key_bias or part != "key"), shape)
        for part in ("query", "key", "value")
    ]
    return linear(b, f"{at}.out", attend(b, at, *apart, shape, mask), sizes)


def two_layers(b: Builder, at: str, x: str, width: int, hidden: int) -> str:
    """A wide layer, Gelu, and back."""
    wide = b.op("Gelu", at, linear(b, f"{at}.fc1", x, (width, hidden)))
    return linear(b, f"{at}.fc2", wide, (hidden, width))
