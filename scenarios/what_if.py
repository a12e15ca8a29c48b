"""What-if runs: a scenario played on from what twins knew at some moment, and what is then otherwise.

Nothing of it reaches the store or a broker: the branch has its own records, and its messages travel in the
simulation only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from scenarios.format.loading import ScenarioFile
from scenarios.judging.judgement import Judgement
from scenarios.judging.runner import replicate_from
from scenarios.shipped import load
from scenarios.wiring.start import Start
from twin.errors import InputError
from twin.state.branch import Branch, Difference, diff
from twin.state.records import Records

MOST_SHOWN: Final = 1_000


class WhatIf(msgspec.Struct, frozen=True):
    """How a branch ended: what differs from live, and how the scenario's requirements were judged.

    `adopted` are the devices that began in the state that they had reported, `strangers` the things of the
    branch that the scenario does not have: their twins stood still.
    """

    branch: str
    sequence: int
    at_s: float
    scenario: str
    variant: str
    seed: int
    duration_s: float
    judgements: dict[str, Judgement]
    adopted: list[str]
    strangers: list[str]
    differences: list[Difference]
    is_cut: bool


def what_if(
    scenario: ScenarioFile | Path | str,
    branch: Branch,
    *,
    live: Records | None = None,
    variant: str | None = None,
    seed: int | None = None,
    twin: str | None = None,
    limit: int = MOST_SHOWN,
) -> WhatIf:
    """Run one replication of a variant (default: the first) from a branch, and compare its end with live.

    Without `live` the end is compared with the branch as it began. With several twin nodes `twin` says whose
    end it is. Raises ScenarioError for a bad file, and InputError if it has no such twin node.
    """
    loaded = scenario if isinstance(scenario, ScenarioFile) else load(scenario)
    chosen = loaded.variant(variant) if variant else loaded.variants[0]
    first_seed = chosen.scenario.run.seed if seed is None else seed
    nodes = [name for name, node in chosen.scenario.nodes.items() if node.kind == "twin"]
    ending = _named(nodes, twin, loaded.path.name)
    start = Start(branch.records.fork(), branch.at_s)
    outcome = replicate_from(chosen, first_seed, start)
    twins = start.services[ending].twins
    end = Records() if twins is None else twins.records
    found, is_cut = diff(end, branch.records if live is None else live, limit)
    return WhatIf(
        branch=branch.name,
        sequence=branch.sequence,
        at_s=branch.at_s,
        scenario=loaded.path.name,
        variant=chosen.name,
        seed=first_seed,
        duration_s=outcome.duration_s,
        judgements=outcome.judgements,
        adopted=start.adopted,
        strangers=sorted(_things(branch.records) - start.nodes),
        differences=found,
        is_cut=is_cut,
    )


def _named(nodes: list[str], twin: str | None, scenario: str) -> str:
    if twin is None and len(nodes) == 1:
        return nodes[0]
    if twin in nodes:
        return str(twin)
    if not nodes:
        raise InputError(f"{scenario} has no node of kind twin, which a branch could run in")
    raise InputError(f"say which twin of {scenario} it is about: {', '.join(nodes)}")


def _things(records: Records) -> set[str]:
    return set(records.of("thing")) | {key.partition("/")[0] for key in records.of("shadow")}
