"""Shared media as resources of users who ask at known rates (see `layerlift.planners.cost.sharing`)."""

from __future__ import annotations

import numpy as np

from layerlift.planners.problem.arrays import Floats
from layerlift.planners.problem.media_news import MediaNews
from layerlift.planners.problem.problem import Problem


def capped(bandwidth_bytes_s: Floats, media: MediaNews) -> Floats:
    """Bandwidths, shape (N, N), no wider than the media on the way."""
    limits = np.where(media.crosses, media.bytes_s[:, None, None], np.inf)
    narrow: Floats = np.minimum(bandwidth_bytes_s, limits.min(axis=0, initial=np.inf))
    return narrow


def weights_of(problem: Problem, media: MediaNews) -> tuple[Floats, Floats]:
    """What each pair's seconds are of each medium, shape (K, N, N), and how wide the media are, shape (K,).

    A width is how many of the user's transfers go at full speed at once; full speed is that of its client's widest
    way over the medium, or of the widest of all where the client has none there. Narrower ways count less.
    """
    widths = np.minimum(problem.bandwidth_bytes_s, media.bytes_s[:, None, None])
    crossing = np.where(media.crosses, widths, 0.0)
    own = np.maximum(crossing[:, 0, :].max(axis=1, initial=0.0), crossing[:, :, 0].max(axis=1, initial=0.0))
    full = np.where(own > 0.0, own, crossing.max(axis=(1, 2), initial=0.0))
    full = np.where(full > 0.0, full, media.bytes_s)
    weights: Floats = crossing / full[:, None, None]
    wide: Floats = media.bytes_s / full
    return weights, wide
