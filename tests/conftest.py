"""Its place here lets every room import `strategies`; seeded weights are kept between test runs, not at home.

Properties try the same examples at every run, so that a run that passes passes again; `pytest
--hypothesis-profile=fresh` looks for new ones.
"""

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "same", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("fresh", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")


def pytest_configure(config: pytest.Config) -> None:
    os.environ["LAYERLIFT_VALIDATE"] = "1"  # nodes check themselves after every message, in processes of tests too
    cache = getattr(config, "cache", None)
    if cache is not None:
        os.environ.setdefault("LAYERLIFT_CACHE", str(cache.mkdir("layerlift")))
