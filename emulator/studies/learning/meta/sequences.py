"""MRLCO's network while it learns, in torch: the same numbers as the policy's, within rounding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layerlift.planners.learned.literal.seq2seq import ANSWERS, CELLS, SEEN

_GATES: Final = (0, 3, 1, 2)
"""ONNX has them as input, output, forget, cell; torch as input, forget, cell, output."""
_LAYERS: Final = {"in_1": ("reader", 0), "in_2": ("reader", 1), "out_1": ("teller_1", 0), "out_2": ("teller_2", 0)}
START: Final = 0
"""The answer that there was before the first."""


class Sequences(torch.nn.Module):  # type: ignore[misc]  # torch is not there where types are checked
    """Reads units and answers each; of a batch of sequences that are equally long."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.reader = torch.nn.LSTM(CELLS, CELLS, num_layers=2)
        self.teller_1 = torch.nn.LSTM(2 * CELLS, CELLS)
        self.teller_2 = torch.nn.LSTM(CELLS, CELLS)
        shapes = {"embed": (SEEN, CELLS), "keys": (CELLS, CELLS), "attend": (2 * CELLS, CELLS)}
        shapes |= {"answer": (CELLS, ANSWERS), "worth": (ANSWERS, ANSWERS), "words": (ANSWERS, CELLS)}
        for name, shape in shapes.items():
            self.register_parameter(name, torch.nn.Parameter(torch.zeros(shape)))
        for name, size in (("embed_added", CELLS), ("worth_added", ANSWERS)):
            self.register_parameter(name, torch.nn.Parameter(torch.zeros(size)))
        with torch.no_grad():
            for name, each in self.named_parameters():
                _begin(name, each, generator)

    def forward(
        self, units: Tensor, answers: Tensor | None = None, draws: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (P, B, ANSWERS), what each state is worth (P, B), and answers (P, B), of units (P, B, SEEN).

        The answers are those given; else by chance, by `draws` from 0 to 1 (P, B); else the likelier ones.
        """
        memory, (hidden, cell) = self.reader(units @ self.embed + self.embed_added)
        keyed = memory @ self.keys
        first, second = ((hidden[layer : layer + 1], cell[layer : layer + 1]) for layer in (0, 1))
        attention = torch.zeros_like(memory[0])
        word = torch.full((units.shape[1],), START, dtype=torch.int64)
        logits, said = [], []
        for number in range(len(units)):
            fed = torch.cat([self.words[word], attention], 1)[None]
            made, first = self.teller_1(fed, first)
            made, second = self.teller_2(made, second)
            looked = torch.softmax((keyed * made).sum(2), 0)
            attention = torch.cat([made[0], (looked[:, :, None] * memory).sum(0)], 1) @ self.attend
            logits.append(attention @ self.answer)
            if answers is not None:
                word = answers[number]
            elif draws is not None:
                word = (draws[number] < torch.softmax(logits[-1], 1)[:, 1]).to(torch.int64)
            else:
                word = logits[-1].argmax(1)
            said.append(word)
        every = torch.stack(logits)
        worth = (torch.softmax(every, 2) * (every @ self.worth + self.worth_added)).sum(2)
        return every, worth, torch.stack(said)


def _begin(name: str, parameter: Tensor, generator: Any) -> None:
    """What a parameter begins with: matrices as Glorot has it, words from -1 to 1; nothing is added, LSTMs remember."""
    if name == "words":
        parameter.uniform_(-1.0, 1.0, generator=generator)
    elif parameter.dim() == 2:
        parameter.normal_(0.0, (2.0 / float(np.add.reduce(parameter.shape))) ** 0.5, generator=generator)
    else:
        parameter.zero_()
        if "bias_ih" in name:
            parameter[CELLS : 2 * CELLS] = 1.0


def tables_of(parameters: Mapping[str, Tensor]) -> dict[str, NDArray[np.float32]]:
    """The tables of the policy, in its order."""
    given = {name: each.detach().numpy().astype(np.float32) for name, each in parameters.items()}
    made = {name: given[name] for name in ("embed", "embed_added", "words", "keys", "attend", "answer")}
    for layer, (module, number) in _LAYERS.items():
        ends = [f"{module}.{kind}_l{number}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        w, r, b, rb = (_as_onnx(given[end]) for end in ends)
        made |= {f"{layer}_w": w[None], f"{layer}_r": r[None], f"{layer}_b": np.concatenate([b, rb])[None]}
    return made


def _as_onnx(table: NDArray[np.float32]) -> NDArray[np.float32]:
    gates = table.reshape(4, CELLS, *table.shape[1:])
    return gates[list(_GATES)].reshape(table.shape)
