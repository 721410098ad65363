"""The tiers of the tests, who runs beside whom, and how many examples properties try.

Its place here lets every room import `strategies`; seeded weights are kept between test runs, not at home.

* `pytest -m quick`: all but `long`, `ray` and `slow`, with a tenth of the examples. For while you write.
* `pytest`: all but `slow`. For before you push.
* `pytest -m slow`: what takes minutes each.

Whole tiers are run by two workers (`-n` says otherwise); single files and tests, and all that wants a terminal, by
this process alone. Tests over Ray follow one another in one worker: two Rays on one machine steal each other's time.

Properties try the same examples at every run, so that a run that passes passes again; `pytest
--hypothesis-profile=fresh` looks for new ones.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

WORKERS = 2
OUT_OF_QUICK = ("long", "ray", "slow")
QUICK_SHARE, QUICK_LEAST = 10, 5
"""The quick tier tries one example in ten, but at least five."""

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


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two workers for a tier; none where somebody waits for a few tests, or watches them."""
    option = config.option
    few = option.keyword or config.getoption("lf", False) or any(map(_names_a_file, option.file_or_dir))
    watched = option.capture == "no" or option.collectonly
    return 0 if few or watched else WORKERS


def _names_a_file(argument: str) -> bool:
    return Path(argument.partition("::")[0]).is_file()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Before -m chooses: say what is quick, and keep the tests over Ray together."""
    for item in items:
        if item.get_closest_marker("ray"):
            item.add_marker(pytest.mark.xdist_group("ray"))
        if not any(item.get_closest_marker(name) for name in OUT_OF_QUICK):
            item.add_marker("quick")
            if config.option.markexpr == "quick":
                fewer_examples(item)


def fewer_examples(item: pytest.Item) -> None:
    """Whatever number a property asks for. Hypothesis reads its settings from the test when it is run."""
    test = getattr(item, "obj", None)
    asked = getattr(test, "_hypothesis_internal_use_settings", None)
    if test is not None and asked is not None:
        few = max(QUICK_LEAST, asked.max_examples // QUICK_SHARE)
        chosen = settings(asked, max_examples=min(asked.max_examples, few))
        getattr(test, "__func__", test)._hypothesis_internal_use_settings = chosen
