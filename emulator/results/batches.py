"""What the summary says of servers that batch."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any


def batch_figures(table: Any) -> Mapping[str, dict[str, float]]:
    """Per server: batches run, pieces in one on average, and for how long the first of one waited for company (s).

    The wait is the mean and the largest over batches, and is only that while a core was free.
    """
    sizes: dict[str, list[int]] = defaultdict(list)
    waits: dict[str, list[float]] = defaultdict(list)
    columns = (table[name].to_pylist() for name in ("node", "size", "company_s"))
    for node, size, company_s in zip(*columns, strict=True):
        sizes[node].append(size)
        waits[node].append(company_s)
    return {
        node: {
            "count": len(found),
            "mean_size": math.fsum(found) / len(found),
            "largest": max(found),
            "company_mean_s": math.fsum(waits[node]) / len(found),
            "company_most_s": max(waits[node]),
        }
        for node, found in sizes.items()
    }
