"""shortage: what is lacking, summed up by cluster."""

from __future__ import annotations

import random

from aioecs._logic.placement.demand import Demand
from aioecs._logic.placement.host import Host
from aioecs._logic.placement.placer import Placer
from aioecs._logic.placement.shortage import shortage
from aioecs._model.placement import CapacityDemand, Spread


def test_amounts_are_summed_and_the_largest_is_named() -> None:
    """Of each cluster by itself, with the attributes that none of its hosts has, and why they take nothing."""
    need = Demand(attributes=(("has", None), ("lacks", "x")), platform=(("ecs.cpu-architecture", "ARM64"),))
    hosts = [Host(arn="a", cpu=1, attributes={"has": "1", "ecs.cpu-architecture": "x86_64"})]
    placer = Placer(hosts, need, Spread(), (), random.random)
    plain = Placer([Host(arn="b", cpu=1)], Demand(), Spread(), (), random.random)
    first, second = shortage(
        [
            (placer, Demand(cpu=5, memory=100, gpus=1, attributes=need.attributes, platform=need.platform), "one"),
            (placer, Demand(cpu=7, memory=10, all_gpus=True), "one"),
            (plain, Demand(cpu=2, memory=3), None),
        ]
    )
    assert first == CapacityDemand(
        cluster="one",
        starts=2,
        cpu=12,
        memory=110,
        gpus=2,
        largest_cpu=7,
        largest_memory=100,
        largest_gpus=1,
        attributes=(("lacks", "x"), ("ecs.cpu-architecture", "ARM64")),
        reasons={"ATTRIBUTE": 1},
    )
    assert (second.cluster, second.starts, second.attributes, second.reasons) == (None, 1, (), {"RESOURCE:CPU": 1})
    assert shortage([]) == []
