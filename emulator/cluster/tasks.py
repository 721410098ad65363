"""Jobs as Ray tasks."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import ray
from ray import cloudpickle
from ray.exceptions import RayError

from layerlift.emulator.cluster.failures import cause_of
from layerlift.emulator.cluster.import_path import follow, import_path
from layerlift.emulator.cluster.session import RayCluster
from layerlift.models.errors import LayerliftError, RunError


def in_tasks(call: Callable[[Any], Any], jobs: Sequence[Any], address: str | None = None) -> Iterator[tuple[int, Any]]:
    """Yield (number, answer) for each job as its Ray task ends; `call` is a module's own function, jobs can be pickled.

    A task per CPU at a time. What raised or was lost is answered by a `LayerliftError`. Ray is started or joined as
    by `RayCluster`; what has not ended when the generator is closed is dropped.
    """
    remote: Any = ray.remote
    pack: Any = cloudpickle.dumps
    with RayCluster(address), ExitStack() as pending:
        task, path = remote(num_cpus=1, max_retries=1)(_called), import_path()
        numbers = {task.remote(path, pack((call, job))): number for number, job in enumerate(jobs)}
        pending.callback(lambda: [ray.cancel(ref, force=True) for ref in numbers])
        while numbers:
            [ref], _ = ray.wait(list(numbers))
            try:
                found: Any = ray.get(ref)
            except RayError as error:
                found = getattr(error, "cause", None)
                found = found if isinstance(found, LayerliftError) else RunError(f"a task was lost: {cause_of(error)}")
            yield numbers.pop(ref), found


def _called(path: Sequence[str], packed: bytes) -> Any:
    """In a task: unpacked once its modules can be found."""
    follow(path)
    call, job = pickle.loads(packed)
    return call(job)
