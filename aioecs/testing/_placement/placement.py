"""Where RunTask places a task: constraints select the candidates, strategies choose one of them.

Strategies apply in order, each to the instances that the one before ranked equal. [docs, "Task placement strategies"]
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

import attrs

from aioecs.testing._errors import invalid
from aioecs.testing._operations.members import Json, structures, text
from aioecs.testing._operations.query import Predicate
from aioecs.testing._operations.reads import values_of
from aioecs.testing._placement.capacity import failure_reason, has_attributes, missing_resource
from aioecs.testing._state.records import Cluster, Definition, Instance, Need

STRATEGIES = 5  # [model] RunTask.placementStrategy "a maximum of 5 strategy rules"
_BINPACK = {"cpu": "cpu", "memory": "memory"}


@attrs.frozen
class Strategy:
    """A placement strategy: its type, and the field that it compares; `""` for random."""

    kind: str
    field: str


def check_strategies(request: Json) -> list[Strategy]:
    """Read `placementStrategy`.

    Raises:
        AwsError: InvalidParameterException, if one of them is invalid.
    """
    given = structures(request, "placementStrategy")
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
    """The placement of the tasks of one call.

    predicates: conditions that an instance must satisfy.
    distinct: whether tasks of the group must be on different instances.
    """

    cluster: Cluster
    definition: Definition
    need: Need
    group: str
    predicates: list[Predicate]
    distinct: bool
    strategies: list[Strategy]
    rng: random.Random

    def candidates(self, provider: str | None = None) -> list[Instance]:
        """List the active instances that satisfy the constraints, of a capacity provider or all."""
        found = [each for each in self.cluster.instances.values() if provider in (None, each.provider)]
        return [each for each in found if each.status == "ACTIVE" and each.agent_connected and self.satisfied(each)]

    def satisfied(self, instance: Instance) -> bool:
        """Return whether an instance satisfies the memberOf constraints."""
        return all(predicate(values_of(instance)) for predicate in self.predicates)

    def fits(self, instance: Instance) -> bool:
        """Return whether one more task fits on the instance."""
        taken = self.distinct and _of_group(instance, self.group)
        return not taken and has_attributes(instance, self.definition) and missing_resource(instance, self.need) is None

    def choose(self, provider: str | None = None) -> Instance | None:
        """Return the instance for one more task, or None if it fits on none."""
        remaining = [each for each in self.candidates(provider) if self.fits(each)]
        for strategy in self.strategies:
            if len(remaining) > 1:
                remaining = self._best(strategy, remaining)
        # Without a strategy: the instance with the fewest tasks. ECS chooses at random, but tests need a fixed order.
        return min(remaining, key=lambda each: (each.running + each.pending, each.seq), default=None)

    def failure_reason(self, instance: Instance) -> str:
        """Return why one more task doesn't fit on the instance."""
        reason = failure_reason(instance, self.definition, self.need, draining_is_refused=True)
        return reason or "DistinctInstance placement constraint unsatisfied."

    def _best(self, strategy: Strategy, among: list[Instance]) -> list[Instance]:
        if strategy.kind == "random":
            return [self.rng.choice(among)]
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
    return sum(task.group == group for task in instance.task_index.live.values())


def _value(instance: Instance, field: str) -> str:
    if field == "instanceId":
        return instance.id
    return instance.attributes.get(field.removeprefix("attribute:")) or ""


def _free(instance: Instance, field: str) -> int:
    return instance.cpu - instance.used_cpu if field == "cpu" else instance.memory - instance.used_memory


def constraints_unsatisfied(instances: Iterable[Instance]) -> str:
    """Return why no instance of a cluster was a candidate."""
    agents = any(each.agent_connected and each.status == "ACTIVE" for each in instances)
    return "MemberOf placement constraint unsatisfied." if agents else "AGENT"
