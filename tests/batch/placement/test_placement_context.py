"""placement_context: what a template's task takes, and where there may be capacity for it; over ECS in virtual time."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from engine_transport import EngineTransport
from fake_transport import FakeTransport, make_core
from virtual_time import run_in_virtual_time

import aioecs
from aioecs import DistinctInstance, MemberOf, Spread, StartTaskRequest
from aioecs._batch.placement.inventory import MAX_AGE
from aioecs._batch.placement.placement_context import (
    DEFINITION_AGE,
    KEPT,
    REMEMBERED,
    PlacementContext,
    PlacementContexts,
    PlacementOptions,
)
from aioecs._calls.call_preparation import Preparer
from aioecs._logic.placement.demand import Demand
from aioecs._model.attempt import Answered, Attempt
from aioecs._transport.transport import SentMarker
from aioecs.errors import AccessDeniedException, ClientException, ClusterNotFoundException, ECSError, InvalidRequest

DEMO = StartTaskRequest(task_definition="demo")
READS = ["DescribeTaskDefinition", "ListContainerInstances", "DescribeContainerInstances"]


def some_options(**more: Any) -> PlacementOptions:
    """PlacementOptions for the usual."""
    given: dict[str, Any] = {"constraints": (), "instances": None, "wait_for_capacity": 0.0, "confirm_refusals": False}
    return PlacementOptions(placement=Spread(), **{**given, **more})


def some_contexts(**more: Any) -> tuple[PlacementContexts, Preparer, list[str]]:
    """Make one over an ECS in memory; the list has the operations that it was asked for."""
    port = EngineTransport(**more)
    asked: list[str] = []
    answer = port.engine.answer

    def noted(operation: str, request: Any) -> Any:
        asked.append(operation)
        return answer(operation, request)

    port.engine.answer = noted  # type: ignore[method-assign,assignment]
    port.engine.add_cluster("other")
    port.engine.add_instances(1, cluster="other")
    preparer = Preparer(make_core(port), region="us-east-1", rate_limited=False, tag_tokens=False)  # type: ignore[arg-type]
    return PlacementContexts(preparer), preparer, asked


def test_it_finds_out_what_a_task_takes_and_who_is_there() -> None:
    """The definition, with the template's overrides, and the instances; nothing is confirmed unless that is wished."""

    async def main() -> None:
        contexts, preparer, asked = some_contexts()
        template = DEMO.replace(overrides=aioecs.TaskOverride(cpu="512"))
        options = some_options()
        layout = await contexts.find(template, options)
        assert asked == READS
        assert (layout.demand(template.overrides).cpu, layout.demand(template.overrides).memory) == (512, 10)
        assert layout.demand(template.overrides) is layout.demand(template.overrides)
        assert layout.demand(None).cpu == 10
        assert len(arns(layout)) == 1
        assert layout.confirm is None
        wished = await contexts.find(template, some_options(confirm_refusals=True))
        assert wished.confirm is preparer.reconciler(None)

    run_in_virtual_time(main())


def arns(layout: PlacementContext) -> list[str]:
    """Return whom its inventory has."""
    return sorted(capacity.host.arn for capacity in layout.inventory.capacity_model.capacities.values())


@pytest.mark.parametrize(
    ("template", "options", "shared"),
    [
        (DEMO, {}, True),
        (DEMO.replace(task_definition="broken"), {}, True),
        (DEMO, {"constraints": (DistinctInstance(),)}, True),
        (DEMO, {"wait_for_capacity": 9.0, "confirm_refusals": True}, True),
        (DEMO.replace(cluster="other"), {}, False),
        (DEMO, {"constraints": (MemberOf("agentConnected == true"),)}, False),
        (DEMO, {"instances": ["0" * 32]}, False),
        (DEMO, {"instances": []}, False),
    ],
)
def test_who_asks_alike_shares_an_inventory(template: StartTaskRequest, options: dict[str, Any], shared: bool) -> None:
    """Alike is: of the same cluster, through the same filter and of the same instances, whatever is to be placed."""

    async def main() -> None:
        contexts, _, asked = some_contexts()
        first = await contexts.find(DEMO, some_options())
        for _ in range(2):
            asked.clear()
            layout = await contexts.find(template, some_options(**options))
            assert (layout.inventory is first.inventory) is shared
            assert (
                layout.inventory.capacity_model.pool is first.inventory.capacity_model.pool
                or template.cluster == "other"
            )
        assert asked == [], "the second one of a kind needs no read"
        await asyncio.sleep(DEFINITION_AGE + 1)
        await contexts.find(template, some_options(**options))
        assert asked == READS[:1], "a family may have a newer revision by now"

    run_in_virtual_time(main())


def test_what_the_definition_asks_of_its_instance_is_a_constraint() -> None:
    """ECS evaluates it, together with the caller's own."""

    async def main() -> None:
        contexts, preparer, _ = some_contexts()
        engine = preparer.core.transport.engine  # type: ignore[attr-defined]
        few = {"type": "memberOf", "expression": "attribute:few exists"}
        engine.add_task_definition("choosy", placementConstraints=[few])
        [here] = engine.add_instances(1, attributes={"few": "", "good": ""})
        engine.add_instances(1, attributes={"few": ""})
        choosy = DEMO.replace(task_definition="choosy")
        assert len(arns(await contexts.find(choosy, some_options()))) == 2
        options = some_options(constraints=(MemberOf("attribute:good exists"),))
        assert arns(await contexts.find(choosy, options)) == [here]

    run_in_virtual_time(main())


def test_a_definition_that_is_left_out_of_its_answer() -> None:
    """It counts as one that takes nothing: ECS decides."""

    async def nothing(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
        return Answered(aioecs.DescribeTaskDefinitionResponse())

    async def nobody(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
        return Answered(aioecs.ListContainerInstancesResponse())

    async def main() -> None:
        port = FakeTransport(describe_task_definition=nothing, list_container_instances=nobody)
        preparer = Preparer(make_core(port), region=None, rate_limited=False, tag_tokens=False)
        layout = await PlacementContexts(preparer).find(DEMO, some_options())
        assert (layout.demand(None), arns(layout)) == (Demand(), [])

    run_in_virtual_time(main())


@pytest.mark.parametrize(
    "template",
    [
        DEMO.replace(container_instances=["i1"]),
        DEMO.replace(started_by="x" * 37),
        DEMO.replace(cluster="arn:aws:ecs:eu-west-1:123456789012:cluster/c"),
    ],
)
def test_a_request_that_breaks_a_rule(template: StartTaskRequest) -> None:
    """It is refused before anything is read; a request to be placed names no instances."""

    async def main() -> None:
        contexts, _, asked = some_contexts()
        with pytest.raises(InvalidRequest):
            contexts.check(template)
        contexts.check(DEMO)
        assert asked == []

    run_in_virtual_time(main())


def test_what_nobody_asks_for_any_more_is_forgotten() -> None:
    """1,500 calls for ever other instances leave a few inventories, and later only what was asked for last."""

    async def main() -> None:
        contexts, _, _ = some_contexts()
        for n in range(1500):
            await contexts.find(DEMO, some_options(instances=(f"{n:032x}",)))
        assert len(contexts._inventories) <= KEPT + 1
        await asyncio.sleep(MAX_AGE + 1)
        await contexts.find(DEMO, some_options())
        gc.collect()
        assert len(contexts._inventories) == 1
        assert len(contexts._pools[None].capacities) == 1

    run_in_virtual_time(main())


def test_the_demand_of_a_request_is_that_of_its_sizes() -> None:
    """Environments don't count; what takes other amounts is another demand."""

    async def main() -> None:
        contexts, _, _ = some_contexts()
        context = await contexts.find(DEMO, some_options())
        plain = context.demand(None)
        env = aioecs.ContainerOverride(name="main", environment=[aioecs.KeyValuePair(name="A", value="1")])
        larger = aioecs.ContainerOverride(name="main", memory_reservation=700)
        assert context.demand(aioecs.TaskOverride(container_overrides=[env])) == plain
        others = [context.demand(aioecs.TaskOverride(cpu=str(n))) for n in range(128, 128 + 2 * REMEMBERED)]
        assert len({each.cpu for each in others}) == 2 * REMEMBERED
        assert context.demand(aioecs.TaskOverride(memory="700", container_overrides=[larger])).memory == 700

    run_in_virtual_time(main())


# What can't be laid out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "error", "asked"),
    [
        (DEMO.replace(task_definition="none"), ClientException, READS[:1]),
        (DEMO.replace(cluster="none"), ClusterNotFoundException, READS[:2]),
    ],
)
def test_a_template_that_does_not_do(template: Any, error: type[ECSError], asked: list[str]) -> None:
    """It is refused as a whole, as soon as that is known; a template names no instances."""

    async def main() -> None:
        contexts, _, received = some_contexts()
        with pytest.raises(error):
            await contexts.find(template, some_options())
        assert received == asked

    run_in_virtual_time(main())


@pytest.mark.parametrize("operation", READS)
def test_what_may_not_be_read(operation: str) -> None:
    """The error is raised, and once it may be read, all is as if nothing had been."""

    async def main() -> None:
        contexts, preparer, _ = some_contexts(denied=(operation,))
        with pytest.raises(AccessDeniedException):
            await contexts.find(DEMO, some_options())
        preparer.core.transport.engine.denied.clear()  # type: ignore[attr-defined]
        assert len(arns(await contexts.find(DEMO, some_options()))) == 1

    run_in_virtual_time(main())


@pytest.mark.parametrize(
    ("cluster", "ended_in", "noticed"),
    [
        (None, "default", True),
        ("default", "default", True),
        ("arn:aws:ecs:us-east-1:123456789012:cluster/other", "other", True),
        ("other", "default", False),
    ],
)
def test_the_end_of_a_task_is_noticed_in_its_cluster(cluster: str | None, ended_in: str, noticed: bool) -> None:
    """However the requests name it; what waits there is woken, and the instance alone is described again."""

    async def main() -> None:
        contexts, _, asked = some_contexts()
        layout = await contexts.find(DEMO.replace(cluster=cluster), some_options())
        woken = asyncio.Event()
        layout.inventory.wake(woken)
        (arn,) = arns(layout)
        asked.clear()
        contexts.task_ended(ended_in, aioecs.Task(container_instance_arn=arn))
        contexts.task_ended(ended_in, aioecs.Task(container_instance_arn="elsewhere"))
        contexts.task_ended(ended_in, aioecs.Task())
        assert (woken.is_set(), layout.inventory.any_ended) == (noticed, noticed)
        await layout.inventory.update()
        assert asked == ["DescribeContainerInstances"] * noticed
        assert not layout.inventory.any_ended

    run_in_virtual_time(main())
