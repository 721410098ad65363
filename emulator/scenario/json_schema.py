"""The JSON schema of a scenario: what an editor needs in order to complete and check YAML while it is written."""

from __future__ import annotations

from itertools import product
from typing import Any, Final

from layerlift.emulator.scenario.scenario import Scenario
from layerlift.emulator.scenario.schema.sections import TIERS

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return the schema of a scenario file, with titles that tell units and descriptions of what fields mean.

    What it refuses, `Scenario` refuses; what needs several fields to be seen (names, sums, files) only that refuses.
    """
    told = Scenario.model_json_schema()
    told["properties"]["links"]["propertyNames"] = {"enum": [f"{a}-{b}" for a, b in product(TIERS, TIERS)]}
    about = "A world for Layerlift: machines, links, users, models, and what breaks. MB is 2**20 bytes, GB is 2**30."
    return {"$schema": DIALECT} | told | {"title": "Scenario", "description": about}
