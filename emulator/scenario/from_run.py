"""The scenario of a run that was made, with all that drove it: files and prices come from the run, not from here."""

from __future__ import annotations

from layerlift.emulator.results.reader import RUN_FILE, RunResult
from layerlift.emulator.scenario.inputs import Inputs, Kept, KeptFiles
from layerlift.emulator.scenario.scenario import Scenario
from layerlift.models.errors import RunError


def scenario_of(result: RunResult, *, allow_code: bool = False) -> Scenario:
    """Return the scenario of a run; `allow_code` is that of `Scenario.from_dict`.

    Raises `RunError` for a run that does not tell it or has lost a file that it kept, `ScenarioError` for what is no
    scenario. What has changed since (a model, a file too large to keep) is told when it is resolved.
    """
    told = result.run.get("scenario")
    if told is None:
        raise RunError("run.json has no scenario, expected that of a run: run it again")
    scenario = Scenario.from_dict(told, allow_code=allow_code, origin=RUN_FILE)
    read = result.run.get("inputs") or []
    kept = {each["name"]: result.kept_input(each) for each in read if each["kept"] and result.directory is not None}
    digests = {each["name"]: each["digest"] for each in read}
    prices = result.run.get("prices") or []
    scenario._earlier = lambda: Inputs(KeptFiles(scenario.folder, digests, kept), Kept(prices))
    return scenario
