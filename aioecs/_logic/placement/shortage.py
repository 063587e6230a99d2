"""What is lacking where starts wait for capacity, summed up for an autoscaler."""

from __future__ import annotations

from collections.abc import Iterable

from aioecs._logic.placement.demand import Demand
from aioecs._logic.placement.placer import Placer
from aioecs._model.placement import CapacityDemand


def shortage(waiting: Iterable[tuple[Placer, Demand, str | None]]) -> list[CapacityDemand]:
    """Sum up what waits, by cluster: each start with its placer, its demand and its cluster."""
    by_cluster: dict[str | None, list[tuple[Placer, Demand]]] = {}
    for placer, demand, cluster in waiting:
        by_cluster.setdefault(cluster, []).append((placer, demand))
    return [_sum(cluster, starts) for cluster, starts in by_cluster.items()]


def _sum(cluster: str | None, starts: list[tuple[Placer, Demand]]) -> CapacityDemand:
    demands = [demand for _, demand in starts]
    gpus = [max(demand.gpus, demand.all_gpus) for demand in demands]
    distinct = dict.fromkeys(starts)
    return CapacityDemand(
        cluster=cluster,
        starts=len(starts),
        cpu=sum(demand.cpu for demand in demands),
        memory=sum(demand.memory for demand in demands),
        gpus=sum(gpus),
        largest_cpu=max(demand.cpu for demand in demands),
        largest_memory=max(demand.memory for demand in demands),
        largest_gpus=max(gpus),
        attributes=tuple(dict.fromkeys(each for placer, demand in distinct for each in placer.unmet(demand))),
        reasons=starts[0][0].excluded_for(starts[0][1]),
    )
