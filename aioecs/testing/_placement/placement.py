"""Where RunTask places a task: constraints choose the candidates, strategies one of them.

Strategies apply one after the other, each to those that the one before left equal. [docs, "Task placement strategies"]
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

import attrs

from aioecs.testing._errors import invalid
from aioecs.testing._operations.members import Json, records, text
from aioecs.testing._operations.query import Predicate
from aioecs.testing._operations.reads import lookup
from aioecs.testing._placement.capacity import has_attributes, lacks, why_not
from aioecs.testing._world.state import Cluster, Definition, Instance, Need

STRATEGIES = 5  # [model] RunTask.placementStrategy "a maximum of 5 strategy rules"
_BINPACK = {"cpu": "cpu", "memory": "memory"}


@attrs.frozen
class Strategy:
    """A placement strategy: its type, and the field that it looks at ("" for random)."""

    kind: str
    field: str


def check_strategies(request: Json) -> list[Strategy]:
    """Read `placementStrategy`.

    Raises:
        AwsError: InvalidParameterException, when one of them is none.
    """
    given = records(request, "placementStrategy")
    if len(given) > STRATEGIES:
        raise invalid(f"placementStrategy can have at most {STRATEGIES} items.")
    return [_strategy(text(each, "type") or "", text(each, "field") or "") for each in given]


def _strategy(kind: str, field: str) -> Strategy:
    match kind:
        case "random" if not field:
            return Strategy(kind, field)
        case "binpack" if field.lower() in _BINPACK:
            return Strategy(kind, _BINPACK[field.lower()])
        case "spread" if field in ("instanceId", "host"):
            return Strategy(kind, "instanceId")
        case "spread" if field.startswith("attribute:"):
            return Strategy(kind, field)
        case "random" | "binpack" | "spread":
            raise invalid(f"Invalid field {field!r} for placement strategy {kind}.")
        case _:
            raise invalid(f"Invalid placement strategy type {kind!r}: one of random, spread, binpack.")


@attrs.frozen(kw_only=True)
class Placement:
    """How the tasks of one call are placed.

    predicates: what an instance must satisfy.  distinct: whether tasks of the group must be on different instances.
    """

    cluster: Cluster
    definition: Definition
    need: Need
    group: str
    predicates: list[Predicate]
    distinct: bool
    strategies: list[Strategy]
    dice: random.Random

    def candidates(self, provider: str | None = None) -> list[Instance]:
        """List the active instances that satisfy the constraints, of a capacity provider or all."""
        found = [each for each in self.cluster.instances.values() if provider in (None, each.provider)]
        return [each for each in found if each.status == "ACTIVE" and each.agent_connected and self.satisfied(each)]

    def satisfied(self, instance: Instance) -> bool:
        """Tell whether an instance is one that memberOf asks for."""
        return all(predicate(lookup(instance)) for predicate in self.predicates)

    def fits(self, instance: Instance) -> bool:
        """Tell whether one more task fits there."""
        taken = self.distinct and _of_group(instance, self.group)
        return not taken and has_attributes(instance, self.definition) and lacks(instance, self.need) is None

    def choose(self, provider: str | None = None) -> Instance | None:
        """Choose an instance for one more task; None if none of them takes it."""
        left = [each for each in self.candidates(provider) if self.fits(each)]
        for strategy in self.strategies:
            if len(left) > 1:
                left = self._best(strategy, left)
        # Without a strategy: the emptiest. ECS chooses at random, which no test could hold on to.
        return min(left, key=lambda each: (each.running + each.pending, each.seq), default=None)

    def why_not(self, instance: Instance) -> str:
        """Say why an instance takes no more."""
        reason = why_not(instance, self.definition, self.need, draining_is_refused=True)
        return reason or "DistinctInstance placement constraint unsatisfied."

    def _best(self, strategy: Strategy, among: list[Instance]) -> list[Instance]:
        if strategy.kind == "random":
            return [self.dice.choice(among)]
        if strategy.kind == "binpack":
            free = {each.id: _free(each, strategy.field) for each in among}
            least = min(free.values())
            return [each for each in among if free[each.id] == least]
        counts = self._counts(strategy.field)
        fewest = min(counts[_value(each, strategy.field)] for each in among)
        return [each for each in among if counts[_value(each, strategy.field)] == fewest]

    def _counts(self, field: str) -> Counter[str]:
        """Count the group's tasks by the value of a field of their instances."""
        counts = Counter[str]()
        for instance in self.cluster.instances.values():
            counts[_value(instance, field)] += _of_group(instance, self.group)
        return counts


def _of_group(instance: Instance, group: str) -> int:
    return sum(task.group == group for task in instance.shelf.live.values())


def _value(instance: Instance, field: str) -> str:
    if field == "instanceId":
        return instance.id
    return instance.attributes.get(field.removeprefix("attribute:")) or ""


def _free(instance: Instance, field: str) -> int:
    return instance.cpu - instance.used_cpu if field == "cpu" else instance.memory - instance.used_memory


def constraints_unsatisfied(instances: Iterable[Instance]) -> str:
    """Say why no instance of a cluster was even a candidate."""
    agents = any(each.agent_connected and each.status == "ACTIVE" for each in instances)
    return "MemberOf placement constraint unsatisfied." if agents else "AGENT"
