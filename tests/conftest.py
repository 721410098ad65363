"""Its place here lets every room import `strategies`; seeded weights are kept between test runs, not at home."""

import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    cache = getattr(config, "cache", None)
    if cache is not None:
        os.environ.setdefault("LAYERLIFT_CACHE", str(cache.mkdir("layerlift")))
