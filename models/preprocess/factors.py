"""Low-rank factors of matrices, and the ranks that keep a share of their energy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from layerlift.models.errors import ModelError

_CHUNK = 2048


def truncate(matrix: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """The product `left @ right` nearest to `matrix` (m, n) in the Frobenius norm: shapes (m, rank), (rank, n).

    The truncated singular value decomposition (Eckart and Young 1936), by the eigenvectors of the smaller Gram matrix,
    in float64; the singular values stay with the longer factor. `rank` is at most min(m, n). The factors have the
    matrix's type; with full rank the product is the matrix up to that type's rounding.
    """
    if matrix.shape[0] < matrix.shape[1]:
        left, right = truncate(matrix.T, rank)
        return np.ascontiguousarray(right.T), np.ascontiguousarray(left.T)
    basis = leading(gram(matrix), rank)
    left = np.concatenate([block @ basis for block in _blocks(matrix)])
    return left.astype(matrix.dtype), np.ascontiguousarray(basis.T).astype(matrix.dtype)


def gram(matrix: np.ndarray) -> np.ndarray:
    """`matrix.T @ matrix` in float64, without a float64 copy of the whole matrix."""
    total = np.zeros((matrix.shape[1], matrix.shape[1]))
    for block in _blocks(matrix):
        total += block.T @ block
    return total


def leading(symmetric: np.ndarray, rank: int) -> np.ndarray:
    """Eigenvectors of the `rank` largest eigenvalues, as columns, largest first."""
    _, vectors = np.linalg.eigh(symmetric)
    return np.asarray(vectors[:, ::-1][:, :rank])


def energies(matrix: np.ndarray) -> np.ndarray:
    """Squared singular values of `matrix`, largest first, never negative."""
    smaller = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    return np.maximum(np.linalg.eigvalsh(gram(smaller))[::-1], 0.0)


def rank_for(spectra: Sequence[np.ndarray], energy: float) -> int:
    """The least rank at which every spectrum (squared singular values, largest first) keeps the share `energy`."""
    return max((_rank_for(spectrum, energy) for spectrum in spectra), default=1)


def _rank_for(spectrum: np.ndarray, energy: float) -> int:
    held = np.cumsum(spectrum)
    if not held[-1] > 0:
        return 1
    return min(len(spectrum), int(np.searchsorted(held, energy * held[-1] * (1 - 1e-12))) + 1)


def check_rank(step: str, **ranks: int | None) -> None:
    """Raise `ModelError` when a rank is given that is not a number of 1 or more."""
    for name, rank in ranks.items():
        if rank is not None and rank < 1:
            raise ModelError(f"{step}: {name} is {rank}; expected 1 or more")


def check_share(step: str, name: str, share: float | None) -> None:
    """Raise `ModelError` when a share is given that is not above 0 and at most 1."""
    if share is not None and not 0 < share <= 1:
        raise ModelError(f"{step}: {name} is {share}; expected a share above 0 and at most 1, such as 0.9")


def check_one_of(step: str, **given: object) -> None:
    """Raise `ModelError` unless exactly one of the options is given."""
    present = [name for name, value in given.items() if value is not None]
    if len(present) != 1:
        names = " or ".join(given)
        raise ModelError(f"{step}: give {names}, and one of them only; given: {', '.join(present) or 'neither'}")


def _blocks(matrix: np.ndarray) -> Iterator[np.ndarray]:
    for at in range(0, len(matrix), _CHUNK):
        yield matrix[at : at + _CHUNK].astype(np.float64)
