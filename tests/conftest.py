"""The tiers of the tests, who runs beside whom, and how many examples properties try.

* `pytest -m quick`: all but `long`, `ray`, `slow` and `cluster`, with a sixtieth of the examples. For while you write.
* `pytest`: all but `slow` and `cluster`, with a third of the examples (`--hypothesis-profile=thorough`: with all). For
  before you push.
* `pytest -m slow`: what takes minutes each.
* `pytest -m cluster`: `cluster.yaml` over an sshd on loopback, where there is one.

Whole tiers are run by two workers (`-n` says otherwise), a file with long tests in one of them; named files and
tests, `-k`, `-s` and `--pdb` by this process alone. Files that start Ray go first and all to one worker: two Rays on
one machine steal each other's time.

Properties try the same examples at every run, so that a run that passes passes again; `pytest
--hypothesis-profile=fresh` looks for new ones. Seeded weights are kept between test runs, not at home. The file's place
here lets every room import `strategies`.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

WORKERS = 2
OUT_OF_QUICK = ("long", "ray", "slow", "cluster")
QUICK_SHARE, QUICK_LEAST = 60, 3
"""The quick tier tries one example in sixty, but at least three."""
SHARE, LEAST = 3, 10
"""Other tiers try a third of them, but at least ten."""

settings.register_profile(
    "same", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("same"))
settings.register_profile("fresh", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")


def pytest_configure(config: pytest.Config) -> None:
    os.environ["LAYERLIFT_VALIDATE"] = "1"  # nodes check themselves after every message, in processes of tests too
    cache = getattr(config, "cache", None)
    if cache is not None:
        os.environ.setdefault("LAYERLIFT_CACHE", str(cache.mkdir("layerlift")))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Before -m chooses: say what is quick. For workers, what takes longest first, so that both end together."""
    share, least = SHARE, LEAST
    if config.option.markexpr == "quick":
        share, least = QUICK_SHARE, QUICK_LEAST
    elif config.getoption("--hypothesis-profile") in ("thorough", "fresh"):
        share = 1
    for item in items:
        if not any(item.get_closest_marker(name) for name in OUT_OF_QUICK):
            item.add_marker("quick")
        if not item.get_closest_marker("slow"):
            _try_fewer_examples(item, share, least)
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _weight(item.path))


def _try_fewer_examples(item: pytest.Item, share: int, least: int) -> None:
    """Whatever number a property asks for. Hypothesis reads its settings from the test when it is run."""
    test = getattr(item, "obj", None)
    test = getattr(test, "__func__", test)
    asked = getattr(test, "_hypothesis_internal_use_settings", None)
    if asked is not None:
        few = max(least, asked.max_examples // share)
        test._hypothesis_internal_use_settings = settings(asked, max_examples=min(asked.max_examples, few))


# Workers


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two workers for a tier; none where somebody waits for a few tests, or watches them."""
    option = config.option
    few = option.keyword or config.getoption("lf", False) or any(map(_names_a_file, getattr(option, "file_or_dir", ())))
    watched = option.capture == "no" or option.collectonly
    return 0 if few or watched else WORKERS


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Files to workers, in the order of `_weight`."""
    config.option.loadscopereorder = False
    return Files(config, log)


class Files(LoadScopeScheduling):
    """A worker has a file to itself, so that what a module prepares is prepared once; one has all that start Ray. What
    is quick comes last, test by test, so that all workers end together.

    By the files' text, since names are all that the scheduler is told: marks stay in the workers, and xdist's own
    groups, which travel in the names, are lost with pytest 9.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        kinds = _kinds(self.config.rootpath / path)
        if self.config.option.markexpr == "quick":
            return path
        return "over Ray" if "ray" in kinds else path if kinds else nodeid.partition("[")[0]

    def remove_node(self, node: Any) -> str | None:
        """A worker that crashes, or is ended where it hangs, fails the test it was at; xdist would try it again."""
        units = self.assigned_work[node].values()
        at = next(((unit, test) for unit in units for test, done in unit.items() if not done), None)
        if at is None:
            return super().remove_node(node)
        unit, test = at
        unit[test] = True
        super().remove_node(node)
        return test


def _names_a_file(argument: str) -> bool:
    return Path(argument.partition("::")[0]).is_file()


@cache
def _kinds(path: Path) -> frozenset[str]:
    text = path.read_text(encoding="utf-8")
    return frozenset(name for name in OUT_OF_QUICK if f"pytest.mark.{name}" in text)


def _weight(path: Path) -> int:
    return 0 if "ray" in _kinds(path) else 1 if "long" in _kinds(path) else 2
