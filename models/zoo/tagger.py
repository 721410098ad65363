"""A tagger of words: characters by a convolution, words by a table, sentences by LSTMs in both directions."""

from __future__ import annotations

from typing import Final

import onnx

from layerlift.models.zoo.builder import Builder

WORDS, CHARACTERS = 50, 16
"""Of a sentence, and of each word."""
_VOCABULARY, _WORD, _ALPHABET, _CHARACTER = 400_000, 100, 100, 30
_STATE: Final = 200
_TAGS: Final = 45


def lstm_tagger() -> onnx.ModelProto:
    """The BLSTM-CNN of Ma and Hovy (arXiv 1603.01354, table 1) with a softmax in place of the CRF.

    Words are GloVe's 400,000 of 100 numbers, characters have 30 numbers and 30 filters of window 3, each direction has
    a state of 200, tags are the Penn Treebank's 45; a sentence has 50 words of at most 16 characters.
    """
    b = Builder("lstm_tagger")
    words = b.input("words", 1, WORDS, integers=True)
    letters = b.input("characters", 1, WORDS, CHARACTERS, integers=True)
    table = b.weight("word.weight", _VOCABULARY, _WORD)
    known = b.op("Transpose", "word", b.op("Gather", "word", table, words), perm=[1, 0, 2])
    x = b.op("Concat", "token", known, _spelled(b, letters), axis=-1)
    x = b.op("Transpose", "lstm", _both_ways(b, "lstm", x, _WORD + _CHARACTER), perm=[0, 2, 1, 3])
    flat = b.op("Reshape", "lstm", x, b.integers(WORDS, 2 * _STATE))
    scores = b.dense("tag", flat, (2 * _STATE, _TAGS))
    b.output(b.op("LogSoftmax", "tag", scores, axis=-1), "tags")
    return b.model()


def _spelled(b: Builder, letters: str) -> str:
    """One row per word: the largest answer of each filter over its characters."""
    at, size = "character", _CHARACTER
    rows = b.op("Gather", at, b.weight(f"{at}.weight", _ALPHABET, size), letters)
    rows = b.op("Reshape", at, rows, b.integers(WORDS, CHARACTERS, size))
    parts = b.weight(f"{at}.conv.weight", size, size, 3), b.weight(f"{at}.conv.bias", size)
    found = b.op("Conv", at, b.op("Transpose", at, rows, perm=[0, 2, 1]), *parts, kernel_shape=[3], pads=[1, 1])
    return b.op("Reshape", at, b.op("GlobalMaxPool", at, found), b.integers(WORDS, 1, size))


def _both_ways(b: Builder, at: str, x: str, read: int) -> str:
    parts = (
        b.weight(f"{at}.weight", 2, 4 * _STATE, read),
        b.weight(f"{at}.recurrent", 2, 4 * _STATE, _STATE),
        b.weight(f"{at}.bias", 2, 8 * _STATE),
    )
    return b.op("LSTM", at, x, *parts, hidden_size=_STATE, direction="bidirectional")
