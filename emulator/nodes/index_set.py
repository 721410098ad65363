"""Sets of layers and parameters in a few bytes each: a crowd has thousands of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableSet


class IndexSet(MutableSet[int]):
    """A set of small numbers, at least 0, that is iterated in ascending order."""

    __slots__ = ("_bits",)

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        self._bits = _mask(numbers)

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and bool(self._bits >> number & 1)

    def __iter__(self) -> Iterator[int]:
        bits = self._bits
        while bits:
            lowest = bits & -bits
            yield lowest.bit_length() - 1
            bits ^= lowest

    def __len__(self) -> int:
        return self._bits.bit_count()

    def add(self, value: int) -> None:
        """See `set`."""
        self._bits |= 1 << value

    def discard(self, value: int) -> None:
        """See `set`."""
        self._bits &= ~(1 << value)

    def update(self, numbers: Iterable[int]) -> None:
        """See `set`."""
        self._bits |= _mask(numbers)

    def difference_update(self, numbers: Iterable[int]) -> None:
        """See `set`."""
        self._bits &= ~_mask(numbers)

    def intersection_update(self, numbers: Iterable[int]) -> None:
        """See `set`."""
        self._bits &= _mask(numbers)


def _mask(numbers: Iterable[int]) -> int:
    if isinstance(numbers, IndexSet):
        return numbers._bits
    bits = 0
    for number in numbers:
        bits |= 1 << number
    return bits
